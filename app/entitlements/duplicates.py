"""What a user bought twice: a second subscription, or a second trial, that a checkout did not mean to sell.

A checkout session says in its metadata on which condition it was opened, and the subscription that it made
keeps that with the session's claim. So the answer follows from the records, however the payments came.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from .ownership import WEAK

Why = Literal["second_subscription", "second_trial"]

SOLD_AS = "billing_sold_as"
"""The metadata key by which a checkout session of ours says on which condition it was opened."""
ONLY_SUBSCRIPTION, SECOND_SUBSCRIPTION = "only_subscription", "second_subscription"
"""Its user had no other subscription, or one that was to be beside another one."""
PAID = ("active", "trialing", "past_due")
"""The statuses of subscriptions that are paid for, or are to be."""
NEVER_BEGUN = ("incomplete", "incomplete_expired", None)


class SoldSubscription(Protocol):
    """A stored subscription; times in Unix seconds."""

    @property
    def id(self) -> str: ...
    @property
    def link_source(self) -> str | None: ...
    @property
    def links(self) -> Mapping[str, Any] | None: ...
    @property
    def status(self) -> str | None: ...
    @property
    def start_date(self) -> int | None: ...
    @property
    def trial_end(self) -> int | None: ...


class Duplicate(NamedTuple):
    """A subscription that was bought beside an earlier one."""

    subscription_id: str
    earlier_id: str
    why: Why


def duplicates(subscriptions: Iterable[SoldSubscription]) -> tuple[Duplicate, ...]:
    """What one user bought twice, and still pays, in the order in which it began.

    What only a `client_reference_id` links may be a stranger's, and does not count.
    """
    own = [each for each in subscriptions if each.link_source != WEAK]
    own.sort(key=lambda each: (each.start_date or 0, each.id))
    found = []
    for number, each in enumerate(own):
        if each.status in PAID and (duplicate := _beside(own[:number], each)) is not None:
            found.append(duplicate)
    return tuple(found)


def _beside(earlier: Sequence[SoldSubscription], each: SoldSubscription) -> Duplicate | None:
    sold_as = ((each.links or {}).get("session") or {}).get("sold_as")
    paid = next((other for other in earlier if other.status in PAID), None)
    if sold_as == ONLY_SUBSCRIPTION and paid is not None:
        return Duplicate(each.id, paid.id, "second_subscription")
    tried = next((other for other in earlier if _had_trial(other)), None)
    if sold_as is not None and tried is not None and _had_trial(each):
        return Duplicate(each.id, tried.id, "second_trial")
    return None


def _had_trial(each: SoldSubscription) -> bool:
    return each.trial_end is not None and each.status not in NEVER_BEGUN
