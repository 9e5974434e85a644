"""The conformance test drives applications of other kinds, and says what it cannot use."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from sqlalchemy import text

from app import limits
from app.config import Settings
from app.db import open_database
from app.db.models import Customer
from app.errors import ConfigurationError, NotFound
from app.main import install
from app.plans import load_catalogue
from app.service import Running
from app.testing import Adapter
from app.testing.conformance import user
from app.testing.conformance.broken import BrokenPromise
from app.testing.conformance.suite import Suite, load_adapter
from app.testing.conformance.tiers import UNLIMITED, Tiers, find_tiers

PLANS = """
default_plan = "free"
[features]
rooms = { kind = "allocated" }
calls = { kind = "consumable", reset = "month" }
[plans.free]
rooms = 1
[plans.pro]
prices = ["price_pro"]
rooms = 4
"""


class Rooms(Adapter):
    """Rooms of users who sign up, and get a number; each room is a row that no class maps."""

    feature = "rooms"

    def make_app(self, settings: Settings) -> FastAPI:
        app = FastAPI()
        install(app, settings)
        self.add_routes(app)
        return app

    def add_routes(self, app: FastAPI) -> None:
        @app.post("/rooms/{user}", status_code=201)
        async def create(user: int, service: Running) -> dict[str, int]:
            async with service.database.session() as session:
                connection = await session.connection()
                await connection.execute(text(TABLE))
                await limits.consume(session, user, "rooms")
                room = await connection.execute(text(INSERT), {"user": user})
                return {"id": room.scalar_one()}

        @app.delete("/rooms/{user}/{id}", status_code=204)
        async def delete(user: int, id: int, service: Running) -> None:
            async with service.database.session() as session:
                gone = await (await session.connection()).execute(text(DELETE), {"user": user, "id": id})
                if gone.first() is None:
                    raise HTTPException(404)
                await limits.release(session, user, "rooms")

    users = 0

    async def act_as(self, client: httpx.AsyncClient, user: str) -> str:
        Rooms.users += 1
        client.headers["X-User"] = str(Rooms.users)
        return str(Rooms.users)

    async def create(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(f"/rooms/{client.headers['X-User']}")

    async def delete(self, client: httpx.AsyncClient, id: str) -> httpx.Response:
        return await client.delete(f"/rooms/{client.headers['X-User']}/{id}")

    async def count(self, client: httpx.AsyncClient) -> int:
        async with self.service.database.session() as session:
            connection = await session.connection()
            await connection.execute(text(TABLE))
            found = await connection.scalar(text(COUNT), {"user": int(client.headers["X-User"])})
            return int(found or 0)


TABLE = "CREATE TABLE IF NOT EXISTS room (id INTEGER PRIMARY KEY, owner INTEGER)"
INSERT = "INSERT INTO room (owner) VALUES (:user) RETURNING id"
DELETE = "DELETE FROM room WHERE id = :id AND owner = :user RETURNING id"
COUNT = "SELECT count(*) FROM room WHERE owner = :user"


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite_database: str) -> Iterator[Suite]:
    (tmp_path / "plans.toml").write_text(PLANS)
    monkeypatch.setenv("PLANS_FILE", str(tmp_path / "plans.toml"))
    suite = Suite(sqlite_database)
    yield suite
    suite.close()


@pytest.mark.long
def test_users_with_numbers_and_rows_that_no_class_maps_are_driven_as_well(suite: Suite) -> None:
    before = (limits.Limits.consume, limits.Hold.commit, os.environ.get("STRIPE_WEBHOOK_SECRET"))
    for promise in ("rollback", "repeated_deletes"):
        suite.play(Rooms, promise)
    suite.close()
    after = (limits.Limits.consume, limits.Hold.commit, os.environ.get("STRIPE_WEBHOOK_SECRET"))
    assert after == before


class Refused(Rooms):
    async def create(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/rooms/nobody")


class Failing(Rooms):
    def add_routes(self, app: FastAPI) -> None:
        @app.post("/rooms/{user}")
        async def create(user: int) -> None:
            raise ZeroDivisionError("no rooms")


class Unstored(Rooms):
    """Keeps its rooms in memory, so no transaction can fail."""

    def add_routes(self, app: FastAPI) -> None:
        self.rooms: dict[str, int] = {}

        @app.post("/rooms/{user}")
        async def create(user: str) -> dict[str, int]:
            self.rooms[user] = self.rooms.get(user, 0) + 1
            return {"id": 1}

    async def count(self, client: httpx.AsyncClient) -> int:
        return self.rooms.get(client.headers["X-User"], 0)


@pytest.mark.parametrize(
    ("adapter", "what", "why", "function"),
    [
        (Refused, "denied it with 422", "asked the limits nothing", "create"),
        (Failing, "answered 500", "ZeroDivisionError: no rooms", "create"),
        (Unstored, "usage changed by 0", "calls no limits.consume", "create"),
    ],
)
def test_the_report_names_what_the_application_did(
    suite: Suite, adapter: type[Rooms], what: str, why: str, function: str
) -> None:
    with pytest.raises(BrokenPromise) as broken:
        suite.play(adapter, "rollback")
    assert what in broken.value.what
    assert why in broken.value.why
    assert broken.value.place is not None
    assert (Path(broken.value.place.path), broken.value.place.function) == (Path(__file__), function)


class Hanging(Rooms):
    def add_routes(self, app: FastAPI) -> None:
        @app.post("/rooms/{user}")
        async def create(user: str, service: Running) -> None:
            async with service.database.session() as session:
                await limits.consume(session, user, "rooms")
                await asyncio.Event().wait()


def test_a_request_that_hangs_is_reported_with_the_last_thing_that_it_did(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user, "ANSWER_SECONDS", 2.0)
    with pytest.raises(BrokenPromise, match="no answer within 2") as broken:
        suite.play(Hanging, "rollback")
    assert broken.value.place is not None
    assert "limits.consume" in Path(__file__).read_text().splitlines()[broken.value.place.line - 1]


class Elsewhere(Unstored):
    """Consumes in the service's own session alone: what is in memory cannot be rolled back with it."""

    def add_routes(self, app: FastAPI) -> None:
        self.rooms = {}

        @app.post("/rooms/{user}")
        async def create(user: str, service: Running) -> dict[str, int]:
            async with service.database.session() as session:
                await limits.consume(session, user, "rooms")
                self.rooms[user] = self.rooms.get(user, 0) + 1
            return {"id": 1}


def test_a_row_in_memory_that_outlives_the_transaction_is_reported(suite: Suite) -> None:
    with pytest.raises(BrokenPromise, match="things changed by 1, and usage by 0"):
        suite.play(Elsewhere, "rollback")


class WithoutSettings(Rooms):
    def make_app(self, settings: Settings) -> FastAPI:
        app = FastAPI()
        install(app, settings.model_copy(update={"database_url": "sqlite:///elsewhere.db"}))
        return app


class WithoutService(Rooms):
    def make_app(self, settings: Settings) -> FastAPI:
        return FastAPI()


class OfNoFeature(Rooms):
    feature = "nothing"


class OfCalls(Rooms):
    feature = "calls"


@pytest.mark.parametrize(
    ("adapter", "error", "message"),
    [
        (WithoutSettings, ConfigurationError, "does not have the settings of the test"),
        (WithoutService, ConfigurationError, "the service is not installed"),
        (OfNoFeature, NotFound, "nothing"),
        (OfCalls, ConfigurationError, "calls is consumable"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_one_sentence(
    suite: Suite, adapter: type[Rooms], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        suite.play(adapter, "status_none")


@pytest.mark.long
def test_an_adapter_that_cannot_be_used_is_not_run_on_the_application_before_it(suite: Suite) -> None:
    suite.play(Rooms, "cancellation")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="does not have the settings"):
            suite.play(WithoutSettings, "cancellation")
    suite.play(Rooms, "cancellation")


@pytest.mark.parametrize(
    "name", ["nowhere:Rooms", f"{__name__}:Nobody", f"{__name__}:PLANS", "app.testing:Adapter"]
)
def test_an_adapter_that_there_is_not_is_one_sentence(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name.partition(":")[2]):
        load_adapter(name)
    assert load_adapter(f"{__name__}:Rooms") is Rooms


def test_a_database_of_others_is_refused(suite: Suite, sqlite_database: str) -> None:
    async def add_customer() -> None:
        database = open_database(sqlite_database)
        async with database.session() as session:
            session.add(Customer(id="cus_1", email="ada@example.com"))
        await database.close()

    asyncio.run(add_customer())
    with pytest.raises(ConfigurationError, match="Name an empty one"):
        suite.play(Rooms, "status_none")


HEAD = '[features]\nrooms = { kind = "allocated" }\n'
FREE = f'default_plan = "free"\n{HEAD}[plans.free]\nrooms = 4\n'
ONE, TWO = '[plans.one]\nprices = ["p1"]\nrooms = ', '[plans.two]\nlookup_keys = ["p2"]\nrooms = '
PER_UNIT, SOFT, UNLIMITED_ROOMS = (
    "{ limit = 3, per_unit = true }\n",
    "{ limit = 9, soft = true }\n",
    '"unlimited"\n',
)
NOTHING = (None, 1, 0)


@pytest.mark.parametrize(
    ("plans", "attributes", "expected"),
    [
        (HEAD + ONE + "3\n" + TWO + "5\n", {}, [NOTHING, ("one", 1, 3), NOTHING, ("one", 1, 3)]),
        (HEAD + ONE + "1\n" + TWO + PER_UNIT, {}, [NOTHING, ("two", 1, 3), ("one", 1, 1), ("one", 1, 1)]),
        (FREE + TWO + PER_UNIT, {}, [(None, 1, 4), ("two", 2, 6), ("two", 1, 3), (None, 1, 4)]),
        (FREE + ONE + "6\n", {"amount": 2}, [(None, 1, 2), ("one", 1, 3), (None, 1, 2), (None, 1, 2)]),
        (
            FREE + ONE + "5\n" + TWO + "9\n",
            {"plan": "two"},
            [(None, 1, 4), ("two", 1, 9), (None, 1, 4), (None, 1, 4)],
        ),
        (FREE + ONE + SOFT, {}, [(None, 1, 4), ("one", 1, UNLIMITED), (None, 1, 4), (None, 1, 4)]),
        (FREE + ONE + UNLIMITED_ROOMS, {}, [(None, 1, 4), ("one", 1, UNLIMITED), (None, 1, 4), (None, 1, 4)]),
    ],
)
def test_the_tiers_are_the_smallest_that_show_a_limit(
    tmp_path: Path, plans: str, attributes: dict[str, Any], expected: list[tuple[str | None, int, int]]
) -> None:
    found = tiers(tmp_path, plans, attributes)
    each = (found.base, found.paid, found.lower, found.limited)
    assert [(tier.plan, tier.quantity, tier.things) for tier in each] == expected


def test_a_catalogue_without_a_limit_that_can_be_reached_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no limit that can be reached"):
        tiers(tmp_path, HEAD + ONE + SOFT + TWO + UNLIMITED_ROOMS, {})


def tiers(folder: Path, plans: str, attributes: dict[str, Any]) -> Tiers:
    (folder / "plans.toml").write_text(plans)
    adapter: Adapter = type("Some", (Rooms,), attributes)()
    return find_tiers(adapter, load_catalogue(folder / "plans.toml"))
