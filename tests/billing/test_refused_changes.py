"""A card is refused for a change at once, while another change is planned for the period's end."""

from typing import Any

import pytest

from app.billing import scheduled_changes, subscription_changes
from app.errors import StripeUnavailable
from app.simulator import DAY, Subscription

from ..shop import Shop, shop
from .test_changes_at_once import give_card
from .test_scheduled_changes import planned, renew
from .test_subscription_changes import path, stored

pytestmark = pytest.mark.postgresql_in_long


async def refuse_an_upgrade(here: Shop) -> tuple[Subscription, Any]:
    """Plan to give the add-on up, and have a refused card keep the plan from being changed at once."""
    subscription = await here.bought(price_id="price_starter", pause=10 * DAY)
    await here.done(path(subscription, "change"), {"addons": {"more_projects": 2}})
    here.account.advance(60)
    await here.done(path(subscription, "change"), {"addons": {"more_projects": 1}, "when": "period_end"})
    give_card(here.account, subscription, "chargeCustomerFail")
    here.account.advance(60)
    order = {"plan": "team", "addons": {"more_projects": 0}, "confirm": True, "when": "now"}
    return subscription, await here.post(path(subscription, "change"), order)


async def test_what_was_planned_stays_planned_when_a_card_is_refused(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription, refused = await refuse_an_upgrade(here)
        assert refused.status_code == 402 and "taken back" not in refused.json()["detail"], refused.text
        await here.hear()
        items = {each["price_id"]: each["quantity"] for each in (await planned(here))["items"]}
        assert items == {"price_starter": 1, "price_more_projects": 1}
        give_card(here.account, subscription, "visa")
        await renew(here, subscription)
        shown = await stored(here, subscription)
        assert {each["price_id"]: each["quantity"] for each in shown["items"]} == items


async def test_it_is_said_when_what_was_planned_cannot_be_planned_again(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise StripeUnavailable("Stripe fails.")

    async with shop(sqlite_database) as here:
        planning = scheduled_changes.plan_change

        async def fail_the_second_time(*order: Any) -> Any:
            monkeypatch.setattr(scheduled_changes, "plan_change", refuse)
            return await planning(*order)

        monkeypatch.setattr(subscription_changes, "plan_change", fail_the_second_time)
        _, refused = await refuse_an_upgrade(here)
        assert refused.status_code == 402 and "plan it again" in refused.json()["detail"], refused.text
        await here.hear()
        assert await planned(here) is None


async def test_a_change_that_waits_for_its_payment_says_what_it_has_taken_back(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought(pause=10 * DAY)
        await here.done(path(subscription, "change"), {"plan": "starter"})
        give_card(here.account, subscription, "chargeCustomerFail")
        here.account.advance(60)
        refused = await here.post(path(subscription, "change"), {"quantity": 4})
        assert refused.status_code == 402 and refused.json()["pay_url"]
        assert "plan it again" in refused.json()["detail"]
        await here.hear()
        assert await planned(here) is None
