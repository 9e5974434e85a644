"""What a subscription schedule plans, in the record: in every order of events, ended, fetched."""

from itertools import permutations
from typing import Any

import pytest

from app.billing.customers import stripe_of
from app.db.models import Subscription as Row
from app.simulator import DAY, Subscription
from app.sync.pending import UNCHANGED_SECONDS, PendingFetches

from ..shop import USER, Shop, shop

pytestmark = pytest.mark.postgresql_in_long

Content = dict[str, Any]


async def planned_at_stripe(
    here: Shop, subscription: Subscription, price: str, schedule: str = ""
) -> Content:
    """Plan another price for the period's end, as any tool of the team's might."""
    api, _ = stripe_of(here.service)
    if not schedule:
        made = await api.post("/v1/subscription_schedules", from_subscription=subscription.id)
        schedule = str(made.content["id"])
    item = subscription.items[0]
    current = {
        "items": [{"price": item.price.id, "quantity": item.quantity}],
        "start_date": subscription.period_start,
        "end_date": subscription.period_end,
    }
    end = subscription.period_end + DAY
    phases = [current, {"items": [{"price": price, "quantity": 1}], "end_date": end}]
    return (await api.post(f"/v1/subscription_schedules/{schedule}", phases=phases)).content


async def shown(here: Shop, user_id: str = USER) -> Content:
    summary = await here.client.read(f"/internal/users/{user_id}/summary")
    found: Content = summary["subscriptions"][0]
    return found


async def row_of(here: Shop, subscription: Subscription) -> Row:
    async with here.service.database.reading() as session:
        row = await session.get(Row, subscription.id)
    assert row is not None
    return row


def starter_at(subscription: Subscription) -> Content:
    item = {"price_id": "price_starter", "plan": "starter", "addon": None, "quantity": 1}
    return {"at": subscription.period_end, "plan": "starter", "items": [item]}


async def test_events_in_every_order_show_the_same_planned_change(database_url: str) -> None:
    async with shop(database_url) as here:
        for number, order in enumerate([*permutations(range(3)), None]):
            user = f"user_{number}"
            customer = here.account.create_customer(user_id=user)
            subscription = here.account.create_subscription(customer, "price_team")
            if order is not None:
                await here.hear()
            here.account.advance(60)
            await planned_at_stripe(here, subscription, "price_starter")
            told = here.account.events[here.delivered :]
            here.delivered += len(told)
            ordered = told[::-1] if order is None else [told[place] for place in order]
            assert order is None or len(told) == 3
            await here.client.deliver(*ordered)
            assert (await row_of(here, subscription)).schedule_id == subscription.schedule
            assert (await shown(here, user))["scheduled_change"] == starter_at(subscription), order


async def test_a_planned_change_is_shown_with_its_date_until_it_is_taken_back(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        assert (await shown(here))["scheduled_change"] is None
        schedule = await planned_at_stripe(here, subscription, "price_starter")
        await here.hear()
        assert (await shown(here))["scheduled_change"] == starter_at(subscription)
        summary = await here.client.read(f"/internal/users/{USER}/summary")
        [banner] = summary["banners"]
        assert (banner["kind"], banner["at"]) == ("changing", subscription.period_end)
        api, _ = stripe_of(here.service)
        here.account.advance(5)
        await api.post(f"/v1/subscription_schedules/{schedule['id']}/release")
        await here.hear()
        assert (await shown(here))["scheduled_change"] is None
        assert (await row_of(here, subscription)).schedule_id is None


async def test_after_the_renewal_nothing_is_planned_any_more(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(quantity=2)
        await planned_at_stripe(here, subscription, "price_starter")
        here.account.advance(subscription.period_end - here.account.now)
        here.account.renew(subscription)
        await here.hear()
        assert await here.plan_of() == "starter"
        assert (await shown(here))["scheduled_change"] is None
        here.account.advance(DAY)
        assert subscription.schedule is None, "a phase of one day releases the subscription"
        await here.hear()
        assert (await row_of(here, subscription)).schedule_id is None


async def test_an_import_brings_the_planned_change(database_url: str) -> None:
    async with shop(database_url) as here:
        customer = here.account.create_customer(user_id=USER)
        subscription = here.account.create_subscription(customer, "price_team")
        await planned_at_stripe(here, subscription, "price_starter")
        assert here.service.reconcile is not None
        await here.service.reconcile.run(repair=True)
        assert (await shown(here))["scheduled_change"] == starter_at(subscription)


async def test_two_changes_of_a_schedule_within_one_second_are_read_from_stripe(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(quantity=2)
        schedule = await planned_at_stripe(here, subscription, "price_starter")
        await planned_at_stripe(here, subscription, "price_more_projects", schedule["id"])
        changes = [each for each in here.account.events if each.type == "subscription_schedule.updated"]
        assert len(changes) == 2 and changes[0].created == changes[1].created
        await here.client.deliver(*here.account.events[here.delivered :][::-1])
        assert (await row_of(here, subscription)).needs_refresh
        here.account.advance(UNCHANGED_SECONDS + 1)
        api, objects = stripe_of(here.service)
        clock = here.service.clock
        assert await PendingFetches(here.service.database, objects, api, clock=clock).refresh_due() >= 1
        row = await row_of(here, subscription)
        assert not row.needs_refresh
        assert (await shown(here))["scheduled_change"]["items"][0]["price_id"] == "price_more_projects"


async def test_a_key_that_may_not_read_schedules_reads_the_subscription_all_the_same(
    sqlite_database: str,
) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        schedule = await planned_at_stripe(here, subscription, "price_starter")
        here.account.records["subscription_schedule"].pop(schedule["id"])
        api, objects = stripe_of(here.service)
        assert (await api.read("subscription", subscription.id)).content["schedule"] == schedule["id"]
        await objects.refresh("subscription", subscription.id)
        assert (await row_of(here, subscription)).schedule_id == schedule["id"]
        assert (await shown(here))["scheduled_change"] is None
