"""Which events the next batch takes."""

from collections.abc import Sequence

import orjson

from app.inbox.delivery import receive
from app.inbox.queue import MAX_BATCH_EVENTS, MOST_LOOKED_AT, WORTH_ANOTHER_BATCH, Waiting, WaitingEvents

from ..limits.helpers import START


def waiting(event_id: str, customer: str) -> Waiting:
    customer_object = {"id": customer, "object": "customer", "metadata": {}}
    payload = {
        "id": event_id,
        "object": "event",
        "type": "customer.updated",
        "created": START,
        "data": {"object": customer_object},
    }
    delivery = receive(orjson.dumps(payload), signature=None, received_at=START)
    return Waiting(delivery)


def queue_of(*customers: str) -> WaitingEvents:
    queue = WaitingEvents()
    for number, customer in enumerate(customers):
        queue.add(waiting(f"evt_{number}", customer))
    return queue


def ids(batch: Sequence[Waiting]) -> list[str]:
    return [each.delivery.event.id for each in batch]


OTHERS = [f"cus_{number}" for number in range(WORTH_ANOTHER_BATCH)]


async def test_the_first_batch_takes_all_that_wait() -> None:
    queue = queue_of("cus_a", "cus_a", "cus_b")
    assert ids(queue.take()) == ["evt_0", "evt_1", "evt_2"]
    assert len(queue) == 0


async def test_a_batch_beside_another_takes_nothing_that_the_other_names() -> None:
    queue = queue_of("cus_a")
    first = queue.take()
    for number, customer in enumerate(["cus_a", *OTHERS, "cus_a"], 1):
        queue.add(waiting(f"evt_{number}", customer))
    assert ids(queue.take()) == [f"evt_{number}" for number in range(2, 2 + WORTH_ANOTHER_BATCH)]
    queue.end(first)
    assert ids(queue.take()) == []  # two are not worth a batch beside the second
    assert len(queue) == 2


async def test_the_same_event_is_never_in_two_batches_at_once() -> None:
    queue = queue_of("cus_a")
    queue.take()
    queue.add(waiting("evt_0", "cus_z"))
    for number, customer in enumerate(OTHERS, 1):
        queue.add(waiting(f"evt_{number}", customer))
    assert "evt_0" not in ids(queue.take())


async def test_what_an_event_names_that_must_wait_is_kept_for_it() -> None:
    """Or a busy customer's events would pass it for as long as they come."""
    queue = queue_of("cus_a")
    queue.take()
    queue.add(waiting("evt_blocked", "cus_a"))
    for number in range(WORTH_ANOTHER_BATCH):
        queue.add(waiting(f"evt_after_{number}", "cus_a"))
    assert queue.take() == []


async def test_a_batch_beside_another_begins_when_enough_wait_for_it() -> None:
    queue = queue_of("cus_a")
    queue.take()
    for number, customer in enumerate(["cus_a", *OTHERS[:-1]], 1):
        queue.add(waiting(f"evt_{number}", customer))
    assert queue.take() == []
    queue.add(waiting("evt_last", OTHERS[-1]))
    assert len(queue.take()) == WORTH_ANOTHER_BATCH


async def test_a_batch_beside_another_is_as_large_as_that_one() -> None:
    """Or a busy server would commit many small ones."""
    first = [f"cus_first_{number}" for number in range(2 * WORTH_ANOTHER_BATCH)]
    queue = queue_of(*first)
    assert len(queue.take()) == len(first)
    others = [f"cus_other_{number}" for number in range(len(first) - 1)]
    for number, customer in enumerate([first[0], *others]):
        queue.add(waiting(f"evt_more_{number}", customer))
    assert queue.take() == []
    queue.add(waiting("evt_last", "cus_last"))
    assert len(queue.take()) == len(first)


async def test_a_burst_of_one_object_is_looked_at_in_part() -> None:
    queue = queue_of("cus_a")
    first = queue.take()
    for number in range(MOST_LOOKED_AT):
        queue.add(waiting(f"evt_burst_{number}", "cus_a"))
    for number, customer in enumerate(OTHERS):
        queue.add(waiting(f"evt_behind_{number}", customer))
    assert queue.take() == []
    queue.end(first)
    assert len(queue.take()) == MAX_BATCH_EVENTS


async def test_all_that_is_not_finished_is_known() -> None:
    queue = queue_of("cus_a")
    batch = queue.take()
    queue.add(waiting("evt_1", "cus_b"))
    assert {each.delivery.event.id for each in queue.unfinished()} == {"evt_0", "evt_1"}
    queue.end(batch)
    assert [each.delivery.event.id for each in queue.unfinished()] == ["evt_1"]
