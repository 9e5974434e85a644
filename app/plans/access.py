"""The access policy: what each status, pause and unpaid beginning of a subscription grants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

Level = Literal["full", "limited", "grace", "none"]
DAY: Final = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class AccessRule:
    """What a status grants. `grace` ends `grace_seconds` after it began, and then it is none.

    `limited`, of trials alone, is full with the trial limits of the plan, where it has any.
    """

    level: Level
    grace_seconds: int = 0


FULL: Final = AccessRule("full")
LIMITED: Final = AccessRule("limited")
"""What trials grant by default where any plan or add-on has limits for them."""
NONE: Final = AccessRule("none")
WEEK_OF_GRACE: Final = AccessRule("grace", 7 * DAY)


PauseCause = Literal["payment_failed", "trial_ended", "requested", "system", "unknown"]
PAUSE_CAUSES: Final[Mapping[str, PauseCause]] = MappingProxyType(
    {
        "first_payment_failure": "payment_failed",
        "final_payment_failure": "payment_failed",
        "trial_end_without_payment_method": "trial_ended",
        "pause_requested": "requested",
        "system": "system",
    }
)
"""Stripe's words for why a subscription is paused ("Pause subscriptions"), and the keys of the policy."""


def pause_cause(stripe_type: str | None) -> PauseCause:
    """The policy's key for `status_details.paused.subscription.type`; endpoints of old versions lack that."""
    return PAUSE_CAUSES.get(stripe_type or "", "unknown")


@dataclass(frozen=True, slots=True)
class PausedPolicy:
    """What a paused subscription grants, by the cause of the pause ("Pause subscriptions")."""

    payment_failed: AccessRule = NONE
    trial_ended: AccessRule = NONE
    requested: AccessRule = NONE
    system: AccessRule = NONE
    unknown: AccessRule = NONE

    def of(self, stripe_type: str | None) -> AccessRule:
        rule: AccessRule = getattr(self, pause_cause(stripe_type))
        return rule


@dataclass(frozen=True, slots=True)
class CollectionPolicy:
    """What a subscription grants at most while payment collection is paused, by what becomes of its invoices.

    Stripe keeps the subscription active ("Pause payment collection").
    """

    keep_as_draft: AccessRule = FULL
    mark_uncollectible: AccessRule = FULL
    void: AccessRule = FULL

    def of(self, behavior: str | None) -> AccessRule:
        """The rule of a behavior; one that is not known here keeps its invoices, as the first does."""
        known = behavior if behavior in ("keep_as_draft", "mark_uncollectible", "void") else "keep_as_draft"
        rule: AccessRule = getattr(self, known)
        return rule


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What each of Stripe's statuses grants ("How subscriptions work", subscription statuses)."""

    active: AccessRule = FULL
    trialing: AccessRule = FULL
    past_due: AccessRule = WEEK_OF_GRACE
    unpaid: AccessRule = NONE
    paused: PausedPolicy = field(default_factory=PausedPolicy)
    incomplete: AccessRule = NONE
    incomplete_expired: AccessRule = NONE
    canceled: AccessRule = NONE
    never_paid: AccessRule = WEEK_OF_GRACE
    """What an active subscription grants whose first payment failed late, as bank debits do."""
    pause_collection: CollectionPolicy = field(default_factory=CollectionPolicy)
    expired_active: AccessRule = WEEK_OF_GRACE
    """How long a subscription stays as it is past its expiry: we may have missed the renewal's events."""

    def of_status(self, status: str | None) -> AccessRule | None:
        """The rule of a status; None for one that Stripe did not have when this was written.

        Of `paused` it is the rule for an unknown cause.
        """
        if status == "paused":
            return self.paused.unknown
        return getattr(self, status) if status in STATUSES else None


STATUSES: Final = frozenset(
    {"active", "trialing", "past_due", "unpaid", "paused", "incomplete", "incomplete_expired", "canceled"}
)


DEFAULT_POLICY: Final = AccessPolicy()
