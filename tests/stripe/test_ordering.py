"""The ordering rule, held against random histories whose true end is known."""

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stripe import ordering
from app.stripe.events import StripeEvent
from app.stripe.ordering import (
    Position,
    Snapshots,
    contested,
    judge,
    position,
    snapshot_of,
)
from app.stripe.steps import canonical, put_back

SECOND = 1_893_456_000


def subscription(status: str = "active", **fields: Any) -> dict[str, Any]:
    return {"id": "sub_1", "object": "subscription", "status": status, **fields}


def snapshot(
    id: str,
    content: dict[str, Any],
    *,
    kind: str = "updated",
    created: int = SECOND,
    previous: dict[str, Any] | None = None,
) -> StripeEvent:
    return StripeEvent(id, f"customer.subscription.{kind}", created, content, previous)


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """`previous_attributes` as Stripe makes them: nested hashes hold only what changed, absent is null."""
    changed: dict[str, Any] = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        both = isinstance(old, dict) and isinstance(new, dict)
        changed[key] = difference(old, new) if both else old  # type: ignore[arg-type]
    return changed


def random_content(rng: random.Random) -> dict[str, Any]:
    content = subscription(metadata={}, quantity=rng.randint(1, 3))
    for key in "ab":
        if rng.random() < 0.5:
            content["metadata"][key] = rng.choice("xy")
    if rng.random() < 0.3:
        content["items"] = {"data": [{"id": "si_1", "quantity": rng.randint(1, 2)}]}
    return content


def random_burst(rng: random.Random, start: dict[str, Any], steps: int) -> list[StripeEvent]:
    """A walk over few states, so that it often comes back to an earlier one, all in one second."""
    ids = rng.sample(range(10_000), steps)
    states, current, events = [start, *(random_content(rng) for _ in range(2))], start, []
    for number in ids:
        following = rng.choice([state for state in states if state != current] or [random_content(rng)])
        previous = difference(current, following)
        if not previous:
            continue
        events.append(snapshot(f"evt_{number}", following, previous=previous))
        current = following
    return events


def test_snapshots_are_judged_alike_one_by_one_and_together() -> None:
    rng = random.Random(20_260_102)
    for _ in range(200):
        start = random_content(rng)
        events = [snapshot("evt_zz", start, created=SECOND - 1), *random_burst(rng, start, 6)]
        events += [snapshot(f"{event.id}_again", event.object) for event in rng.sample(events, 1)]
        rng.shuffle(events)
        known = Snapshots()
        for number, event in enumerate(events, 1):
            undone = snapshot("evt_undone", random_content(rng), previous={"quantity": rng.randint(1, 3)})
            known.add(undone)
            known.discard(undone)
            known.add(event)
            known.add(event)  # one that is counted changes nothing
            assert known.judge() == judge(events[:number])


def test_stored_events_are_judged_alike_and_only_the_newest_is_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng, parsed = random.Random(20_260_103), list[bytes]()
    for _ in range(50):
        start = random_content(rng)
        events = [snapshot("evt_zz", start, created=SECOND - 1), *random_burst(rng, start, 6)]
        by_body = {event.id: event for event in events}

        def found(body: bytes, by_body: dict[str, StripeEvent] = by_body) -> StripeEvent:
            parsed.append(body)
            return by_body[body.decode()]

        monkeypatch.setattr(ordering, "parse", found)
        known = Snapshots()
        for event in events:
            known.add_stored(snapshot_of(event), event.id)
        expected = judge(events)
        parsed.clear()
        assert [known.judge(), known.judge()] == [expected, expected]
        assert parsed == [expected.newest.id.encode()]


@pytest.mark.long
def test_the_end_of_a_burst_within_one_second_is_found_in_5000_random_histories() -> None:
    rng = random.Random(20_260_101)
    wrong = 0
    for _ in range(5000):
        start = random_content(rng)
        created = snapshot("evt_zz", start, kind="created")
        burst = random_burst(rng, start, rng.randint(1, 6))
        truth = burst[-1].object if burst else start
        shuffled = [created, *burst]
        rng.shuffle(shuffled)
        wrong += canonical(judge(shuffled).newest.object) != canonical(truth)
    assert wrong == 0


@given(st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_the_judgement_is_the_same_for_every_order_and_duplication(
    seed: int, shuffler: random.Random
) -> None:
    rng = random.Random(seed)
    events = [snapshot("evt_first", random_content(rng), kind="created", created=SECOND - 5)]
    for second in range(3):
        for step in random_burst(rng, events[-1].object, rng.randint(0, 4)):
            event = replace(step, id=f"{step.id}_{second}", created=SECOND + second)
            if rng.random() < 0.8:
                events.append(event)
    if rng.random() < 0.3:
        events.append(snapshot("evt_end", subscription("canceled"), kind="deleted"))
    expected = judge(events)
    again = [*events, *shuffler.choices(events, k=2)]
    shuffler.shuffle(again)
    assert judge({event.id: event for event in again}.values()) == expected


def test_a_terminal_status_is_never_undone() -> None:
    ended = snapshot("evt_a", subscription("canceled"), kind="deleted", created=SECOND)
    later = snapshot("evt_b", subscription("active"), created=SECOND + 100)
    assert judge([ended, later]).newest is ended


def test_incomplete_never_follows_another_status() -> None:
    active = snapshot("evt_a", subscription("active"), created=SECOND)
    incomplete = snapshot("evt_b", subscription("incomplete"), created=SECOND + 1)
    assert judge([active, incomplete]).newest is active


def test_created_is_older_than_any_other_and_deleted_newer_even_within_one_second() -> None:
    events = [
        snapshot("evt_z", subscription(quantity=1), kind="created"),
        snapshot("evt_m", subscription(quantity=2), previous={"quantity": 1}),
        snapshot("evt_a", subscription("canceled", quantity=2), kind="deleted"),
    ]
    assert [judge(events[:n]).newest.id for n in (1, 2, 3)] == ["evt_z", "evt_m", "evt_a"]


def test_a_circle_within_one_second_ends_where_the_second_began() -> None:
    start = snapshot("evt_0", subscription(quantity=2), created=SECOND - 10)
    circle = [
        snapshot("evt_c", subscription(quantity=3), previous={"quantity": 2}),
        snapshot("evt_b", subscription(quantity=1), previous={"quantity": 3}),
        snapshot("evt_a", subscription(quantity=2), previous={"quantity": 1}),
    ]
    for order in itertools.permutations([start, *circle]):
        judgement = judge(order)
        assert (judgement.newest.id, judgement.certain) == ("evt_a", True)


def test_a_circle_whose_beginning_is_not_known_is_not_resolved() -> None:
    there = snapshot("evt_b", subscription(quantity=3), previous={"quantity": 2})
    back = snapshot("evt_a", subscription(quantity=2), previous={"quantity": 3})
    judgement = judge([there, back])
    assert (judgement.newest.id, judgement.certain) == ("evt_b", False)


def test_one_change_sent_as_two_events_counts_once_and_is_read_again() -> None:
    twice = [snapshot(id, subscription(quantity=2), previous={"quantity": 1}) for id in ("evt_a", "evt_b")]
    onwards = snapshot("evt_c", subscription(quantity=3), previous={"quantity": 2})
    judgement = judge([*twice, onwards])
    assert (judgement.newest.id, judgement.certain) == ("evt_c", False)


def test_equal_snapshots_of_one_second_need_no_second_reading() -> None:
    twice = [snapshot(id, subscription(quantity=2), previous={"quantity": 1}) for id in ("evt_a", "evt_b")]
    assert judge(twice).certain


def test_events_without_previous_attributes_decide_only_where_there_are_no_steps() -> None:
    paused = snapshot("evt_z", subscription("paused"), kind="paused")
    step = snapshot("evt_a", subscription("active"), previous={"status": "paused"})
    assert judge([paused, step]).newest is step
    resumed = snapshot("evt_a", subscription("active"), kind="resumed")
    judgement = judge([paused, resumed])
    assert (judgement.newest.id, judgement.certain) == ("evt_z", False)


def test_a_missing_step_leaves_two_ends_and_is_not_resolved() -> None:
    first = snapshot("evt_a", subscription(quantity=2), previous={"quantity": 1})
    third = snapshot("evt_b", subscription(quantity=4), previous={"quantity": 3})
    judgement = judge([first, third])
    assert (judgement.newest.id, judgement.certain) == ("evt_b", False)


def test_null_and_absent_are_the_same_state() -> None:
    there = snapshot("evt_b", subscription(metadata={"a": "1"}), previous={"metadata": {"a": None}})
    back = snapshot("evt_a", subscription(metadata={}, pause=None), previous={"metadata": {"a": "1"}})
    start = snapshot("evt_c", subscription(metadata={}), created=SECOND - 1)
    assert judge([there, back, start]).newest is back


def test_previous_attributes_are_put_back_deeply() -> None:
    now = {"metadata": {"a": "2", "b": "1"}, "items": {"data": [2], "url": "/"}, "plan": None}
    previous = {"metadata": {"a": "1", "c": "0"}, "items": {"data": [1]}, "plan": {"id": "p"}}
    assert put_back(now, previous) == {
        "metadata": {"a": "1", "b": "1", "c": "0"},
        "items": {"data": [1], "url": "/"},
        "plan": {"id": "p"},
    }


@pytest.mark.parametrize(
    ("current", "burst", "arrivals", "expected"),
    [
        (None, 0, [Position(4, 5)], False),
        (None, 0, [Position(4, 5), Position(4, 6)], False),
        (None, 0, [Position(4, 5), Position(4, 5)], True),
        (Position(4, 5), 1, [Position(4, 5)], True),
        (Position(4, 5), 1, [Position(4, 4)], False),
        (Position(4, 5), 2, [Position(4, 4)], True),
        (Position(4, 5), 2, [Position(4, 6)], False),
    ],
)
def test_earlier_snapshots_are_needed_only_where_positions_leave_it_open(
    current: Position | None, burst: int, arrivals: list[Position], expected: bool
) -> None:
    assert contested(current, burst, arrivals) is expected


def test_the_stage_of_a_status_outweighs_the_kind_of_event_and_that_the_second() -> None:
    incomplete = position(snapshot("e", subscription("incomplete"), created=SECOND + 9))
    created = position(snapshot("e", subscription(), kind="created", created=SECOND + 5))
    updated = position(snapshot("e", subscription()))
    ended = position(snapshot("e", subscription("incomplete_expired"), created=SECOND - 9))
    assert incomplete < created < updated < ended
