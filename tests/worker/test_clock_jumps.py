"""A clock that jumps ends nothing, deletes nothing, and stops nothing; the future hides nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.backoff import GIVE_UP_ATTEMPTS, has_come
from app.stripe.objects import MAX_SECONDS
from app.sync import leases
from app.worker.worker import Worker

from ..client import AUTH, Client, running
from ..limits.helpers import Clock
from .helpers import broken, service_of, signed_up, state_of

DAY, YEAR = 86_400, 365 * 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(
    any_database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    async with running(any_database_url, clock=clock) as client:
        yield client


async def test_three_days_ahead_is_no_reason_to_give_up_after_two_attempts(
    client: Client, clock: Clock
) -> None:
    event = signed_up().events[-1]
    with broken():
        await client.deliver(event)
        clock.now += 3 * DAY + 60
        await service_of(client).worker.retry_due()
        assert await state_of(client, event.id) == ("failed", 2)
        for _ in range(GIVE_UP_ATTEMPTS):
            clock.now += 2 * DAY
            await service_of(client).worker.retry_due()
        assert (await state_of(client, event.id))[0] == "dead"


async def test_a_retry_goes_on_after_the_clock_was_set_back(client: Client, clock: Clock) -> None:
    event = signed_up().events[-1]
    clock.now += YEAR
    with broken():
        await client.deliver(event)
    clock.now -= YEAR
    assert await service_of(client).worker.retry_due() == 1
    assert (await state_of(client, event.id))[0] == "processed"


async def test_alerts_and_jobs_go_on_after_the_clock_was_set_back(client: Client, clock: Clock) -> None:
    service, checks = service_of(client), 0

    async def check() -> None:
        nonlocal checks
        checks += 1

    service.alerts.check = check  # type: ignore[method-assign]
    clock.now += YEAR
    await service.alerts.check_when_due()
    assert await leases.acquire(service.database, "catch-up", int(clock.now), holder="killed")
    clock.now -= YEAR
    await service.alerts.check_when_due()
    assert checks == 2
    assert await leases.acquire(service.database, "catch-up", int(clock.now))


def test_a_moment_further_ahead_than_it_can_be_has_come() -> None:
    assert not has_come(100, 50, within=60) and has_come(100, 100, within=60) and has_come(100, 30, within=60)


async def test_nothing_is_pruned_while_the_clocks_differ(client: Client, clock: Clock) -> None:
    clock.now = int(time.time())
    service = service_of(client)
    consume = {"op": "consume", "key": "once"}
    path = "/internal/users/ada/usage/projects"
    assert (await client.http.post(path, json=consume, headers=AUTH)).json()["used"] == 1
    clock.now += 120 * DAY
    await service.worker.pruner.run()
    clock.now -= 120 * DAY
    assert (await client.http.post(path, json=consume, headers=AUTH)).json()["used"] == 1
    await service.worker.pruner.run()


def customer_event(number: int, created: int, email: str, **more: Any) -> dict[str, Any]:
    content = {"id": "cus_1", "object": "customer", "email": email} | more.pop("content", {})
    envelope = {"id": f"evt_{number}", "object": "event", "type": "customer.updated", "livemode": False}
    return envelope | {"created": created, "data": {"object": content}} | more


async def test_what_came_while_the_clock_was_behind_is_not_pruned_as_old(
    client: Client, clock: Clock
) -> None:
    clock.now = now = int(time.time())
    earlier, newest = (customer_event(n, now - 60 * n, f"{n}@example.org") for n in (2, 1))
    clock.now -= YEAR
    assert await client.send(newest) == "processed"
    assert await client.send(earlier) == "processed"
    clock.now = now
    await service_of(client).worker.pruner.run()
    assert await client.send(earlier) == "duplicate"


@pytest.mark.parametrize("livemode", [True, False])
async def test_an_event_of_the_year_9999_hides_nothing_that_follows(
    client: Client, clock: Clock, livemode: bool
) -> None:
    now = int(clock.now)
    far = customer_event(1, MAX_SECONDS, "far@example.org", livemode=livemode)
    assert await client.send(far) == "deferred"
    later = customer_event(2, now, "now@example.org", livemode=livemode)
    assert await client.send(later) == "processed"
    assert (await client.read("/internal/customers/cus_1"))["email"] == "now@example.org"
    stored = await client.read("/internal/events/evt_1")
    assert stored["state"] == "failed" and "ahead of this machine's clock" in stored["last_error"]


async def test_two_days_ahead_are_set_aside_in_live_mode_and_taken_from_a_test_clock(
    client: Client, clock: Clock
) -> None:
    at = int(clock.now) + 2 * DAY
    assert await client.send(customer_event(1, at, "a@example.org", livemode=True)) == "deferred"
    on_clock = {"test_clock": "clock_1"}
    assert (
        await client.send(customer_event(2, at + 20 * YEAR, "b@example.org", content=on_clock)) == "processed"
    )
