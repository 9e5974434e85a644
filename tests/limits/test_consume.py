"""Usage is taken and released in the caller's transaction, within the limit."""

from typing import Any

import pytest

from app import limits
from app.errors import InvalidRequest, NotFound
from app.limits import FeatureNotIncluded, LimitExceeded

from ..client import Client
from .helpers import Clock, consume, release, subscribe

pytestmark = pytest.mark.postgresql_in_long


async def test_an_unknown_user_has_the_default_plan_and_nothing_is_written(client: Client) -> None:
    entitlements = await limits.load("nobody")
    assert (entitlements.plan, entitlements.limit("projects"), entitlements.allows("sso")) == (
        "free",
        3,
        False,
    )
    assert entitlements.check("projects").allowed
    assert not entitlements.check("projects", used=3).allowed
    async with client.app.state.billing.database.reading() as session:
        connection = await session.connection()
        for table in ("user", "usage", "customer"):
            count = await connection.exec_driver_sql(f"SELECT count(*) FROM billing_{table}")
            assert count.scalar_one() == 0


async def test_a_free_user_is_stopped_at_the_limit_and_an_upgrade_is_seen_at_once(
    client: Client, clock: Clock
) -> None:
    for number in (1, 2, 3):
        decision = await consume(client, "ada", "projects")
        assert (decision.used, decision.remaining) == (number, 3 - number)
    with pytest.raises(LimitExceeded) as caught:
        await consume(client, "ada", "projects")
    denied = caught.value.decision
    assert (denied.reason, denied.used, denied.limit, denied.upgrade_to) == ("limit_reached", 3, 3, ("team",))
    await subscribe(client, clock, quantity=2)
    assert (await limits.load("ada")).limit("projects") == 20
    assert (await consume(client, "ada", "projects")).used == 4


async def test_a_rollback_is_the_refund(client: Client) -> None:
    database = client.app.state.billing.database
    with pytest.raises(ZeroDivisionError):
        async with database.session() as session:
            await limits.consume(session, "ada", "projects", 3, key="k")
            raise ZeroDivisionError
    assert (await consume(client, "ada", "projects", 3, key="k")).used == 3


async def test_a_downgrade_below_the_usage_blocks_growth_and_allows_release(
    client: Client, clock: Clock
) -> None:
    account, subscription = await subscribe(client, clock)
    await consume(client, "ada", "projects", 8)
    account.advance(10)
    clock.now += 10
    account.cancel_now(subscription)
    await client.deliver(account.events[-1])
    with pytest.raises(LimitExceeded) as caught:
        await consume(client, "ada", "projects")
    assert (caught.value.decision.reason, caught.value.decision.used) == ("over_limit", 8)
    assert (await release(client, "ada", "projects", 6)).used == 2
    assert (await consume(client, "ada", "projects")).used == 3
    assert (await release(client, "ada", "projects", 50)).used == 0


async def test_what_a_plan_does_not_name_is_denied(client: Client) -> None:
    with pytest.raises(FeatureNotIncluded) as caught:
        await consume(client, "ada", "tokens")
    assert (caught.value.decision.reason, caught.value.decision.upgrade_to) == ("not_in_plan", ("team",))


@pytest.mark.parametrize("amount", [0, -1, 2**63, True, 1.5])
async def test_an_amount_that_is_none_is_refused(client: Client, amount: Any) -> None:
    with pytest.raises(InvalidRequest, match="amount"):
        await consume(client, "ada", "projects", amount)


async def test_the_greatest_amounts_do_not_overflow(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    assert (await consume(client, "ada", "storage_bytes", 2**63 - 1)).used == 2**63 - 1
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "storage_bytes", 1)
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "storage_bytes", 2**63 - 1)
    assert (await release(client, "ada", "storage_bytes", 2**63 - 1)).used == 0


async def test_a_feature_that_is_not_counted_cannot_be_taken(client: Client) -> None:
    with pytest.raises(InvalidRequest, match="boolean"):
        await consume(client, "ada", "sso")
    with pytest.raises(NotFound, match="colour"):
        await consume(client, "ada", "colour")
