"""The same limits in synchronous SQLAlchemy sessions, on both databases."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import Depends, FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from app import limits
from app.errors import ConfigurationError, Conflict, InvalidRequest
from app.limits import FeatureNotIncluded, LimitExceeded
from app.web.problems import answer_service_error

from .. import ROOT
from ..client import AUTH, Client, running
from .test_limits import PLANS, Clock, subscribe

WORKER = """
import sys
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from app import limits

limits.use_catalogue(sys.argv[2])
taken = 0
with Session(create_engine(sys.argv[1])) as session:
    while True:
        try:
            limits.consume(session, "ada", "projects")
        except limits.LimitExceeded as denied:
            print(taken, denied.decision.used, limits.load("ada", session).plan)
            break
        session.commit()
        taken += 1
"""


def sync_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def plans_file(tmp_path: Path) -> Path:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    return file


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(database_url: str, clock: Clock, plans_file: Path) -> AsyncIterator[Client]:
    async with running(database_url, clock=clock, plans_file=plans_file) as client:
        yield client


@pytest.fixture
def engine(client: Client, database_url: str) -> Iterator[Engine]:
    engine = create_engine(sync_url(database_url))
    yield engine
    engine.dispose()


def in_a_thread(work: Callable[[], None]) -> Awaitable[None]:
    """Synchronous code has no place on the loop, where the service itself writes to the database."""
    return asyncio.to_thread(work)


async def used(feature: str = "projects", user: str = "ada") -> int:
    return (await limits.load(user)).check(feature).used or 0


async def test_what_is_taken_is_part_of_the_callers_transaction(engine: Engine) -> None:
    def roll_back() -> None:
        with Session(engine) as session:
            assert limits.consume(session, "ada", "projects", 2).remaining == 1
            session.rollback()

    def commit() -> None:
        with Session(engine) as session:
            assert limits.consume(session, "ada", "projects", 2).used == 2
            session.commit()
            assert limits.release(session, "ada", "projects").used == 1
            session.commit()

    await in_a_thread(roll_back)
    assert await used() == 0
    await in_a_thread(commit)
    assert await used() == 1


async def test_what_is_over_the_limit_is_denied_with_the_decision(engine: Engine) -> None:
    def work() -> None:
        with Session(engine) as session:
            limits.consume(session, "ada", "projects", 3)
            with pytest.raises(LimitExceeded) as caught:
                limits.consume(session, "ada", "projects")
            with pytest.raises(FeatureNotIncluded):
                limits.consume(session, "ada", "tokens")
            session.commit()
        assert (caught.value.decision.used, caught.value.decision.upgrade_to) == (3, ("team",))

    await in_a_thread(work)
    assert await used() == 3


async def test_of_several_features_all_or_none_are_taken_and_a_rollback_takes_all_back(
    engine: Engine,
) -> None:
    def roll_back() -> None:
        with Session(engine) as session:
            limits.consume_many(session, "ada", {"projects": 1, "api_calls": 2})
            session.rollback()

    def be_denied() -> None:
        with Session(engine) as session:
            with pytest.raises(LimitExceeded):
                limits.consume_many(session, "ada", {"api_calls": 2, "projects": 4})
            limits.consume(session, "ada", "api_calls")
            session.commit()

    await in_a_thread(roll_back)
    assert (await used(), await used("api_calls")) == (0, 0)
    await in_a_thread(be_denied)
    assert (await used(), await used("api_calls")) == (0, 1)


async def test_a_key_takes_once(engine: Engine) -> None:
    def work() -> None:
        for _ in range(2):
            with Session(engine) as session:
                assert limits.consume(session, "ada", "projects", key="upload-1").used == 1
                session.commit()
        with Session(engine) as session, pytest.raises(Conflict):
            limits.consume(session, "ada", "projects", 2, key="upload-1")

    await in_a_thread(work)
    assert await used() == 1


async def test_usage_is_set_moved_and_loaded_in_a_session(engine: Engine) -> None:
    def work() -> None:
        with Session(engine) as session:
            limits.set_usage(session, "ada", "projects", 3)
            assert limits.load("ada", session).check("projects").used == 3
            assert not limits.within("ada", "projects", 4, session)
            assert limits.transfer(session, "ada", "eve", "projects", 2).used == 2
            with pytest.raises(InvalidRequest):
                limits.transfer(session, "ada", "eve", "projects", 2)
            session.commit()

    await in_a_thread(work)
    assert (await used(), await used(user="eve")) == (1, 2)


async def test_an_asynchronous_session_reads_what_it_has_changed_itself(client: Client) -> None:
    async with client.app.state.billing.database.session() as session:
        await limits.consume(session, "ada", "projects", 2)
        assert (await limits.load("ada", session)).check("projects").used == 2
        assert await limits.within("ada", "projects", 3, session)


async def test_a_downgrade_that_was_committed_first_is_obeyed(
    client: Client, clock: Clock, engine: Engine
) -> None:
    def take() -> None:
        with Session(engine) as session:
            assert limits.consume(session, "ada", "projects", 4).limit == 10
            session.commit()

    def take_more() -> None:
        with Session(engine) as session, pytest.raises(LimitExceeded) as caught:
            limits.consume(session, "ada", "projects")
        assert caught.value.decision.limit == 3

    account, subscription = await subscribe(client, clock)
    await in_a_thread(take)
    seen = len(account.events)
    account.cancel_now(subscription)
    await client.deliver(*account.events[seen:])
    await in_a_thread(take_more)


async def test_a_registry_of_sessions_works_like_one_of_them(engine: Engine) -> None:
    def work() -> None:
        sessions = scoped_session(sessionmaker(engine))
        assert limits.consume(sessions, "ada", "projects").used == 1
        sessions.commit()
        sessions.remove()

    await in_a_thread(work)
    assert await used() == 1


async def test_a_dependency_reads_in_a_synchronous_session(
    client: Client, clock: Clock, engine: Engine
) -> None:
    def session() -> Iterator[Session]:
        with Session(engine) as session:
            yield session

    application = FastAPI()
    application.add_exception_handler(limits.DeniedByDecision, answer_service_error)
    required = limits.require("sso", user=lambda: "ada", session=session)

    @application.get("/sso")
    def sso(entitlements: limits.Entitlements = Depends(required)) -> str | None:
        return entitlements.plan

    async with AsyncClient(transport=ASGITransport(application), base_url="http://test") as http:
        assert (await http.get("/sso")).status_code == 403
        await subscribe(client, clock)
        response = await http.get("/sso")
    assert (response.status_code, response.json()) == (200, "team")


@pytest.mark.long
async def test_a_process_without_a_service_or_a_loop_takes_up_to_the_limit(
    client: Client, plans_file: Path, database_url: str
) -> None:
    command = [sys.executable, "-c", WORKER, sync_url(database_url), str(plans_file)]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["3", "3", "free"], done.stderr
    assert await used() == 3


async def test_without_a_service_what_needs_its_database_says_so(plans_file: Path) -> None:
    limits.use_catalogue(plans_file)
    with pytest.raises(ConfigurationError, match="pass `session`"):
        await limits.load("ada")


@pytest.mark.parametrize("writers", [31])
@pytest.mark.long
async def test_threads_tasks_another_process_and_http_take_together_what_the_limit_is(
    client: Client, clock: Clock, plans_file: Path, database_url: str, writers: int
) -> None:
    await subscribe(client, clock, quantity=4)
    engine = create_engine(sync_url(database_url), pool_size=writers, pool_timeout=60)
    database = client.app.state.billing.database

    def take_in_a_thread() -> int:
        for taken in range(100):
            try:
                with Session(engine) as session, session.begin():
                    _patient(session)
                    limits.consume(session, "ada", "projects")
            except LimitExceeded:
                return taken
        return 100

    async def in_a_task() -> int:
        taken = 0
        while taken < 100:
            try:
                async with database.session() as session:
                    await limits.consume(session, "ada", "projects")
                taken += 1
            except TimeoutError:
                pass  # the pool is empty, or the row locked, for seconds on a busy machine: nothing was taken
            except LimitExceeded:
                break
        return taken

    async def by_http() -> int:
        body = {"op": "consume", "amount": 1}
        for taken in range(100):
            response = await client.http.post("/internal/users/ada/usage/projects", json=body, headers=AUTH)
            if response.status_code != 200:
                assert response.json()["reason"] == "limit_reached", response.text
                return taken
        return 100

    def in_a_process() -> int:
        command = [sys.executable, "-c", WORKER, sync_url(database_url), str(plans_file)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
        return int(done.stdout.split()[0])

    with ThreadPoolExecutor(writers + 1) as threads:
        loop = asyncio.get_running_loop()
        taken = await asyncio.gather(
            loop.run_in_executor(threads, in_a_process),
            *(loop.run_in_executor(threads, take_in_a_thread) for _ in range(writers)),
            *(in_a_task() for _ in range(writers)),
            by_http(),
            return_exceptions=True,  # while one of them fails the others still need the loop
        )
    engine.dispose()
    numbers = [each for each in taken if isinstance(each, int)]
    assert len(numbers) == len(taken), [each for each in taken if not isinstance(each, int)]
    assert sum(numbers) == 40
    assert await used() == 40


def _patient(session: Session) -> None:
    """Wait for SQLite's file as long as it takes: many write to it at once."""
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("PRAGMA busy_timeout = 60000"))
