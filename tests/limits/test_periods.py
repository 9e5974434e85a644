"""Usage that is set, periods that reset, soft limits and grace."""

import pytest

from app import limits
from app.limits import LimitExceeded
from app.simulator import DAY

from ..client import Client
from .helpers import START, Clock, consume, subscribe

pytestmark = pytest.mark.postgresql_in_long


async def test_measured_usage_is_set_and_blocks_growth(client: Client) -> None:
    async with client.app.state.billing.database.session() as session:
        decision = await limits.set_usage(session, "ada", "storage_bytes", 2**31)
    assert (decision.allowed, decision.used, decision.remaining) == (True, 2**31, 0)
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "storage_bytes", 1)


async def test_a_consumable_resets_with_the_utc_month(client: Client, clock: Clock) -> None:
    assert (await consume(client, "ada", "api_calls", 5)).resets_at == START + 31 * DAY
    with pytest.raises(LimitExceeded) as caught:
        await consume(client, "ada", "api_calls")
    assert caught.value.http_status == 429
    assert caught.value.headers == {"Retry-After": str(31 * DAY)}
    clock.now = START + 31 * DAY
    assert (await limits.load("ada")).check("api_calls").used == 0
    assert (await consume(client, "ada", "api_calls")).used == 1


async def test_a_period_without_a_renewal_seen_stays_open(client: Client, clock: Clock) -> None:
    account, subscription = await subscribe(client, clock)
    await consume(client, "ada", "tokens", 900)
    clock.now += 31 * DAY
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "tokens", 200)
    account.advance(31 * DAY)
    account.renew(subscription)
    await client.deliver(*account.events[-5:])
    assert (await consume(client, "ada", "tokens", 200)).used == 200


async def test_changing_plans_back_and_forth_resets_nothing(client: Client, clock: Clock) -> None:
    await consume(client, "ada", "api_calls", 5)
    account, subscription = await subscribe(client, clock)
    assert (await consume(client, "ada", "api_calls", 3)).used == 8
    clock.now += 60
    account.advance(60)
    account.cancel_now(subscription)
    await client.deliver(account.events[-1])
    with pytest.raises(LimitExceeded) as caught:
        await consume(client, "ada", "api_calls")
    assert caught.value.decision.used == 8


async def test_a_soft_limit_is_passed_and_reported(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    assert (await consume(client, "ada", "api_calls", 100)).reason == "ok"
    decision = await consume(client, "ada", "api_calls", 50)
    assert (decision.allowed, decision.reason, decision.used, decision.remaining) == (True, "ok_soft", 150, 0)


async def test_grace_and_the_payment_that_would_restore_access(client: Client, clock: Clock) -> None:
    account, subscription = await subscribe(client, clock)
    await consume(client, "ada", "projects", 5)
    account.advance(30 * DAY)
    clock.now += 30 * DAY
    account.renew(subscription, paid=False)
    await client.deliver(*account.events)
    decision = await consume(client, "ada", "projects")
    assert (decision.reason, decision.grace_ends_at) == ("ok_grace", START + 37 * DAY)
    clock.now += 7 * DAY
    with pytest.raises(LimitExceeded) as caught:
        await consume(client, "ada", "projects")
    assert (caught.value.decision.reason, caught.value.http_status) == ("payment_required", 402)
