"""The same limits in synchronous SQLAlchemy sessions, on both databases."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from fastapi import Depends, FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from app import limits
from app.errors import ConfigurationError, Conflict, InvalidRequest
from app.limits import FeatureNotIncluded, LimitExceeded, Limits
from app.limits.sessions import answer
from app.plans import load_catalogue
from app.web.problems import answer_service_error

from .. import ROOT, take_both_ways
from ..client import AUTH, Client, running
from ..processes import run
from ..take_both_ways import sync_url
from .helpers import PLANS, Clock, subscribe

pytestmark = pytest.mark.postgresql_in_long

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
    for ask in (lambda: limits.load("ada"), lambda: limits.within("ada", "projects", 1)):
        with pytest.raises(ConfigurationError, match="pass `session`"):
            ask()  # a script that awaits nothing sees it, too


async def test_another_processs_downgrade_is_obeyed_whatever_is_remembered(
    client: Client, clock: Clock, engine: Engine, plans_file: Path
) -> None:
    """A process that no message reaches: it still remembers the plan that has ended."""
    elsewhere = Limits(None, load_catalogue(plans_file), clock)

    def take(amount: int) -> limits.Decision:
        with Session(engine) as session, session.begin():
            decision: limits.Decision = answer(
                session, lambda own: elsewhere.consume(own, "ada", "projects", amount)
            )
            return decision

    account, subscription = await subscribe(client, clock)
    assert (await asyncio.to_thread(take, 4)).limit == 10
    seen = len(account.events)
    account.cancel_now(subscription)
    await client.deliver(*account.events[seen:])
    with pytest.raises(LimitExceeded) as caught:
        await asyncio.to_thread(take, 1)
    assert (caught.value.decision.limit, caught.value.decision.used) == (3, 4)


@pytest.mark.long
async def test_threads_tasks_two_processes_and_http_take_together_what_the_limit_is(
    client: Client, clock: Clock, plans_file: Path, database_url: str
) -> None:
    """30 threads, 30 tasks, and two clients each of consume and of reservations by HTTP."""
    each, quantity = 15, 20
    await subscribe(client, clock, quantity=quantity)
    path = "/internal/users/ada/usage/projects"

    async def consume() -> int:
        for taken in range(take_both_ways.MOST):
            response = await client.http.post(path, json={"op": "consume"}, headers=AUTH)
            if response.status_code == 403:
                return taken
            assert response.status_code == 200, response.text
        return take_both_ways.MOST

    async def reserve() -> int:
        for taken in range(take_both_ways.MOST):
            held = await client.http.post(f"{path}/reservations", json={"amount": 2}, headers=AUTH)
            if held.status_code == 403:
                return taken
            assert held.status_code == 201, held.text
            commit = f"{path}/reservations/{held.json()['id']}/commit"
            done = await client.http.post(commit, json={"amount": 1}, headers=AUTH)
            assert done.status_code == 200, done.text
        return take_both_ways.MOST

    def in_another_process() -> int:
        command = [sys.executable, "-m", "tests.take_both_ways", database_url, str(plans_file), str(each)]
        done = run(command, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    taken = await asyncio.gather(
        asyncio.to_thread(in_another_process),
        take_both_ways.take(client.app.state.billing.database, database_url, each),
        *(reserve() for _ in range(2)),
        *(consume() for _ in range(2)),
        return_exceptions=True,
    )
    numbers = [one for one in taken if isinstance(one, int)]
    assert len(numbers) == len(taken), [one for one in taken if not isinstance(one, int)]
    assert await used() == sum(numbers) <= 10 * quantity
    assert (
        sum(numbers) + await consume() == 10 * quantity
    )  # no reservation of two is in the way of the last one now
    assert await used() == 10 * quantity
