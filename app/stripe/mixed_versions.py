"""The newest of an object's snapshots of one second where Stripe sent them in several API versions.

An account may have endpoints of several versions, as while one is upgraded ("Webhook versioning"). Each event
is stored as the first of them brought it. So one state may have two shapes, and a step seems to end where no
other begins. What a record keeps of a state is the same in every shape.
"""

from collections.abc import Callable, Iterable, Sequence

from ..errors import MalformedEvent
from .events import StripeEvent
from .objects import Values, customer_values, is_cut, metadata, subscription_items, subscription_values
from .steps import Balance, State, Step, put_back, state_of
from .terms import with_periods

MAX_STEPS = 64
"""How many steps within one second are compared at most."""


def newest_of(events: Sequence[StripeEvent], earlier: Callable[[], StripeEvent | None]) -> StripeEvent | None:
    """The event whose snapshot is the newest; None where the events leave that open.

    `earlier` gives the newest event before them.
    """
    told = [event for event in events if event.previous_attributes]
    try:
        states = {event.id: kept_state(event.object) for event in told}
        steps = [Step(kept_state(_before(event)), states[event.id]) for event in told]
        state = _end(steps, earlier)
    except MalformedEvent:
        return None
    return max((each for each in told if states[each.id] == state), key=lambda each: each.id, default=None)


def _before(event: StripeEvent) -> Values:
    return put_back(event.object, event.previous_attributes or {})


def _end(steps: Iterable[Step], earlier: Callable[[], StripeEvent | None]) -> State | None:
    """The state in which the steps end, whether or not Stripe sent one of them as two events."""

    def before() -> State | None:
        event = earlier()
        return kept_state(event.object) if event is not None else None

    moves = [step for step in steps if step.before != step.after]
    if not moves:
        states = {step.after for step in steps}
        return states.pop() if len(states) == 1 else None
    counted, once = Balance(), Balance()
    for step in moves:
        counted.add(step)
    for step in set(moves):
        once.add(step)
    end = counted.end(before)
    return end if end == once.end(before) else None


def kept_state(content: Values) -> State:
    """What a record keeps of an object, in whatever shape it came.

    The cause of a pause is left out: older versions do not tell it.

    Raises:
        MalformedEvent: when the object lacks what a record cannot do without.
    """
    if content.get("object") == "customer":
        return state_of(customer_values(content) | {"metadata": metadata(content)})
    items, _ = with_periods(subscription_items(content), content)
    by_id = sorted(items, key=lambda item: (item["item_id"] or "", item["price_id"] or ""))
    kept = subscription_values(content) | {"items": by_id, "cut": is_cut(content.get("items"))}
    return state_of(kept | {"pause_cause": None})
