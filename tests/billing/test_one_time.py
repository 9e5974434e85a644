"""Credits and lifetime plans, from the checkout session to what a user has, on the simulator."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app import limits
from app.operations.checks import check_service
from app.simulator import DAY, Account
from app.simulator.model import CheckoutSession, Price

from ..inbox.purchases import PLANS
from ..limits.helpers import consume
from ..shop import ORIGIN, USER, Shop, shop

pytestmark = pytest.mark.postgresql_in_long

PATH = "one-time-sessions"
GRANTS = f"/internal/users/{USER}/grants"


def ordered(**changes: Any) -> dict[str, Any]:
    addresses = {"success_url": f"{ORIGIN}/welcome", "cancel_url": f"{ORIGIN}/plans"}
    return {"user_id": USER} | addresses | ({"credits": "top_up"} if "plan" not in changes else {}) | changes


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    file = tmp_path / "plans.toml"
    file.write_text(f'{PLANS}[credits.vast]\nprices = ["price_vast"]\nprojects = {2**53 - 1}\n')
    account = Account(1)
    for name in ("top_up", "gift", "lifetime", "vast"):
        account.add_price(Price(f"price_{name}", 1000, recurring=False))
    async with shop(database_url, account=account, plans_file=file) as here:
        yield here


async def opened(here: Shop, **changes: Any) -> CheckoutSession:
    made = await here.done(PATH, ordered(**changes))
    return here.account.sessions[made["session_id"]]


async def left(here: Shop) -> dict[str, int]:
    found = (await here.client.read(GRANTS))["data"]
    return {each["feature"]: each["left"] for each in found if each["feature"]}


async def test_a_refund_that_fails_later_gives_the_credits_back(here: Shop) -> None:
    session = await opened(here)
    here.account.pay_once(session)
    here.account.refund_once(session, 400)
    here.account.refund_once(session, 600)
    await here.hear()
    assert await left(here) == {"api_calls": 0, "projects": 0}
    first, second = here.account.records["refund"].values()
    here.account.advance(5 * DAY)
    here.account.fail_refund(second)
    await here.hear()
    assert await left(here) == {"api_calls": 60, "projects": 2}
    here.account.fail_refund(first, status="canceled")
    await here.hear()
    assert await left(here) == {"api_calls": 100, "projects": 2}
    here.account.refund_once(session, 500)
    await here.hear()
    assert await left(here) == {"api_calls": 50, "projects": 1}


async def test_a_top_up_is_bought_used_up_refunded_and_clawed_back(here: Shop) -> None:
    session = await opened(here, quantity=2)
    assert (session.amount_total, session.metadata["grant"]) == (2000, "credits.top_up")
    here.account.pay_once(session)
    await here.hear()
    assert await left(here) == {"api_calls": 200, "projects": 4}
    await consume(here.client, USER, "api_calls", 105)
    summary = await here.client.read(f"/internal/users/{USER}/summary")
    [shown] = [each for each in summary["usage"] if each["feature"] == "api_calls"]
    assert (shown["limit"], shown["granted"], shown["remaining"]) == (205, 200, 100)
    here.account.refund_once(session, 500)
    await here.hear()
    assert await left(here) == {"api_calls": 50, "projects": 3}
    await consume(here.client, USER, "api_calls", 50)
    with pytest.raises(limits.LimitExceeded):
        await consume(here.client, USER, "api_calls")
    here.account.refund_once(session)
    await here.hear()
    assert await left(here) == {"api_calls": 0, "projects": 0}
    trail = [entry for entry in await here.audited(USER) if entry.action == "grant.clawed_back"]
    assert [(entry.after or {})["used_all_the_same"]["api_calls"] for entry in trail] == [0, 150]


async def test_a_delayed_payment_grants_days_later(here: Shop) -> None:
    session = await opened(here)
    here.account.pay_once(session, delayed=True)
    await here.hear()
    assert await left(here) == {}
    here.account.advance(3 * DAY)
    here.account.complete_delayed_payment(session)
    await here.hear()
    assert await left(here) == {"api_calls": 100, "projects": 2}


async def test_a_lifetime_plan_is_bought_once_and_ends_with_a_lost_dispute(here: Shop) -> None:
    session = await opened(here, plan="lifetime")
    here.account.pay_once(session)
    await here.hear()
    assert await here.plan_of() == "lifetime"
    again = await here.post(PATH, ordered(plan="lifetime"))
    assert (again.status_code, "for good already" in again.json()["detail"]) == (409, True)
    here.account.advance(DAY)
    dispute = here.account.dispute_once(session)
    await here.hear()
    assert await here.plan_of() == "lifetime"
    here.account.close_dispute(dispute, won=False)
    await here.hear()
    assert await here.plan_of() == "free"
    here.account.pay_once(await opened(here, plan="lifetime"))
    await here.hear()
    assert await here.plan_of() == "lifetime"


async def test_the_buyer_who_comes_back_has_it_at_once_and_the_webhooks_grant_nothing_more(
    here: Shop,
) -> None:
    session = await opened(here)
    path = f"{PATH}/{session.id}/sync"
    assert not (await here.done(path, {"user_id": USER}))["applied"]
    here.account.pay_once(session)
    synced = await here.done(path, {"user_id": USER})
    assert (synced["applied"], synced["user_id"], synced["payment_status"]) == (True, USER, "paid")
    assert await left(here) == {"api_calls": 100, "projects": 2}
    await here.done(path)
    await here.hear()
    assert await left(here) == {"api_calls": 100, "projects": 2}
    assert (await here.post(path, {"user_id": "bob"})).status_code == 404


async def test_the_same_key_is_the_same_session(here: Shop) -> None:
    assert (await opened(here, key="k")).id == (await opened(here, key="k")).id


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"credits": "gone"}, 404),
        ({"plan": "gone"}, 404),
        ({"plan": "team"}, 422),
        ({"plan": "lifetime", "quantity": 2}, 422),
        ({"plan": "lifetime", "credits": "top_up"}, 422),
        ({"credits": None}, 422),
        ({"quantity": 0}, 422),
        ({"success_url": "https://elsewhere.example/"}, 422),
    ],
)
async def test_what_is_not_sold_once_opens_no_session(
    here: Shop, changes: dict[str, Any], status: int
) -> None:
    refused = await here.post(PATH, ordered(**changes))
    assert (refused.status_code, here.account.sessions) == (status, {})


async def test_what_is_bought_once_is_neither_subscribed_nor_changed_to(here: Shop) -> None:
    refused = await here.order(plan="lifetime", quantity=1)
    assert (refused.status_code, "bought once" in refused.text) == (422, True)
    subscription = await here.bought(plan="team", quantity=1)
    refused = await here.post(f"subscriptions/{subscription.id}/change", {"plan": "lifetime"})
    assert (refused.status_code, "bought once" in refused.text) == (422, True)
    summary = await here.client.read(f"/internal/users/{USER}/summary")
    assert {choice["plan"]: choice["once"] for choice in summary["choices"]} == {"lifetime": True}


async def test_a_payment_link_that_does_not_say_what_it_sells_is_synced_by_its_price(here: Shop) -> None:
    customer = here.account.create_customer(user_id=USER)
    session = here.account.open_once([("price_top_up", 2)], customer=customer.id)
    session.details = {"payment_link": "plink_1"}
    here.account.pay_once(session)
    await here.hear()
    assert await left(here) == {}
    synced = await here.done(f"{PATH}/{session.id}/sync", {})
    assert (synced["applied"], await left(here)) == (True, {"api_calls": 200, "projects": 4})
    other = here.account.open_once([("price_team", 1)], customer=customer.id)
    here.account.pay_once(other)
    refused = await here.post(f"{PATH}/{other.id}/sync", {})
    assert (refused.status_code, "plans file" in refused.json()["detail"]) == (422, True)


@pytest.mark.parametrize("is_linked", [True, False], ids=["linked", "named by the link's address"])
async def test_the_buyer_of_a_payment_link_is_its_customers_user(here: Shop, is_linked: bool) -> None:
    named = {"user_id": USER} if is_linked else {}
    session = here.account.open_once(
        [("price_top_up", 1)],
        customer=here.account.create_customer(**named).id,
        client_reference_id=None if is_linked else USER,
    )
    session.details = {"payment_link": "plink_1"}
    here.account.pay_once(session)
    path = f"{PATH}/{session.id}/sync"
    made = [each for each in here.account.events if each.type == "customer.created"]
    await here.client.deliver(*made)  # what the buyer bought is still on the way
    synced = await here.done(path, {"user_id": USER})
    assert (synced["applied"], synced["user_id"]) == (True, USER)
    assert await left(here) == {"api_calls": 100, "projects": 2}
    assert (await here.post(path, {"user_id": "bob"})).status_code == 404


async def test_more_packs_than_can_be_counted_are_not_sold(here: Shop) -> None:
    refused = await here.post(PATH, ordered(credits="vast", quantity=2))
    assert (refused.status_code, "more than can be counted" in refused.text) == (422, True)
    assert (await opened(here, credits="vast")).metadata["grant"] == "credits.vast"


@pytest.mark.parametrize(
    ("sold", "why"),
    [
        (["price_team"], "none of its prices is in the plans file"),
        (["price_top_up", "price_gift"], "sells credits.top_up and credits.gift together"),
    ],
)
async def test_a_payment_link_that_sells_nothing_of_the_catalogue_is_looked_up_once(
    here: Shop, sold: list[str], why: str
) -> None:
    customer = here.account.create_customer(user_id=USER)
    session = here.account.open_once([(price, 1) for price in sold], customer=customer.id)
    session.details = {"payment_link": "plink_1"}
    here.account.pay_once(session)
    await here.hear()
    service = here.client.app.state.billing
    assert [each.ids for each in (await check_service(service))["purchases"]] == [[session.id]]
    answer = await here.post(f"{PATH}/{session.id}/sync", {})
    assert (answer.status_code, why in answer.text) == (422, True)
    assert (await check_service(service))["purchases"] == []
    assert await left(here) == {}
