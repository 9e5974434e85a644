"""What a user had at a moment: over HTTP and on the admin screen, and which events were processed by then."""

from typing import Any

import pytest
from sqlalchemy import text

from app.errors import InvalidRequest
from app.operations.moments import read_moment
from app.simulator import DAY, Account

from ..admin.visitor import START, Clock, logged_in, words
from ..client import AUTH, Client

pytestmark = pytest.mark.postgresql_in_long


async def explained(client: Client, **parameters: Any) -> Any:
    return await client.read("/internal/users/ada/explanation", **parameters)


async def test_why_somebody_was_locked_out_is_answered_for_the_moment(database_url: str) -> None:
    clock = Clock()
    account = Account(seed=7, start=START - DAY)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    async with logged_in(database_url, clock) as (client, visitor):
        await client.app.state.billing.catalogues.store()
        bought = list(account.events)
        await client.deliver(*bought)
        clock.now += 100
        paid_at = int(clock.now)
        account.cancel_now(subscription)
        clock.now += 100
        await client.deliver(*account.events[len(bought) :])
        clock.now += 100

        then, now = await explained(client, at=paid_at), await explained(client)
        assert (then["plan"], then["access"], then["known_since"]) == ("team", "full", START)
        assert (now["plan"], now["access"], now["catalogue"]) == ("free", "none", then["catalogue"])
        assert now["features"] == (await explained(client, at=int(clock.now)))["features"]
        (projects,) = (await explained(client, at=paid_at, feature="projects"))["features"]
        assert projects["lines"][1].startswith("  plan team: 10 (10 × 1), price price_team of sub_")
        assert {each["id"] for each in then["last_events"]} <= {event.id for event in bought}
        assert all(each["first_processed_at"] == START for each in then["last_events"])

        page = words(await visitor.open(f"/user?id=ada&at={paid_at}"))
        for part in ("plan team", "access full", "price price_team of sub_", "Known back to"):
            assert part in page
        for moment, problem in (
            ("1000000", "known back to 2030-01-01"),
            ("soon", "is no moment"),
            ("0001-01-01T00:00%2B14:00", "is no moment"),
        ):
            assert problem in words(await visitor.open(f"/user?id=ada&at={moment}"))

        for at, status, part in (
            (START - 1, 404, "known back to 2030-01-01 00:00:00 UTC"),
            (int(clock.now) + 1, 422, "lies in the future"),
        ):
            response = await client.get("/internal/users/ada/explanation", at=at)
            assert (response.status_code, part in response.json()["detail"]) == (status, True)
        unknown = await client.get("/internal/users/ada/explanation", feature="prjects")
        assert unknown.status_code == 404


async def test_an_event_that_came_and_was_not_processed_by_then_is_named(database_url: str) -> None:
    clock = Clock()
    account = Account(seed=7, start=START - DAY)
    account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    async with logged_in(database_url, clock) as (client, _):
        await client.app.state.billing.catalogues.store()
        await client.deliver(*account.events)
        late = account.events[-1].id
        async with client.app.state.billing.database.session() as session:
            await (await session.connection()).execute(
                text("UPDATE billing_event SET first_processed_at = :then WHERE id = :id"),
                {"then": START + 500, "id": late},
            )
        clock.now += 1000
        then = await explained(client, at=START + 100)
        assert [each["id"] for each in then["waiting_events"]] == [late]
        assert late in {each["id"] for each in (await explained(client))["last_events"]}


async def test_a_replay_leaves_when_an_event_was_first_processed(database_url: str) -> None:
    clock = Clock()
    account = Account(seed=7, start=START - DAY)
    account.create_customer(user_id="ada")
    async with logged_in(database_url, clock) as (client, _):
        service = client.app.state.billing
        (event,) = account.events
        await client.deliver(event)
        async with service.database.session() as session:
            connection = await session.connection()
            await connection.execute(text("UPDATE billing_event SET state = 'dead'"))
        clock.now += 50
        replayed = await client.http.post(f"/internal/events/{event.id}/replay", headers=AUTH)
        assert replayed.status_code == 200, replayed.text
        await service.worker.retry_due()
        async with service.database.reading() as session:
            query = text("SELECT state, processed_at, first_processed_at FROM billing_event")
            (row,) = await (await session.connection()).execute(query)
        assert tuple(row) == ("processed", START + 50, START)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("1893456000", START),
        ("2030-01-01", START),
        ("2030-01-01 00:01", START + 60),
        ("2030-01-01T02:00:30+02:00", START + 30),
        ("2029-12-31T23:59:59Z", START - 1),
    ],
)
def test_a_moment_is_read_as_people_write_it(written: str, moment: int) -> None:
    assert read_moment(written) == moment


@pytest.mark.parametrize(
    "written",
    [
        "",
        "yesterday",
        "2030-13-01",
        "12",
        "9" * 30,
        "0" * 20 + "9" * 5000,
        "-5",
        "1969-12-31",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59-14:00",
    ],
)
def test_what_is_no_moment_is_refused(written: str) -> None:
    with pytest.raises(InvalidRequest, match="is no moment"):
        read_moment(written)
