"""What is read of the stored records. The rows of `models` fit, and so does whatever has these members."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..plans import OverrideOp
from ..stripe.ordering import Position, lies_over


class SubscriptionRecord(Protocol):
    """A stored subscription; times in Unix seconds."""

    @property
    def id(self) -> str: ...
    @property
    def customer_id(self) -> str | None: ...
    @property
    def status(self) -> str | None: ...
    @property
    def items(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def plan_id(self) -> str | None: ...
    @property
    def quantity(self) -> int | None: ...
    @property
    def start_date(self) -> int | None: ...
    @property
    def expiry_date(self) -> int | None: ...
    @property
    def paid_through(self) -> int | None: ...
    @property
    def current_period_start(self) -> int | None: ...
    @property
    def current_period_end(self) -> int | None: ...
    @property
    def billing_cycle_anchor(self) -> int | None: ...
    @property
    def period_changes(self) -> Sequence[Mapping[str, Any]] | None:
        """See `cycles`."""

    @property
    def trial_end(self) -> int | None: ...
    @property
    def cancel_at(self) -> int | None: ...
    @property
    def cancel_at_period_end(self) -> bool: ...
    @property
    def pause_collection(self) -> Mapping[str, Any] | None: ...
    @property
    def snapshot_rank(self) -> int | None: ...
    @property
    def snapshot_created(self) -> int | None: ...
    @property
    def overlay(self) -> Mapping[str, Any] | None: ...


def is_overlaid(subscription: SubscriptionRecord) -> bool:
    """Whether an internal update lies over the record."""
    rank, created = subscription.snapshot_rank, subscription.snapshot_created
    place = None if rank is None or created is None else Position(rank, created)
    return lies_over(subscription.overlay, place)


class InvoiceRecord(Protocol):
    """A stored invoice; times in Unix seconds."""

    @property
    def subscription_id(self) -> str | None: ...
    @property
    def status(self) -> str | None: ...
    @property
    def attempt_count(self) -> int: ...
    @property
    def created(self) -> int | None: ...


class CustomerRecord(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def deleted(self) -> bool: ...


class OverrideRecord(Protocol):
    """What someone granted or took from a user by hand."""

    @property
    def feature(self) -> str: ...
    @property
    def op(self) -> OverrideOp: ...
    @property
    def value(self) -> Any:
        """As written in the catalogue: 5, "10 GiB", "unlimited", true (see `plans.read_override`)."""

    @property
    def expires_at(self) -> int | None: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def actor(self) -> str | None: ...
