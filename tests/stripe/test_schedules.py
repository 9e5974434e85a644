"""Which statement of a subscription schedule is the newest, and what is remembered."""

from itertools import permutations
from typing import Any

from app.stripe.schedules import (
    MAX_KEPT,
    kept,
    newest,
    planned_change,
    scheduled_subscription,
    statement_of,
    with_created_stage,
)


def schedule(*prices: str, status: str = "active") -> dict[str, Any]:
    phases = [
        {
            "start_date": 100 * number,
            "end_date": 100 * (number + 1),
            "items": [{"price": price, "quantity": 2}],
        }
        for number, price in enumerate(prices, 1)
    ]
    return {"id": "sub_sched_1", "status": status, "phases": phases}


def told(at: int, *prices: str, source: str = "evt_1", fetched: bool = False, **more: Any) -> dict[str, Any]:
    return statement_of(schedule(*prices, **more), at, source, fetched=fetched)


def merged(*statements: dict[str, Any]) -> dict[str, Any]:
    known = None
    for statement in statements:
        known = newest(known, statement)
    assert known is not None
    return known


def test_statements_merge_into_the_newest_in_every_order() -> None:
    first = with_created_stage(told(10, "a", source="evt_9"))
    statements = [first, told(10, "a", "b", source="evt_1"), told(20, "a", "c", source="evt_2")]
    for order in permutations(statements):
        assert merged(*order) == statements[-1]
    ended = told(15, "a", status="released", source="evt_0")
    for order in permutations([*statements, ended]):
        assert merged(*order)["status"] == "released", "an end is final"


def test_what_two_events_of_one_second_leave_open_is_unsure_until_it_is_fetched() -> None:
    one, other = told(10, "a", "b", source="evt_1"), told(10, "a", "c", source="evt_2")
    for order in permutations([one, other]):
        assert merged(*order)["unsure"]
        fetched = merged(*order, told(10, "a", "b", source="reread_1", fetched=True))
        assert not fetched["unsure"] and fetched["phases"][1]["items"] == [["b", 2]]
    assert not merged(one, one | {"source": "evt_3"})["unsure"], "one change that was sent twice"


def test_an_event_near_a_fetched_state_does_not_undo_it() -> None:
    fetched = told(9, "a", "b", source="reread_1", fetched=True)
    near = with_created_stage(told(10, "a", source="evt_1"))
    for order in permutations([fetched, near]):
        found = merged(*order)
        assert found["unsure"] and len(found["phases"]) == 2
    assert merged(fetched, told(12, "a", source="evt_2"))["phases"] == told(12, "a")["phases"]
    assert merged(fetched, told(10, "a", source="evt_3", status="released"))["status"] == "released"


def test_a_plan_is_the_first_phase_that_has_not_begun() -> None:
    known = {"sub_sched_1": told(10, "a", "b", "c")}
    planned = planned_change("sub_sched_1", known, 150)
    assert planned is not None and (planned.at, planned.items) == (200, (("b", 2),))
    assert planned_change("sub_sched_1", known, 300) is None
    assert planned_change(None, known, 150) is planned_change("sub_sched_2", known, 150) is None
    assert planned_change("sub_sched_1", None, 150) is None
    assert planned_change("sub_sched_1", {"sub_sched_1": told(10, "a", "b", status="canceled")}, 150) is None


def test_the_latest_schedules_are_remembered_in_whatever_order_they_were_seen() -> None:
    statements = {f"sub_sched_{number}": told(number, "a") for number in range(MAX_KEPT + 2)}
    for order in permutations(statements):
        known: dict[str, Any] = {}
        for id in order:
            known = kept(known | {id: statements[id]})
        assert list(known) == [f"sub_sched_{number}" for number in range(2, MAX_KEPT + 2)]


def test_what_is_not_what_it_should_be_plans_nothing() -> None:
    for phases in (None, "x", [1], [{"items": 1}], [{"start_date": "soon", "items": [None]}]):
        statement = statement_of({"status": "active", "phases": phases}, 1, "evt_1", fetched=False)
        assert planned_change("s", {"s": statement}, 0) is None
    assert scheduled_subscription({"subscription": {"id": "sub_1"}}) == "sub_1"
    assert scheduled_subscription({"subscription": None, "released_subscription": "sub_2"}) == "sub_2"
    assert scheduled_subscription({"subscription": "../x"}) is None
