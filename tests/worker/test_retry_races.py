"""A retry is finished by whoever has the event: a replay, or another worker, takes it from the one before."""

import pytest

from app.operations.replay import replay
from app.worker.worker import LEASE_SECONDS

from ..client import Client
from ..limits.helpers import Clock
from .helpers import another_worker, broken, service_of, signed_up, state_of

pytestmark = pytest.mark.postgresql_in_long


async def failed_event(client: Client, clock: Clock) -> str:
    """An event that failed five times and is due again."""
    event = signed_up().events[-1]
    assert await client.deliver(event) == ["deferred"]
    for _ in range(4):
        clock.now += 40_000
        await service_of(client).worker.retry_due()
    clock.now += 40_000
    return event.id


async def test_a_replay_while_a_worker_has_the_event_is_kept(client: Client, clock: Clock) -> None:
    service = service_of(client)
    with broken():
        event_id = await failed_event(client, clock)
        (taken,) = await service.worker._take_due()
        assert await replay(service.database, "me", at=int(clock.now), states=["failed"]) == 1
        await service.inbox.accept(taken)
        assert await state_of(client, event_id) == ("failed", 0)
    assert await service.worker.retry_due() == 1, "it is due at once, as the replay said"
    assert (await state_of(client, event_id))[0] == "processed"


async def test_a_worker_whose_lease_has_run_out_counts_no_attempt(client: Client, clock: Clock) -> None:
    service = service_of(client)
    with broken():
        event_id = await failed_event(client, clock)
        (slow,) = await service.worker._take_due()
        clock.now += LEASE_SECONDS
        (quick,) = await another_worker(service, clock)._take_due()
        before = await state_of(client, event_id)
        await service.inbox.accept(slow)
        assert await state_of(client, event_id) == before
        await service.inbox.accept(quick)
        assert await state_of(client, event_id) == ("failed", before[1] + 1)


async def test_an_event_that_the_database_refuses_is_left_to_who_replayed_it(
    client: Client, clock: Clock
) -> None:
    service = service_of(client)
    with broken():
        event_id = await failed_event(client, clock)
        (taken,) = await service.worker._take_due()
        await replay(service.database, "me", at=int(clock.now), states=["failed"])
        outcome = await service.inbox.transactions.keep_as_failed(taken, ValueError("refused"))
        assert outcome.duplicate
        assert await state_of(client, event_id) == ("failed", 0)
