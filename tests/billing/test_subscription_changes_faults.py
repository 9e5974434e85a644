"""Changes at Stripe whose answers are lost, late or repeated, and records that move meanwhile."""

import asyncio
from typing import Any

import pytest

from app.billing import stripe_changes, subscription_changes
from app.db.models import Subscription
from app.errors import Stale, StripeUnavailable, Unavailable
from app.signals import event_signal
from app.simulator.api import FaultKind
from app.stripe.client import promptly

from ..shop import shop
from .test_subscription_changes import path, stored

pytestmark = pytest.mark.postgresql_in_long


@pytest.mark.parametrize("kind", ["disconnect", "cut", "error", "rate_limit"])
@pytest.mark.parametrize(
    ("verb", "body"), [("change", {"quantity": 4}), ("cancel", {"at_period_end": False})]
)
@pytest.mark.rest_in_long(3)
async def test_a_change_whose_answer_is_lost_is_made_and_written_down_once(
    sqlite_database: str, kind: FaultKind, verb: str, body: dict[str, Any]
) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        here.faults.next("late", 1, seconds=0, path=f"/v1/subscriptions/{subscription.id}")  # the reading
        here.faults.next(kind, 1, seconds=0, path=f"/v1/subscriptions/{subscription.id}")
        response = await here.post(path(subscription, verb), body)
        if response.status_code == 502:  # a broken body is not repeated by the client, so it is by the caller
            assert kind == "cut"
            response = await here.post(path(subscription, verb), body)
        if verb == "change":
            assert response.json()["quantity"] == subscription.items[0].quantity == 4
        else:
            assert (await stored(here, subscription))["status"] == subscription.status == "canceled"
        assert len(await here.audited(subscription.id)) <= 1


async def test_while_stripe_is_down_nothing_changes(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        before = await stored(here, subscription)
        outages: list[tuple[FaultKind, int]] = [("error", 3), ("rate_limit", 6)]
        for kind, count in outages:
            here.faults.next(kind, count, seconds=0)
            refused = await here.post(path(subscription, "change"), {"quantity": 4})
            assert refused.status_code == 502 and "Try again" in refused.json()["detail"]
        assert await stored(here, subscription) == before and await here.audited(subscription.id) == []


@pytest.mark.long
async def test_changes_at_once_end_in_what_stripe_has(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        bodies = [{"quantity": quantity} for quantity in range(2, 8)]
        await asyncio.gather(*(here.done(path(subscription, "change"), body) for body in bodies))
        await here.hear()
        assert (await stored(here, subscription))["quantity"] == subscription.items[0].quantity
        assert len(await here.audited(subscription.id)) == len(bodies)


async def test_an_older_answer_that_stripe_repeats_is_not_taken_for_new(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our answer is lost; somebody changes it again; then Stripe repeats to us what it said at first."""
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        at = f"/v1/subscriptions/{subscription.id}"
        here.faults.next("late", 1, seconds=0, path=at)
        here.faults.next("disconnect", 1, path=at)
        pick = here.faults.pick

        def changed_in_between(asked: str) -> Any:
            if here.traffic.by_path[f"POST {at}"] == 2 and subscription.items[0].quantity == 4:
                here.account.change_quantity(subscription, 9)
            return pick(asked)

        monkeypatch.setattr(here.faults, "pick", changed_in_between)
        changed = await here.done(path(subscription, "change"), {"quantity": 4})
        assert changed["quantity"] == subscription.items[0].quantity == 9


async def test_a_change_that_cannot_be_applied_is_written_down_all_the_same(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        objects = here.service.objects
        assert objects is not None

        async def stale(*_: Any) -> Any:
            raise Stale("The record has changed meanwhile.")

        monkeypatch.setattr("app.sync.objects.StripeObjects.apply", stale)
        assert (await here.post(path(subscription, "change"), {"quantity": 4})).status_code == 200
        [entry] = await here.audited(subscription.id)
        assert entry.after is not None and entry.after["quantity"] == 4


async def test_a_database_that_is_down_after_the_change_is_said_to_be(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()

        async def down(*_: Any) -> Any:
            raise Unavailable("The database cannot take the event now.")

        with monkeypatch.context() as patched:
            patched.setattr("app.sync.objects.StripeObjects.apply", down)
            refused = await here.post(path(subscription, "change"), {"quantity": 4})
        assert refused.status_code == 503 and "Stripe has made the change" in refused.json()["detail"]
        await here.hear()
        assert (await stored(here, subscription))["quantity"] == 4


async def test_a_handler_that_fails_is_said_to_and_the_trail_has_the_change(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()

        def failing(event: Any, **_: Any) -> None:
            raise RuntimeError("no")

        with event_signal("customer.subscription.updated").connected_to(failing):
            refused = await here.post(path(subscription, "change"), {"quantity": 4})
        assert refused.status_code == 500 and "tried again" in refused.json()["detail"]
        assert [entry.action for entry in await here.audited(subscription.id)] == ["subscription.changed"]


async def test_no_transaction_is_open_while_stripe_is_asked(sqlite_database: str) -> None:
    """SQLite has one writer: a webhook gets through while an answer of Stripe's takes long."""
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        here.account.create_customer("eve@example.com", user_id="user_eve")
        hold = here.faults.hold("delay", 2, path="/v1/subscriptions")
        changing = asyncio.create_task(here.done(path(subscription, "change"), {"quantity": 4}))
        await hold.reached()
        await here.hear()
        assert not changing.done()
        hold.release()
        assert (await changing)["quantity"] == 4


async def test_a_change_that_stripe_made_after_our_time_out_is_found_and_written_down(
    any_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(any_database_url) as here:
        subscription = await here.bought()

        async def late(call: Any) -> Any:
            await call
            raise StripeUnavailable("Stripe does not answer in time.")

        tried = iter([promptly, late, promptly])
        monkeypatch.setattr(subscription_changes, "promptly", lambda call: next(tried)(call))
        monkeypatch.setattr(stripe_changes, "promptly", lambda call: next(tried)(call))
        changed = await here.done(path(subscription, "change"), {"quantity": 4})
        assert changed["quantity"] == subscription.items[0].quantity == 4
        (entry,) = await here.audited(subscription.id)
        assert entry.after is not None and entry.after["quantity"] == 4


async def test_a_change_of_which_nothing_is_known_is_written_down_and_looked_for(
    any_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(any_database_url) as here:
        subscription = await here.bought()

        async def lost(call: Any) -> Any:
            call.close()
            raise StripeUnavailable("Stripe does not answer in time.")

        monkeypatch.setattr(stripe_changes, "promptly", lost)
        refused = await here.post(path(subscription, "change"), {"quantity": 4})
        assert refused.status_code == 502
        (entry,) = await here.audited(subscription.id)
        assert entry.action == "subscription.changed" and entry.after == stripe_changes.UNKNOWN
        async with here.service.database.reading() as session:
            row = await session.get(Subscription, subscription.id)
            assert row is not None and row.needs_refresh
