"""One trial for each user, and how one ends for which no card was asked."""

import pytest
from sqlmodel import select

from app.db.models import Subscription as Record
from app.operations.erasure import erase_user
from app.simulator import DAY
from app.simulator.api import complete_checkout

from ..shop import USER, Shop, shop

pytestmark = pytest.mark.postgresql_in_long


async def refused_trial(here: Shop, subscription_id: str) -> None:
    refused = await here.order(trial_days=14)
    assert refused.status_code == 409, refused.text
    assert (refused.json()["reason"], refused.json()["subscription_id"]) == ("trial_used", subscription_id)
    without = await here.done("checkout-sessions", {**_order(), "trial_days": 0})
    assert without["trial_days"] is None


def _order() -> dict[str, str]:
    return {"user_id": USER, "plan": "team", "success_url": "https://app.example.com/w"}


async def test_a_user_has_one_trial(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(trial_days=14)
        assert subscription.status == "trialing"
        here.account.cancel_now(subscription)
        await refused_trial(here, subscription.id)
        await here.hear()
        await refused_trial(here, subscription.id)
        assert (await here.order("user_bob", trial_days=14)).status_code == 200


async def test_a_trial_counts_whose_customer_was_deleted_and_whose_user_was_erased(
    sqlite_database: str,
) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought(trial_days=14)
        here.account.delete_customer(here.account.customers[subscription.customer])
        await here.hear()
        await refused_trial(here, subscription.id)
        await erase_user(here.service.database, USER, actor="test", at=here.account.now)
        await refused_trial(here, subscription.id)


async def test_a_trial_of_another_user_with_the_same_customer_counts_and_a_strangers_does_not(
    sqlite_database: str,
) -> None:
    async with shop(sqlite_database) as here:
        account = here.account
        stranger = account.create_subscription(account.create_customer(), trial_days=14)
        account.complete_checkout(stranger, USER)
        mine = account.create_customer(user_id=USER)
        await here.hear()
        assert (await here.order(trial_days=14)).status_code == 200
        other = account.create_subscription(mine, trial_days=14, user_id="user_bob")
        await here.hear()
        account.cancel_now(other)
        await refused_trial(here, other.id)


async def test_a_trial_that_never_began_does_not_count(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought(trial_days=14)
        subscription.status = "incomplete_expired"
        async with here.service.database.session() as session:
            row = (await session.exec(select(Record))).one()
            row.status = "incomplete_expired"
            session.add(row)
        assert (await here.order(trial_days=14)).status_code == 200


@pytest.mark.parametrize(
    ("behavior", "status"), [("cancel", "canceled"), ("pause", "paused"), ("create_invoice", "past_due")]
)
async def test_a_trial_without_a_card_ends_as_it_was_ordered(
    sqlite_database: str, behavior: str, status: str
) -> None:
    async with shop(sqlite_database) as here:
        session_id = await here.opened(trial_days=14, trial_without_card=behavior)
        assert here.account.sessions[session_id].details["payment_method_collection"] == "if_required"
        subscription = complete_checkout(here.account, session_id)
        assert subscription.default_payment_method is None
        await here.hear()
        here.account.advance(14 * DAY)
        here.account.end_trial(subscription)
        await here.hear()
        user = await here.client.read(f"/internal/users/{USER}")
        assert [each["status"] for each in user["subscriptions"]] == [status]


async def test_a_trial_for_which_a_card_was_asked_goes_on_paid(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought(trial_days=14)
        assert subscription.default_payment_method is not None
        here.account.advance(14 * DAY)
        here.account.end_trial(subscription)
        await here.hear()
        assert subscription.status == "active" and await here.plan_of() == "team"
