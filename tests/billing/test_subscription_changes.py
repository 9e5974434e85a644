"""Another plan, another quantity, the end and its taking back: made at Stripe, in the record at once."""

import asyncio
from typing import Any

import pytest

from app.billing.customers import stripe_of
from app.errors import Stale
from app.inbox.delivery import receive
from app.simulator import NEW, Subscription, event_body

from ..shop import USER, Shop, shop

pytestmark = pytest.mark.postgresql_in_long


async def use_projects(here: Shop, used: int) -> None:
    """The user has so many projects."""
    await here.done(f"users/{USER}/usage/projects", {"op": "set", "amount": used})


def path(subscription: Subscription, verb: str) -> str:
    return f"subscriptions/{subscription.id}/{verb}"


async def stored(here: Shop, subscription: Subscription) -> Any:
    return await here.client.read(f"/internal/subscriptions/{subscription.id}")


async def test_a_change_holds_when_the_call_returns_and_the_webhook_changes_nothing(
    database_url: str,
) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(quantity=3)
        changed = await here.done(path(subscription, "change"), {"quantity": 5})
        assert (changed["plan_id"], changed["quantity"]) == ("price_team", 5)
        here.account.advance(60)
        changed = await here.done(path(subscription, "change"), {"plan": "starter", "when": "now"})
        assert (changed["plan_id"], changed["quantity"]) == ("price_starter", 1), "of a flat plan one is all"
        assert await here.plan_of() == "starter"
        await here.hear()
        assert (await stored(here, subscription))["plan_id"] == "price_starter"
        [item] = subscription.items
        assert (item.price.id, item.quantity) == ("price_starter", 1)


@pytest.mark.parametrize("changes", [4, pytest.param(12, marks=pytest.mark.long)])
async def test_two_changes_within_one_second_hold_each(database_url: str, changes: int) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        for quantity in range(2, 2 + changes):
            changed = await here.done(path(subscription, "change"), {"quantity": quantity})
            assert changed["quantity"] == quantity
        await here.hear()
        assert (await stored(here, subscription))["quantity"] == 1 + changes


async def test_a_change_in_the_second_of_the_purchase_holds_at_once(database_url: str) -> None:
    """Stripe's stamps are whole seconds, and cannot tell which of the two was first."""
    async with shop(database_url) as here:
        subscription = await here.bought(pause=0)
        for quantity in (5, 6):
            changed = await here.done(path(subscription, "change"), {"quantity": quantity})
            assert changed["quantity"] == quantity
            if quantity == 5:
                await here.hear()
        assert (await here.done(path(subscription, "cancel")))["cancel_at_period_end"]
        await here.hear()
        row = await stored(here, subscription)
        assert (row["quantity"], row["cancel_at_period_end"]) == (6, True)


async def test_a_state_fetched_before_an_event_of_the_same_batch_is_stale(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        api, objects = stripe_of(here.service)
        version = await objects.version("subscription", subscription.id)
        old = await api.read("subscription", subscription.id)
        here.account.change_quantity(subscription, 7)
        event = receive(event_body(here.account.events[-1], NEW), signature=None, received_at=1)
        taken = await asyncio.gather(
            here.service.inbox.accept(event),
            objects.apply("subscription", old.content, old.at, version),
            return_exceptions=True,
        )
        assert isinstance(taken[1], Stale)
        assert (await stored(here, subscription))["quantity"] == 7


async def test_the_other_items_of_a_subscription_stay(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        here.account.add_item(subscription, "price_more_projects", 2)
        subscription.items.reverse()
        body = {"price_id": "price_starter", "when": "now"}
        changed = await here.done(path(subscription, "change"), body)
        assert changed["plan_id"] == "price_starter"
        assert {item["price_id"]: item["quantity"] for item in changed["items"]} == {
            "price_more_projects": 2,
            "price_starter": 1,
        }


async def test_what_would_be_over_is_listed_until_it_is_confirmed(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(quantity=2)
        await use_projects(here, 15)
        smaller = {"quantity": 1, "when": "now"}
        refused = await here.post(path(subscription, "change"), smaller)
        assert refused.status_code == 409
        over = {"limit_now": 20, "limit_then": 10, "used": 15, "over": 5}
        assert refused.json()["over"] == {"projects": over}
        assert "projects (15 used, limit 10)" in refused.json()["detail"]
        assert subscription.items[0].quantity == 2 and await here.audited(subscription.id) == []
        changed = await here.done(path(subscription, "change"), smaller | {"confirm": True})
        assert changed["quantity"] == subscription.items[0].quantity == 1
        # A limit that rises is nobody's concern, though it is still too low.
        await use_projects(here, 50)
        here.account.advance(60)
        assert (await here.done(path(subscription, "change"), {"quantity": 3}))["quantity"] == 3


@pytest.mark.parametrize("at_period_end", [True, False])
async def test_canceling_lists_what_would_be_over_then(database_url: str, at_period_end: bool) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        await use_projects(here, 8)
        wanted = {"at_period_end": at_period_end}
        refused = await here.post(path(subscription, "cancel"), wanted)
        assert refused.status_code == 409 and refused.json()["over"]["projects"]["limit_then"] == 3
        assert subscription.cancel_at is None and subscription.ended_at is None
        canceled = await here.done(path(subscription, "cancel"), wanted | {"confirm": True})
        assert canceled["cancel_at_period_end"] is at_period_end
        assert canceled["status"] == subscription.status == ("active" if at_period_end else "canceled")
        assert await here.plan_of() == ("team" if at_period_end else "free")
        await here.hear()
        assert (await stored(here, subscription))["status"] == subscription.status


async def test_with_a_subscription_its_add_ons_end(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        here.account.add_item(subscription, "price_more_projects")
        await here.hear()
        await use_projects(here, 40)
        refused = await here.post(path(subscription, "cancel"))
        over = {"limit_now": 60, "limit_then": 3, "used": 40, "over": 37}
        assert refused.json()["over"] == {"projects": over}


async def test_a_planned_end_is_taken_back(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        assert (await here.done(path(subscription, "cancel")))["cancel_at"] == subscription.period_end
        here.account.advance(60)
        resumed = await here.done(path(subscription, "resume"))
        assert (resumed["cancel_at"], resumed["cancel_at_period_end"]) == (None, False)
        calls = here.traffic.by_route["POST /v1/subscriptions/{id}"]
        assert (await here.done(path(subscription, "resume")))["status"] == "active"
        assert here.traffic.by_route["POST /v1/subscriptions/{id}"] == calls, "nothing was left to take back"


async def test_an_end_at_a_date_and_a_pause_are_taken_back(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        here.account.pause_collection(subscription)
        subscription.cancel_at = here.account.now + 1000
        resumed = await here.done(path(subscription, "resume"))
        assert resumed["cancel_at"] is None and subscription.pause_collection is None


async def test_one_that_waits_for_a_payment_method_is_sent_to_the_portal(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        subscription.status = "paused"
        refused = await here.post(path(subscription, "resume"))
        assert refused.status_code == 409 and "portal" in refused.json()["detail"]


async def test_what_has_ended_stays_ended_and_the_record_says_so(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        here.account.cancel_now(subscription)
        here.account.advance(60)
        for verb, body in (("change", {"quantity": 2}), ("cancel", {}), ("resume", None)):
            refused = await here.post(path(subscription, verb), body)
            assert refused.status_code == 409 and "ended" in refused.json()["detail"]
        assert (await stored(here, subscription))["status"] == "canceled", "no webhook has come"


async def test_every_change_is_in_the_trail(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(quantity=2)
        await here.done(path(subscription, "change"), {"plan": "starter", "quantity": 1, "when": "now"})
        await here.done(path(subscription, "cancel"))
        await here.done(path(subscription, "resume"))
        await here.done(path(subscription, "cancel"), {"at_period_end": False})
        entries = await here.audited(subscription.id)
        assert [entry.action.removeprefix("subscription.") for entry in entries] == [
            "changed",
            "canceled",
            "resumed",
            "canceled",
        ]
        assert {entry.actor for entry in entries} == {here.service.settings.api_keys[0].name}
        differences = [
            {key: [(entry.before or {})[key], value] for key, value in (entry.after or {}).items()}
            for entry in entries
        ]
        assert differences[0]["plan_id"] == ["price_team", "price_starter"]
        assert differences[0]["quantity"] == [2, 1]
        assert differences[1]["cancel_at_period_end"] == [False, True]
        assert differences[2]["cancel_at_period_end"] == [True, False]
        assert differences[3]["status"] == ["active", "canceled"]


async def test_what_cannot_be_is_refused_and_nothing_is_changed(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        for body, status in (
            ({}, 422),
            ({"plan": "team", "price_id": "price_team"}, 422),
            ({"plan": "free"}, 422),
            ({"plan": "gold"}, 404),
            ({"price_id": "price_unknown"}, 404),
            ({"price_id": "price_more_projects"}, 422),
            ({"quantity": -1}, 422),
            ({"quantity": 1, "confirm": "yes"}, 422),
        ):
            assert (await here.post(path(subscription, "change"), body)).status_code == status, body
        for other in ("sub_unknown", "sub_1%3Fexpand", "sub%00"):
            assert (await here.post(f"subscriptions/{other}/cancel")).status_code == 404
        assert await here.audited(subscription.id) == []
