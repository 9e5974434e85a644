"""The blinker signals: one for each event type, named by it, sent inside the transaction.

A receiver is called with the `StripeEvent` as sender and `unit_of_work=`: it reads and changes rows
through that, and does no I/O. A receiver that raises fails its event, and only that one.
"""

from blinker import NamedSignal, Namespace

events = Namespace()


domain = Namespace()

users_changed: NamedSignal = domain.signal("users_changed")
"""After a commit that may change what users have: `user_ids` is the set of them. For caches."""


def event_signal(event_type: str) -> NamedSignal:
    """The signal of an event type, such as `customer.subscription.updated`."""
    return events.signal(event_type)


def has_receivers(event_type: str) -> bool:
    """Whether anybody handles events of this type. Unknown types make no signal: they come from outside."""
    signal = events.get(event_type)
    return signal is not None and bool(signal.receivers)
