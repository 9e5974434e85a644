"""Changes at the period's end: planned, replaced, taken back, canceled over, and interrupted anywhere."""

import asyncio
from typing import Any

import pytest

from app.billing import stripe_changes
from app.billing.customers import stripe_of
from app.billing.subscription_changes import cancel_subscription, change_subscription
from app.errors import StripeUnavailable
from app.simulator import DAY, Subscription
from app.stripe.client import promptly

from ..shop import Shop, shop
from .test_subscription_changes import path, stored

pytestmark = pytest.mark.postgresql_in_long

SCHEDULES = "/v1/subscription_schedules"


async def planned(here: Shop, user_id: str = "user_ada") -> Any:
    summary = await here.client.read(f"/internal/users/{user_id}/summary")
    return summary["subscriptions"][0]["scheduled_change"]


def schedules(here: Shop, *statuses: str) -> list[Any]:
    records = here.account.records.get("subscription_schedule", {}).values()
    return [each for each in records if not statuses or each.content["status"] in statuses]


async def renew(here: Shop, subscription: Subscription) -> None:
    here.account.advance(subscription.period_end - here.account.now)
    here.account.renew(subscription)
    await here.hear()


async def test_a_downgrade_waits_for_the_end_of_the_period(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(quantity=2)
        end = subscription.period_end
        shown = await here.done(path(subscription, "change/preview"), {"plan": "starter"})
        assert (shown["direction"], shown["when"], shown["at"]) == ("downgrade", "period_end", end)
        assert (shown["amount_due"], shown["charged_at"], shown["proration_date"]) == (900, end, None)
        changed = await here.done(path(subscription, "change"), {"plan": "starter"})
        item = {"price_id": "price_starter", "plan": "starter", "addon": None, "quantity": 1}
        wanted = {"at": end, "plan": "starter", "items": [item]}
        assert (changed["outcome"], changed["scheduled_change"]) == ("scheduled", wanted)
        assert (changed["plan_id"], changed["quantity"]) == ("price_team", 2)
        assert await planned(here) == wanted and await here.plan_of() == "team"
        await here.hear()
        assert await planned(here) == wanted and await here.plan_of() == "team"
        [entry] = await here.audited(subscription.id)
        assert entry.action == "subscription.change_scheduled" and entry.after is not None
        assert entry.after["planned"] == {"at": end, "items": [["price_starter", 1]]}
        await renew(here, subscription)
        assert await here.plan_of() == "starter" and await planned(here) is None
        assert here.account.invoices[subscription.latest_invoice or ""].amount_due == 900
        here.account.advance(DAY)
        assert subscription.schedule is None, "the portal can change it again"


async def test_a_planned_change_is_taken_back(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        await here.done(path(subscription, "change"), {"plan": "starter"})
        resumed = await here.done(path(subscription, "resume"))
        assert resumed["schedule_id"] is None and await planned(here) is None
        await here.hear()
        assert (await stored(here, subscription))["schedule_id"] is subscription.schedule is None
        await renew(here, subscription)
        assert await here.plan_of() == "team"
        actions = [entry.action for entry in await here.audited(subscription.id)]
        assert actions == ["subscription.change_scheduled", "subscription.resumed"]


async def test_asking_for_what_it_is_takes_a_planned_change_back(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        await here.done(path(subscription, "change"), {"plan": "starter"})
        changed = await here.done(path(subscription, "change"), {"plan": "team"})
        assert (changed["outcome"], changed["scheduled_change"]) == ("unchanged", None)
        assert subscription.schedule is None


async def test_a_second_planned_change_replaces_the_first(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(quantity=5)
        await here.done(path(subscription, "change"), {"plan": "starter"})
        here.account.advance(60)
        changed = await here.done(path(subscription, "change"), {"quantity": 2})
        assert changed["scheduled_change"]["items"] == [
            {"price_id": "price_team", "plan": "team", "addon": None, "quantity": 2}
        ]
        again = await here.done(path(subscription, "change"), {"quantity": 2})
        assert again["scheduled_change"] == changed["scheduled_change"]
        assert len(schedules(here)) == 1 and len(await here.audited(subscription.id)) == 2
        await renew(here, subscription)
        assert (await stored(here, subscription))["quantity"] == 2


async def test_an_upgrade_at_once_replaces_a_planned_downgrade(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        await here.done(path(subscription, "change"), {"plan": "starter"})
        here.account.advance(60)
        changed = await here.done(path(subscription, "change"), {"quantity": 4})
        assert (changed["outcome"], changed["quantity"], changed["scheduled_change"]) == ("changed", 4, None)
        await here.hear()
        await renew(here, subscription)
        assert (await stored(here, subscription))["quantity"] == 4


async def test_canceling_and_resuming_work_while_a_change_is_planned(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        await here.done(path(subscription, "change"), {"plan": "starter"})
        canceled = await here.done(path(subscription, "cancel"))
        assert canceled["cancel_at_period_end"] and await planned(here) is None
        refused = await here.post(path(subscription, "change"), {"plan": "starter"})
        assert refused.status_code == 409 and "Resume it first" in refused.json()["detail"]
        assert not (await here.done(path(subscription, "resume")))["cancel_at_period_end"]
        await here.done(path(subscription, "change"), {"plan": "starter"})
        ended = await here.done(path(subscription, "cancel"), {"at_period_end": False})
        assert ended["status"] == "canceled" and await planned_of_all(here) == []


async def planned_of_all(here: Shop) -> list[Any]:
    summary = await here.client.read("/internal/users/user_ada/summary")
    return [each["scheduled_change"] for each in summary["subscriptions"] if each["scheduled_change"]]


async def test_what_the_subscription_has_stays_in_its_phases(sqlite_database: str) -> None:
    """Add-ons, discounts and metadata: an update of a schedule replaces whole phases."""
    async with shop(sqlite_database) as here:
        subscription = await here.bought(quantity=3)
        await here.done(path(subscription, "change"), {"addons": {"more_projects": 2}})
        api, _ = stripe_of(here.service)
        coupon = await api.post("/v1/coupons", percent_off=50, duration="forever")
        await api.post(f"/v1/subscriptions/{subscription.id}", discounts=[{"coupon": coupon.content["id"]}])
        item = subscription.items[0]
        await api.post(f"/v1/subscription_items/{item.id}", metadata={"seats_of": "berlin"})
        metadata, discounts = dict(subscription.metadata), [each.id for each in subscription.discounts]
        here.account.advance(60)
        await here.done(path(subscription, "change"), {"quantity": 1})
        assert [(each.price.id, each.quantity) for each in subscription.items] == [
            ("price_team", 3),
            ("price_more_projects", 2),
        ]
        assert [each.id for each in subscription.discounts] == discounts != []
        [schedule] = schedules(here)
        present, following = schedule.content["phases"]
        assert [each["metadata"] for each in present["items"]] == [{"seats_of": "berlin"}, {}]
        assert following["items"][0]["metadata"] == {"seats_of": "berlin"}
        await renew(here, subscription)
        assert [(each.price.id, each.quantity) for each in subscription.items] == [
            ("price_team", 1),
            ("price_more_projects", 2),
        ]
        assert [each.id for each in subscription.discounts] == discounts
        assert subscription.metadata == metadata
        assert here.account.invoices[subscription.latest_invoice or ""].amount_due == (2900 + 2 * 500) // 2


@pytest.mark.parametrize("after", ["create", "update", "release"])
@pytest.mark.rest_in_long(2)
async def test_a_process_that_dies_between_two_calls_leaves_nothing_that_hinders(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought(quantity=2)
        if after == "release":
            await here.done(path(subscription, "change"), {"plan": "starter"})
        api, _ = stripe_of(here.service)
        post = type(api).post

        async def dying(self: Any, at: str, **params: Any) -> Any:
            answer = await post(self, at, **params)
            kind = "release" if at.endswith("/release") else "create" if at == SCHEDULES else "update"
            if at.startswith(SCHEDULES) and kind == after:
                raise asyncio.CancelledError
            return answer

        with monkeypatch.context() as patched:
            patched.setattr(type(api), "post", dying)
            with pytest.raises(asyncio.CancelledError):
                await interrupted(here, subscription, after)
        here.account.advance(60)
        if after == "create":
            assert subscription.schedule is not None and await planned(here) is None
        await here.hear()
        changed = await here.done(path(subscription, "change"), {"plan": "starter"})
        assert changed["scheduled_change"]["plan"] == "starter"
        assert len(schedules(here, "active")) == 1
        await renew(here, subscription)
        assert await here.plan_of() == "starter"


async def interrupted(here: Shop, subscription: Subscription, after: str) -> None:
    if after == "release":
        await cancel_subscription(here.service, subscription.id, actor="test", confirm=True)
    else:
        await change_subscription(here.service, subscription.id, actor="test", plan="starter")


async def test_a_schedule_without_a_plan_does_not_keep_anybody_from_canceling(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        api, _ = stripe_of(here.service)
        await api.post(SCHEDULES, from_subscription=subscription.id)
        assert (await here.done(path(subscription, "cancel")))["cancel_at_period_end"]
        assert subscription.schedule is None


async def test_somebody_elses_schedule_is_not_replaced_but_a_user_can_cancel(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        api, _ = stripe_of(here.service)
        made = (await api.post(SCHEDULES, from_subscription=subscription.id)).content
        current = {
            "items": [{"price": "price_team", "quantity": 1}],
            "start_date": subscription.period_start,
            "end_date": subscription.period_end,
        }
        raised = {
            "items": [{"price": "price_team", "quantity": 2}],
            "end_date": subscription.period_end + DAY,
        }
        await api.post(f"{SCHEDULES}/{made['id']}", phases=[current, raised])
        for verb, body in (("change", {"plan": "starter"}), ("change", {"quantity": 3}), ("resume", None)):
            refused = await here.post(path(subscription, verb), body)
            assert refused.status_code == 409 and made["id"] in refused.json()["detail"], verb
        assert subscription.schedule == made["id"]
        assert (await here.done(path(subscription, "cancel")))["cancel_at_period_end"]


async def test_two_changes_at_once_make_one_schedule(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(quantity=5)
        bodies: list[dict[str, Any]] = [{"plan": "starter"}, {"quantity": 2}, {"quantity": 3}]
        await asyncio.gather(*(here.done(path(subscription, "change"), body) for body in bodies))
        assert len(schedules(here, "active")) == len(schedules(here)) == 1
        here.account.advance(60)
        await here.hear()
        await renew(here, subscription)
        [item] = subscription.items
        row = await stored(here, subscription)
        assert (row["plan_id"], row["quantity"]) == (item.price.id, item.quantity)


async def test_a_planned_change_whose_answer_is_lost_is_found_or_said_to_be_unknown(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        for calls, status in ((True, 200), (False, 502)):

            async def lost(call: Any, calls: bool = calls) -> Any:
                monkeypatch.setattr(stripe_changes, "promptly", promptly)
                if calls:
                    await call
                else:
                    call.close()
                raise StripeUnavailable("Stripe does not answer in time.")

            monkeypatch.setattr(stripe_changes, "promptly", lost)
            answer = await here.post(path(subscription, "change"), {"plan": "starter"})
            assert answer.status_code == status, answer.text
            if status == 200:
                assert answer.json()["scheduled_change"]["plan"] == "starter"
                await here.done(path(subscription, "resume"))
        assert subscription.schedule is None and await planned(here) is None
