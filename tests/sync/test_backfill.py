"""Rows that another release wrote are reapplied in steps, while webhooks arrive and that release runs."""

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from functools import cache
from typing import Any

import pytest
from sqlalchemy import delete, text, update

from app.db.migrations import migrate
from app.db.models import Customer, Invoice, Price, Subscription, follows_rules, table_of
from app.service import Service
from app.signals import reactions
from app.sync.backfill import Backfill, count_outdated
from app.worker.worker import Worker

from ..client import Client, running
from ..inbox.items.helpers import MONTH as MONTH_SECONDS
from ..inbox.items.helpers import START as ITEMS_START
from ..inbox.items.helpers import YEAR, yearly_to_monthly
from ..inbox.test_past_due import CASES
from ..story import DAY, HOUR, MONTH, Story, orders
from ..waiting import until

pytestmark = pytest.mark.postgresql_in_long

NOW = 1_893_456_000  # 2030-01-01 00:00:00 UTC
RELEASE_BEFORE = "0009"
"""The newest migration of the release before rows said by which rules they were written."""
RULED = (Subscription, Invoice, Customer)
UNCOMPARED = {"recorded_at", "version", "updated_at", "rules_row_version"}


@pytest.fixture
async def client(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """A service whose backfill begins when a test says so, and whose worker announces nothing beside it."""
    for task in (Backfill, Worker):
        monkeypatch.setattr(task, "run", lambda task: asyncio.sleep(0))
    async with running(database_url, clock=lambda: NOW) as client:
        yield client


def service_of(client: Client) -> Service:
    service: Service = client.app.state.billing
    return service


@cache
def columns_of_the_release_before() -> dict[str, set[str]]:
    """The columns that its migrations make, by table."""
    with tempfile.TemporaryDirectory() as folder:
        migrate(f"sqlite:///{folder}/before.db", RELEASE_BEFORE)
        with closing(sqlite3.connect(f"{folder}/before.db")) as connection:
            return {
                table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
                for table in (model.__tablename__ for model in RULED)
            }


async def as_the_release_before_wrote_them(client: Client) -> None:
    """Take away from all rows what that release does not know."""
    before = await asyncio.to_thread(columns_of_the_release_before)
    async with service_of(client).database.session() as session:
        for model in RULED:
            table = table_of(model)
            unknown = [each for each in table.columns if each.name not in before[table.name]]
            values = {each.name: None if each.nullable else False for each in unknown}
            await (await session.connection()).execute(update(table).values(values))
        await (await session.connection()).execute(delete(table_of(Price)))


async def rows(client: Client, story: Story) -> list[dict[str, Any]]:
    """All that is stored of the story, without what counts changes."""
    async with service_of(client).database.reading() as session:
        found = [
            await session.get(Customer, story.customer),
            await session.get(Subscription, story.id),
            *[await session.get(Invoice, id) for id in sorted(story.invoices)],
        ]
    return [row.model_dump(exclude=UNCOMPARED) for row in found if row is not None]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.rest_in_long(5)
async def test_rows_of_the_release_before_become_what_todays_rules_make(client: Client, case: Any) -> None:
    story, _ = case()
    for event in orders(story.events)[2]:
        await client.send(event)
    expected = await rows(client, story)
    await as_the_release_before_wrote_them(client)
    assert await count_outdated(service_of(client).database) == len(expected)
    assert await service_of(client).backfill.reapply_all() == len(expected)
    assert await rows(client, story) == expected
    assert await count_outdated(service_of(client).database) == 0
    assert await service_of(client).backfill.reapply_all() == 0, "once is enough"


async def test_a_row_that_an_older_process_changes_beside_this_one_is_found_and_reapplied(
    client: Client,
) -> None:
    """It knows nothing of the new columns: it leaves them as they are, and counts the version up."""
    story = Story(NOW - 40 * DAY)
    story.change(NOW - 30 * DAY, status="past_due")
    story.change(NOW - 28 * DAY, status="active")
    for event in story.events:
        await client.send(event)
    before = (await rows(client, story))[1]
    await client.send(story.change(NOW - HOUR, status="past_due"))
    expected = await rows(client, story)
    async with service_of(client).database.session() as session:
        row = await session.get(Subscription, story.id)
        assert row is not None and follows_rules(row)
        row.past_due_since, row.running_at = NOW - 30 * DAY, before["running_at"]
        row.due_at = [NOW - 30 * DAY]
        row.version += 1
    answer = await client.read(f"/internal/users/{story.user}/entitlements")
    assert answer["access"] == "none", "as the release before says, from the period's start"
    assert await service_of(client).backfill.reapply_all() == 1
    assert await rows(client, story) == expected
    service_of(client).limits.snapshots.forget(None)
    assert (await client.read(f"/internal/users/{story.user}/entitlements"))["access"] == "grace"


@pytest.mark.long
async def test_webhooks_that_arrive_meanwhile_lose_nothing(client: Client) -> None:
    """Half of each story is of the release before; the rest comes while its rows are reapplied."""
    stories = []
    for number in range(12):
        story, _ = CASES[number % len(CASES)]()
        stories.append(story)
        for event in orders(story.events)[number % 5][::2]:
            await client.send(event)
    await as_the_release_before_wrote_them(client)

    async def arrive() -> None:
        for story in stories:
            await asyncio.gather(*(client.send(event) for event in story.events))

    reapplied, _ = await asyncio.gather(service_of(client).backfill.reapply_all(), arrive())
    assert reapplied > 0
    await service_of(client).backfill.reapply_all()
    assert await count_outdated(service_of(client).database) == 0
    got = [await rows(client, story) for story in stories]
    await as_the_release_before_wrote_them(client)
    await service_of(client).backfill.reapply_all()
    assert [await rows(client, story) for story in stories] == got, "once more changes nothing"
    for story, found in zip(stories, got, strict=True):
        row = found[1]
        first = (row["due_at"] or [None])[0]
        assert row["status"] == story.object["status"]
        if row["running_at"] is None and row["due_invoices"]:  # never seen running: the invoices may say more
            assert row["past_due_since"] is None or row["past_due_since"] <= first
        else:
            assert row["past_due_since"] == first


async def test_a_backfill_that_is_stopped_goes_on_where_it_was(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stories = [CASES[number]()[0] for number in range(3)]
    for story in stories:
        for event in story.events:
            await client.send(event)
    expected = [await rows(client, story) for story in stories]
    await as_the_release_before_wrote_them(client)
    backfill, waiting = service_of(client).backfill, await count_outdated(service_of(client).database)
    reapply_row = backfill.reapply_row

    async def once(model: Any, id: str) -> bool:
        backfill.stop()
        return await reapply_row(model, id)

    monkeypatch.setattr(backfill, "reapply_row", once)
    assert await backfill.reapply_all() == 1
    assert await count_outdated(service_of(client).database) == waiting - 1
    monkeypatch.setattr(backfill, "reapply_row", reapply_row)
    monkeypatch.setattr(backfill, "_stopped", asyncio.Event())
    assert await backfill.reapply_all() == waiting - 1
    assert [await rows(client, story) for story in stories] == expected


async def test_what_is_pruned_keeps_the_answer_of_the_release_before(client: Client) -> None:
    """Past due for months: the step is pruned, and a note in the metadata yesterday is all that is left."""
    story = Story(NOW - 200 * DAY)
    story.invoice("invoice.payment_failed", NOW - 170 * DAY, attempt_count=4)
    story.change(NOW - 170 * DAY, status="past_due")
    story.change(NOW - DAY, metadata={"note": "promised to pay"})
    for event in story.events:
        await client.send(event)
    await as_the_release_before_wrote_them(client)
    async with service_of(client).database.session() as session:
        await (await session.connection()).execute(
            text("DELETE FROM billing_event WHERE created < :before"), {"before": NOW - 90 * DAY}
        )
    await service_of(client).backfill.reapply_all()
    [_, subscription, _] = await rows(client, story)
    assert subscription["past_due_since"] == NOW - 170 * DAY
    assert (await client.read(f"/internal/users/{story.user}/entitlements"))["access"] == "none"


async def test_reapplying_announces_nothing_and_keeps_what_is_finished(client: Client) -> None:
    story = Story(NOW - MONTH, status="incomplete")
    story.change(NOW - MONTH, status="active")
    story.invoice("invoice.payment_failed", NOW - DAY, attempt_count=1)
    story.change(NOW - DAY, status="past_due")
    for event in story.events:
        await client.send(event)
    expected = await rows(client, story)
    assert expected[1]["needs_refresh"] is False
    told: list[Any] = []
    for signal in reactions.values():
        signal.connect(told.append, weak=False)
    try:
        await as_the_release_before_wrote_them(client)
        await service_of(client).backfill.reapply_all()
        await asyncio.sleep(0)
    finally:
        for signal in reactions.values():
            signal.disconnect(told.append)
    assert (told, await rows(client, story)) == ([], expected)


async def test_a_running_service_does_it_by_itself(database_url: str) -> None:
    story, since = CASES[0]()
    async with running(database_url, clock=lambda: NOW) as client:
        for event in story.events:
            await client.send(event)
        await as_the_release_before_wrote_them(client)
    async with running(database_url, clock=lambda: NOW) as client:

        async def is_done() -> bool:
            return not await count_outdated(service_of(client).database)

        await until(is_done)
        assert (await rows(client, story))[1]["past_due_since"] == since


async def paid_through(client: Client) -> int | None:
    async with service_of(client).database.reading() as session:
        row = await session.get(Subscription, "sub_ada")
        assert row is not None
        return row.paid_through


@pytest.mark.parametrize("pruned", [False, True])
async def test_what_a_credit_paid_in_the_release_before_is_given_up_where_its_invoices_are_stored(
    client: Client, pruned: bool
) -> None:
    for event in yearly_to_monthly("ada").events:
        await client.send(event)
    month, year = await paid_through(client), ITEMS_START + YEAR
    assert month == ITEMS_START + MONTH_SECONDS
    await as_the_release_before_wrote_them(client)
    async with service_of(client).database.session() as session:
        await (await session.connection()).execute(update(table_of(Subscription)).values(paid_through=year))
        if pruned:
            await (await session.connection()).execute(
                text("DELETE FROM billing_event WHERE type LIKE 'invoice.%'")
            )
    assert await service_of(client).backfill.reapply_all() > 0
    assert await paid_through(client) == (year if pruned else month)


async def test_a_row_that_cannot_be_reapplied_keeps_no_other_back(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        for event in CASES[number]()[0].events:
            await client.send(event)
    await as_the_release_before_wrote_them(client)
    backfill, waiting = service_of(client).backfill, await count_outdated(service_of(client).database)
    reapply_row, tried = backfill.reapply_row, 0

    async def fails_at_first(model: Any, id: str) -> bool:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise LookupError("a fault of ours")
        return await reapply_row(model, id)

    monkeypatch.setattr(backfill, "reapply_row", fails_at_first)
    assert await backfill.reapply_all() == waiting - 1
    assert await backfill.reapply_all() == 1, "the next pass tries it again"


async def test_a_backfill_ends_with_a_database_that_is_down(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for event in CASES[0]()[0].events:
        await client.send(event)
    await as_the_release_before_wrote_them(client)

    async def down(model: Any, id: str) -> bool:
        raise TimeoutError

    monkeypatch.setattr(service_of(client).backfill, "reapply_row", down)
    with pytest.raises(TimeoutError):
        await service_of(client).backfill.reapply_all()
