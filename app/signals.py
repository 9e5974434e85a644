"""The blinker signals. Those of events are sent inside the transaction, the domain's after its commit.

An event's signal is named by its type. A receiver is called with the `StripeEvent` as sender and
`unit_of_work=`: it reads and changes rows through that, and does no I/O. A receiver that raises fails its
event, and only that one.

A domain signal says what it means: somebody's payment failed. A receiver is called with the `Reaction`.
Connected with `signal.connect(receiver)`, it runs at once, best effort; connected with
`durable(signal, receiver)`, it runs at least once, whatever happens between the commit and its end.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from blinker import NamedSignal, Namespace

events = Namespace()
domain = Namespace()

users_changed: NamedSignal = domain.signal("users_changed")
"""After a commit that may change what users have: `user_ids` is the set of them. For caches."""

reactions = Namespace()

subscription_activated = reactions.signal("subscription_activated")
"""A subscription became active or trialing: new, resumed, or paid after it was unpaid. Without a user it is
announced only after 30 seconds, and once more when its first user becomes known. `facts` has `status`,
`plan_id` (the price) and `changes`."""
subscription_changed = reactions.signal("subscription_changed")
"""Any column of a subscription changed, its beginning and end included. `facts` has `status`, `plan_id`
(the price) and `changes`: `{column: [before, after]}`."""
subscription_ended = reactions.signal("subscription_ended")
"""A subscription was canceled, or expired before its first payment. `facts` has `status`, `plan_id` and
`changes`."""
trial_ending = reactions.signal("trial_ending")
"""A trial ends in three days, or at once where Stripe was asked to end it. `facts` has `trial_end` and
`plan_id` (the price)."""
payment_failed = reactions.signal("payment_failed")
"""An attempt to collect an invoice failed. Not announced when the invoice is already paid. `facts` has
`amount` (due), `currency`, `attempt_count`, `next_payment_attempt` (null after the last one) and
`hosted_invoice_url`, where the customer can pay."""
first_payment_failed = reactions.signal("first_payment_failed")
"""The first payment of a subscription failed late, as a bank debit does, and Stripe keeps the subscription
active. Once for each subscription. `facts` has `plan_id` (the price) and `failed_at`."""
payment_recovered = reactions.signal("payment_recovered")
"""An invoice was paid after an attempt had failed. `facts` is that of `payment_failed`, with the `amount`
paid."""
payment_action_required = reactions.signal("payment_action_required")
"""The customer has to confirm the payment of an invoice, at `facts["hosted_invoice_url"]`. `facts` is that
of `payment_failed`."""
payment_refunded = reactions.signal("payment_refunded")
"""A charge was refunded, in full or in part. Access does not change. `facts` has `charge_id`, `amount`
(refunded in all) and `currency`."""
refund_failed = reactions.signal("refund_failed")
"""A refund failed or was canceled later: the money is back in your balance, and what the refund took back of
a purchase is restored. `facts` has `refund_id`, `charge_id`, `amount`, `currency`, `status` and `reason`."""
payment_disputed = reactions.signal("payment_disputed")
"""A dispute about a charge was opened or closed. It names user, customer, subscription and invoice where
the payment is known here. `facts` has `dispute_id`, `charge_id`, `amount`, `currency`,
`status` and `reason`."""
invoice_finalization_failed = reactions.signal("invoice_finalization_failed")
"""An invoice could not be finalized, and is not collected until its cause is fixed. `facts` has `code` (the
cause), `amount` and `currency`."""
fraud_warning = reactions.signal("fraud_warning")
"""A bank reports that a charge may be fraudulent: a dispute may follow, unless it is refunded. `facts` has
`warning_id`, `charge_id`, `fraud_type` and `actionable`."""
checkout_payment_failed = reactions.signal("checkout_payment_failed")
"""The delayed payment of a completed checkout session failed, as a bank debit does. `facts` has
`session_id`, `client_reference_id`, `amount` and `currency`."""
checkout_expired = reactions.signal("checkout_expired")
"""A checkout session expired before anybody completed it. Not announced when another session of its user,
or a purchase, took its place. `facts` has `session_id`, `client_reference_id`, `amount` and `currency`."""
price_unmapped = reactions.signal("price_unmapped")
"""A live subscription has a price that the plans file does not list. Once for each price. `facts` has
`price_id`, `gives` (the plan that is kept, or `nothing`) and `remedy`, the line to add; from an event
`product_id`, too."""
entitlements_changed = reactions.signal("entitlements_changed")
"""What a user has differs from what was announced last: plan, status, access, a limit, or why. `facts` is the
user's whole state as of `at`, numbered by `facts["version"]`; several changes at once make one. Outbound
webhooks carry it."""
bought_twice = reactions.signal("bought_twice")
"""A user paid two checkouts that were open at once, or has a second trial by them. Once for the later
subscription; `facts` has `why` (`second_subscription` or `second_trial`) and `earlier_subscription_id`."""
over_limit = reactions.signal("over_limit")
"""A user has more of an allocated feature in use than the limit, as after a downgrade. Once for each time.
`facts` has `feature`, `used`, `limit`, `plan`, `over_since` and, with `[over_limit] days`, `over_until`."""
usage_threshold_reached = reactions.signal("usage_threshold_reached")
"""A user has used a share of a limit that the plans file lists under `warn_at`: once for each share, limit
and period. `facts` has `feature`, `used`, `limit`, `share`, `soft`, `plan`, `period_start`, `period_end`. Of
an allocated feature, which has no period, again when usage fell below the share and reaches it again."""
limit_reached = reactions.signal("limit_reached")
"""A user has used all of a limit, soft or not: once for each limit and period, with the same `facts`."""
usage_overage = reactions.signal("usage_overage")
"""A period is over in which a user has used more than a soft limit: once for each. `facts` has `feature`,
`used`, `limit`, `over`, `period_start`, `period_end` and `plan`."""
grace_ending = reactions.signal("grace_ending")
"""The access of a user for whom a payment is due ends within a day. `facts` has `grace_ends_at` and
`plan_id` (the price)."""
customer_unlinked = reactions.signal("customer_unlinked")
"""For ten minutes a customer has had a live subscription that belongs to no user."""
event_dead = reactions.signal("event_dead")
"""An event failed for three days and is a dead letter: it is not retried by itself. `facts` has
`event_type` and `object_id`."""
backlog_old = reactions.signal("backlog_old")
"""The oldest event that is not applied has waited for more than five minutes. Announced again only after
the backlog was gone. `facts` has `age` in seconds and `waiting_since`."""
database_down = reactions.signal("database_down")
"""For a minute the database has taken no events: it is down, read-only or full, or it lacks a migration. Each
process that sees it calls the receivers itself, since nothing can be stored: durable ones again until they
return, or the process ends. `facts`: `since`, `reason`, and `spool`, what becomes of events meanwhile."""
webhooks_refused = reactions.signal("webhooks_refused")
"""Every webhook is refused for its signature: a wrong signing secret, or a wrong clock. Announced again
only after one was accepted. `facts` has `what` and `remedy`, both for people."""
webhooks_missed = reactions.signal("webhooks_missed")
"""Events come by catch-up, and none by webhook. Announced again only after one was accepted. `facts` has
`what` and `remedy`, both for people."""
webhooks_silent = reactions.signal("webhooks_silent")
"""No event came for longer than `SILENCE_HOURS`. Announced again only after one came. `facts` has `age` in
seconds and `last`."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a domain signal carries. `at` in Unix seconds; amounts in `facts` in minor currency units."""

    id: str
    """The same for the same cause: an event that is replayed makes no new one."""
    signal: str
    at: int
    event_id: str | None = None
    user_id: str | None = None
    customer_id: str | None = None
    subscription_id: str | None = None
    invoice_id: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What the outbox stores."""
        return asdict(self)

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> "Reaction":
        return cls(**values)


DurableReceiver = Callable[[Reaction], Awaitable[None]]
DURABLE_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Durable:
    """A receiver that is called again until it returns. `timeout` in seconds, for one call."""

    name: str
    call: DurableReceiver
    timeout: float


class TryLater(Exception):
    """A durable receiver raises it to be called again no earlier than `at` (Unix seconds), a day from now at
    most. Without `at` it is a failure like any other: the pauses grow from 5 seconds to a day."""

    def __init__(self, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.at = at


_durable: dict[str, dict[str, Durable]] = {}


def durable(
    signal: NamedSignal,
    receiver: DurableReceiver,
    *,
    name: str | None = None,
    timeout: float = DURABLE_TIMEOUT_SECONDS,
) -> None:
    """Connect a receiver that is called at least once for each reaction, also after a crash.

    The reaction is stored with the receiver's name in the webhook's transaction; so keep the name when you
    move or rename the function. Calls that raise, or take longer than `timeout` seconds, are repeated with
    growing pauses for three days; `TryLater` asks for a longer one. Connecting the same name again replaces
    the receiver.

    Raises:
        TypeError: for a receiver that is not `async def`: only that can be ended when it hangs.
    """
    if not inspect.iscoroutinefunction(receiver) and not inspect.iscoroutinefunction(
        getattr(receiver, "__call__", None)  # noqa: B004  # an object whose call is a coroutine function
    ):
        raise TypeError(
            f"{receiver!r} is not `async def`. Wrap what blocks: `await asyncio.to_thread(…)` inside one."
        )
    name = name or f"{receiver.__module__}.{receiver.__qualname__}"
    _durable.setdefault(signal.name, {})[name] = Durable(name, receiver, timeout)


def disconnect_durable(signal: NamedSignal, name: str) -> None:
    """Let a durable receiver go. What is stored for it waits, should it be connected again."""
    _durable.get(signal.name, {}).pop(name, None)


def durable_receivers(signal: str) -> Mapping[str, Durable]:
    """The durable receivers of a signal, by name."""
    return _durable.get(signal, {})


def all_durable_receivers() -> dict[tuple[str, str], Durable]:
    """Every durable receiver, by signal and name."""
    return {(signal, name): each for signal, found in _durable.items() for name, each in found.items()}


def is_heard(signal: NamedSignal) -> bool:
    """Whether any receiver is connected, of either form."""
    return bool(signal.receivers or _durable.get(signal.name))


def event_signal(event_type: str) -> NamedSignal:
    """The signal of an event type, such as `customer.subscription.updated`."""
    return events.signal(event_type)


INTERNAL = "internal."
"""What the types of the internal API's own events begin with."""


def handled_types() -> list[str]:
    """Stripe's event types that are handled: those with a receiver, ours or the application's."""
    return sorted(
        name for name, signal in events.items() if signal.receivers and not name.startswith(INTERNAL)
    )


def has_receivers(event_type: str) -> bool:
    """Whether anybody handles events of this type. Unknown types make no signal: they come from outside."""
    signal = events.get(event_type)
    return signal is not None and bool(signal.receivers)
