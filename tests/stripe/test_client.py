"""Calls to Stripe: those that somebody waits for do not queue behind those of the background."""

import asyncio
from types import SimpleNamespace

import pytest

from app.errors import StripeUnavailable
from app.simulator import Account
from app.simulator.api import API_KEY, ApiFaults, serving
from app.stripe.client import MAX_AT_ONCE, StripeApi, promptly


async def test_a_call_that_somebody_waits_for_passes_those_of_the_background() -> None:
    account, faults = Account(1), ApiFaults()
    customer = account.create_customer(user_id="ada")
    subscription = account.create_subscription(customer, "price_team")
    async with serving(account, faults=faults) as base:
        api = StripeApi(API_KEY, base)
        hold = faults.hold("delay", MAX_AT_ONCE, path="/v1/customers")
        slow = [asyncio.create_task(api.read("customer", customer.id)) for _ in range(MAX_AT_ONCE)]
        try:
            answer = await promptly(api.read("subscription", subscription.id))
            assert answer.content["id"] == subscription.id
            assert not any(task.done() for task in slow)
        finally:
            hold.release()
            await asyncio.gather(*slow)
            await api.close()


DATED = {"Date": "Tue, 01 Jan 2030 00:00:00 GMT"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [("[]", DATED), ("null", DATED), ('"busy"', DATED), ("{", DATED), ("{}", {}), ("{}", {"Date": "today"})],
)
async def test_what_is_no_answer_of_stripes_counts_as_none(
    body: str, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = StripeApi(API_KEY)

    async def from_a_proxy(*_: object, **__: object) -> object:
        return SimpleNamespace(body=body, headers=headers)

    monkeypatch.setattr(api._client, "raw_request_async", from_a_proxy)
    with pytest.raises(StripeUnavailable, match="proxy"):
        await api.get("/v1/account")
    await api.close()
