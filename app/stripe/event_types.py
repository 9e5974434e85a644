"""Which event types Stripe has, by the installed library: what a destination takes, and a list of events.

A snapshot type is `customer.subscription.updated`; its thin twin is `v1.customer.subscription.updated`. Some
types are thin only, such as `v1.customer.subscription.past_due` ("Event types").
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, get_args

import stripe
from stripe.events._event_classes import get_v2_event_notification_class
from stripe.v2.core._event import UnknownEventNotification

V1 = "v1."


@cache
def _snapshot_types() -> frozenset[str]:
    annotation: Any = stripe.Event.__annotations__["type"]
    return frozenset(str(name) for name in get_args(annotation))


def plain_type(event_type: str) -> str:
    """The type without the prefix that thin events about objects of API v1 have."""
    return event_type.removeprefix(V1)


def snapshot_types(handled: Iterable[str]) -> list[str]:
    """Those of the handled types that a webhook endpoint can send, and that a list of events can name."""
    return sorted({plain_type(name) for name in handled} & _snapshot_types())


def thin_types(handled: Iterable[str]) -> list[str]:
    """Those of the handled types that an event destination can send as thin events."""
    names = {name if name.startswith(("v1.", "v2.")) else V1 + name for name in handled}
    return sorted(name for name in names if _is_thin(name))


def thin_only_types(handled: Iterable[str]) -> list[str]:
    """Those of the handled types that have no snapshot event: a list of snapshot events never has them."""
    return [name for name in thin_types(handled) if plain_type(name) not in _snapshot_types()]


def unknown_types(handled: Iterable[str]) -> list[str]:
    """The handled types that Stripe has in neither form: nothing ever sends them."""
    return sorted(name for name in handled if not snapshot_types([name]) and not thin_types([name]))


def _is_thin(event_type: str) -> bool:
    return get_v2_event_notification_class(event_type) is not UnknownEventNotification
