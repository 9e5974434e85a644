"""What a subscription schedule says: its phases, and which change of the subscription it plans.

"Subscription schedules": a schedule manages a subscription while it is attached (`schedule` of the
subscription), phase by phase. What is planned is the first phase that has not begun.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .objects import Values, as_dict, as_id, as_integer, as_object_id, as_seconds, as_text

LIVE = frozenset({"not_started", "active"})
"""The statuses of a schedule that still manages its subscription."""
MAX_PHASES = 10
"""How many phases a schedule has at most."""
MAX_KEPT = 3
"""How many schedules of one subscription are remembered, those with the newest statements."""
MARGIN_SECONDS = 2
"""How far Stripe's clock of events and that of its API may differ."""

CREATED, CHANGED, ENDED = 0, 1, 2


class PlannedChange(NamedTuple):
    """A change that a schedule plans. `at` in Unix seconds; `items`: price id and quantity of each."""

    at: int
    items: tuple[tuple[str | None, int | None], ...]


def scheduled_subscription(schedule: Values) -> str | None:
    """The subscription that the schedule manages, or managed until it was released."""
    return as_object_id(schedule.get("subscription")) or as_object_id(schedule.get("released_subscription"))


def statement_of(schedule: Values, at: int, source: str, *, fetched: bool) -> Values:
    """What is remembered of one snapshot of a schedule: of an event, or of what was `fetched`.

    `at`: when it was said, in Unix seconds; `source`: the id of the event.
    """
    status = as_text(schedule.get("status"))
    return {
        "at": at,
        "stage": CHANGED if status in LIVE else ENDED,
        "source": source,
        "fetched": fetched,
        "unsure": False,
        "status": status,
        "phases": [_phase(each) for each in _dicts(schedule.get("phases"))[:MAX_PHASES]],
    }


def with_created_stage(statement: Values) -> Values:
    """The statement of `subscription_schedule.created`, which every other one of its second follows."""
    return statement | {"stage": min(statement["stage"], CREATED)}


def _phase(phase: Values) -> Values:
    items = [
        [as_id(each.get("price")), as_integer(each.get("quantity"))] for each in _dicts(phase.get("items"))
    ]
    return {
        "start": as_seconds(phase.get("start_date")),
        "end": as_seconds(phase.get("end_date")),
        "items": items,
    }


def _dicts(value: Any) -> list[Values]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def says_the_same(one: Values, other: Values) -> bool:
    return (one["status"], one["phases"]) == (other["status"], other["phases"])


def newest(known: Values | None, told: Values) -> Values:
    """The newer of two statements of one schedule, in whatever order they came.

    An end is final. What was fetched follows the events of its second. An event that is so near to it that
    either may be newer, or a second one of the same second, leaves it open (`unsure`): it is to be fetched.
    """
    if known is None:
        return told
    older, newer = sorted((known, told), key=_place)
    if says_the_same(older, newer):
        return newer
    near = abs(newer["at"] - older["at"]) <= MARGIN_SECONDS
    if near and older["fetched"] and not newer["fetched"] and newer["stage"] != ENDED:
        return older | {"unsure": True}
    is_tied = all(older[name] == newer[name] for name in ("stage", "at", "fetched"))
    return newer | {"unsure": True} if is_tied else newer


def _place(statement: Values) -> tuple[bool, int, bool, int, str]:
    ended = statement["stage"] == ENDED
    return ended, statement["at"], statement["fetched"], statement["stage"], statement["source"]


def kept(statements: Mapping[str, Values]) -> Values:
    """The statements to remember: those of the schedules of which the newest is known."""
    latest = sorted(statements, key=lambda id: (statements[id]["at"], id), reverse=True)
    return {id: statements[id] for id in sorted(latest[:MAX_KEPT])}


def planned_change(
    schedule_id: str | None, statements: Mapping[str, Values] | None, now: int
) -> PlannedChange | None:
    """The change that the attached schedule plans; None where it plans none. `now` in Unix seconds."""
    statement = (statements or {}).get(schedule_id or "")
    if statement is None or statement["status"] not in LIVE:
        return None
    return next_phase(statement["phases"], now)


def next_phase(phases: Iterable[Mapping[str, Any]], now: int) -> PlannedChange | None:
    """The first of the remembered phases that begins after `now` (Unix seconds)."""
    later = [each for each in phases if each["start"] is not None and each["start"] > now]
    if not later:
        return None
    first = min(later, key=lambda each: int(each["start"]))
    return PlannedChange(first["start"], tuple((price, quantity) for price, quantity in first["items"]))


def scheduled_prices(statements: Mapping[str, Values] | None) -> set[str]:
    """Every price that a remembered schedule names."""
    phases = (phase for each in (statements or {}).values() for phase in each["phases"])
    return {price for phase in phases for price, _ in phase["items"] if price}


def attached_schedule(content: Values) -> Values | None:
    """The schedule that a fetched subscription brings with it, instead of its id."""
    schedule = as_dict(content.get("schedule"))
    return schedule if as_object_id(schedule.get("id")) else None
