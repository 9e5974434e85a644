"""Which users today's rules change, listed from a live database in which nothing is written."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.db import Database
from app.db.models import Customer, Subscription, table_of
from app.inbox.kinds import KINDS
from app.operations.compare_rules import UserChange, compare_rules
from app.service import Service

from ..client import AUTH, Client, running
from ..inbox.items.helpers import PLANS as PRICES_OF_ITEMS
from ..inbox.items.helpers import START as ITEMS_START
from ..inbox.items.helpers import YEAR, yearly_to_monthly
from ..inbox.test_past_due import NOW, WEEK, bank_debit, net_30, new_period
from ..story import DAY, MONTH, Story, item, listed
from ..sync.test_backfill import as_the_release_before_wrote_them

pytestmark = pytest.mark.postgresql_in_long

PLANS = """
default_plan = "free"

[features]
projects = { kind = "allocated" }
sso = { kind = "boolean" }

[plans.free]
projects = 3

[plans.team]
prices = ["price_team"]
projects = 10

[plans.security]
prices = ["price_security"]
sso = true
"""


@pytest.fixture
async def client(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr("app.sync.backfill.Backfill.run", lambda backfill: asyncio.sleep(0))
    plans = tmp_path / "plans.toml"
    plans.write_text(PLANS)
    async with running(database_url, clock=lambda: NOW, plans_file=plans) as client:
        yield client


def service_of(client: Client) -> Service:
    service: Service = client.app.state.billing
    return service


async def send(client: Client, *stories: Story) -> None:
    for story in stories:
        for event in story.events:
            await client.send(event)


async def compared(client: Client) -> dict[str, UserChange]:
    service = service_of(client)
    found = await compare_rules(service.database, service.limits.catalogue, NOW)
    return {change.user_id: change for change in found.changed}


async def stored(database: Database) -> list[Any]:
    async with database.reading() as session:
        connection = await session.connection()
        return [
            [tuple(row) for row in await connection.execute(table_of(model).select().order_by("id"))]
            for model in KINDS.values()
        ]


def paying() -> Story:
    story = Story(NOW - 40 * DAY)
    story.renew(NOW - 10 * DAY)
    return story


async def test_users_whose_answers_change_are_listed_with_the_reason_and_no_others(client: Client) -> None:
    due, since = net_30()
    refused, refused_at = bank_debit()
    restarted, _ = new_period()
    same = paying()
    two_plans = paying()
    two_plans.change(
        NOW - DAY,
        items=listed(
            [item(price, NOW - DAY, NOW - DAY + MONTH) for price in ("price_team", "price_security")]
        ),
    )
    await send(client, same, due, refused, restarted, two_plans)
    await as_the_release_before_wrote_them(client)
    before = await stored(service_of(client).database)
    found = await compared(client)
    assert await stored(service_of(client).database) == before, "nothing is written"
    assert set(found) == {due.user, refused.user, restarted.user, two_plans.user}
    assert ("access", "grace", "none") in found[restarted.user].changes
    assert found[two_plans.user].changes == [("plan", "team", "security"), ("sso", False, True)]
    assert "price_security" in found[two_plans.user].why[-1]
    for story, at in ((due, since), (refused, refused_at)):
        changes = {name: (was, now) for name, was, now in found[story.user].changes}
        assert changes["access"] == ("none", "grace")
        assert changes["plan"] == ("free", "team")
        assert changes["projects"] == (3, 10)
        assert changes["grace_ends_at"] == (None, at + WEEK)
        assert [why for why in found[story.user].why if str(at) in why and story.id in why]


@pytest.mark.long
async def test_what_is_listed_is_what_the_backfill_then_does(client: Client) -> None:
    stories = [net_30()[0], bank_debit()[0], new_period()[0], paying()]
    await send(client, *stories)
    await as_the_release_before_wrote_them(client)

    async def answers() -> dict[str, Any]:
        service_of(client).limits.snapshots.forget(None)
        return {
            story.user: await client.read(f"/internal/users/{story.user}/entitlements") for story in stories
        }

    before, found = await answers(), await compared(client)
    await service_of(client).backfill.reapply_all()
    after = await answers()
    assert {user for user in after if after[user] != before[user]} == set(found)
    for user, change in found.items():
        for name, was, now in change.changes:
            if name in before[user]:
                assert (before[user][name], after[user][name]) == (was, now)
            else:
                values = [answer[user]["features"][name]["value"] for answer in (before, after)]
                assert values == [was, now]
    assert await compared(client) == {}, "once they are reapplied, nothing is left to change"


async def test_an_override_of_a_user_without_a_customer_is_compared_too(client: Client) -> None:
    await send(client, paying())
    response = await client.http.put(
        "/internal/users/solo/overrides/projects",
        json={"op": "set", "value": 7, "reason": "pilot", "actor": "support"},
        headers=AUTH,
    )
    assert response.status_code in (200, 201, 204), response.text
    service = service_of(client)
    found = await compare_rules(service.database, service.limits.catalogue, NOW)
    assert (found.compared, found.changed) == (2, [])


async def test_a_subscription_that_names_a_user_of_its_own_is_listed_for_both(client: Client) -> None:
    """One payer buys for an organisation: the release before gave the plan to the payer."""
    story = Story(NOW - 10 * DAY, metadata={"user_id": "org_of_the_payer"})
    await send(client, story)
    await as_the_release_before_wrote_them(client)
    async with service_of(client).database.session() as session:
        customer = await session.get(Customer, story.customer)
        assert customer is not None and customer.user_id == story.user
    found = await compared(client)
    assert set(found) == {story.user, "org_of_the_payer"}
    for user, plans in ((story.user, ("team", "free")), ("org_of_the_payer", ("free", "team"))):
        assert ("plan", *plans) in found[user].changes
        assert f"{story.id}: it belongs to org_of_the_payer" in found[user].why


@pytest.mark.long
async def test_what_only_the_stored_invoices_say_is_listed_too(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release before took the credited year for paid; the stored invoices say otherwise."""
    monkeypatch.setattr("app.sync.backfill.Backfill.run", lambda backfill: asyncio.sleep(0))
    plans = tmp_path / "plans.toml"
    plans.write_text(PRICES_OF_ITEMS)
    now = ITEMS_START + 40 * DAY
    async with running(database_url, clock=lambda: now, plans_file=plans) as client:
        for event in yearly_to_monthly("ada").events:
            await client.send(event)
        await as_the_release_before_wrote_them(client)
        async with service_of(client).database.session() as session:
            row = await session.get(Subscription, "sub_ada")
            assert row is not None
            row.paid_through = ITEMS_START + YEAR
        service = service_of(client)
        [change] = (await compare_rules(service.database, service.limits.catalogue, now)).changed
    assert change.user_id == "ada"
    assert ("plan", "pro", "free") in change.changes
    assert ("access", "full", "none") in change.changes
