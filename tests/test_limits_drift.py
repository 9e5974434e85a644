"""Usage beside an application's own count: what is compared, and what cannot be a count."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from app import limits
from app.errors import InvalidRequest
from app.plans import MAX_AMOUNT
from app.simulator import DAY

from .client import Client, running
from .test_limits import PLANS, Clock, consume, subscribe
from .test_limits_robustness import ALLOWANCE


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[Client]:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    async with running(database_url, clock=clock, plans_file=file) as client:
        yield client


def counting(counted: Mapping[str, Any]) -> Callable[[], Awaitable[Mapping[str, int]]]:
    async def count() -> Mapping[str, int]:
        return counted

    return count


async def test_a_renewal_that_comes_late_opens_its_period_though_all_was_used_before(
    client: Client, clock: Clock
) -> None:
    account, subscription = await subscribe(client, clock)
    late = 30 * DAY + 3600
    clock.now += late
    account.advance(late)
    await consume(client, "ada", "tokens", ALLOWANCE)
    before = len(account.events)
    account.renew(subscription)
    await client.deliver(*account.events[before:])
    assert (await consume(client, "ada", "tokens", 1)).used == 1


@pytest.mark.parametrize("number", [-1, 2.5, True, MAX_AMOUNT + 1])
@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_count_that_cannot_be_one_repairs_nothing(
    client: Client, number: float, dry_run: bool
) -> None:
    await consume(client, "ada", "projects", 2)
    with pytest.raises(InvalidRequest):
        await limits.reconcile("projects", counting({"aaa": 1, "ada": number}), dry_run=dry_run)
    assert (await limits.load("ada")).check("projects").used == 2
    assert (await limits.load("aaa")).check("projects").used == 0


@pytest.mark.parametrize("feature", ["sso", "max_upload_mb"])
async def test_what_is_not_counted_cannot_be_reconciled(client: Client, feature: str) -> None:
    with pytest.raises(InvalidRequest):
        await limits.reconcile(feature, counting({}))


@pytest.mark.parametrize("feature", ["api_calls", "tokens"])
@pytest.mark.parametrize("counted", [{}, {"ada": 3}])
async def test_usage_of_a_period_that_is_over_is_not_compared_with_a_count_of_the_next(
    client: Client, clock: Clock, feature: str, counted: dict[str, int]
) -> None:
    account, subscription = await subscribe(client, clock)
    await consume(client, "ada", feature, 3)
    clock.now += 31 * DAY
    account.advance(31 * DAY)
    before = len(account.events)
    account.renew(subscription)
    await client.deliver(*account.events[before:])
    drifts = await limits.reconcile(feature, counting(counted), dry_run=False)
    assert {drift.user_id: (drift.used, drift.counted, drift.repaired) for drift in drifts} == {
        user: (0, number, True) for user, number in counted.items()
    }
    assert (await limits.load("ada")).check(feature).used == counted.get("ada", 0)


async def test_usage_of_a_period_that_stays_open_for_a_renewal_is_compared(
    client: Client, clock: Clock
) -> None:
    await subscribe(client, clock)
    await consume(client, "ada", "tokens", 3)
    clock.now += 30 * DAY + 3600
    assert await limits.reconcile("tokens", counting({"ada": 3})) == []
