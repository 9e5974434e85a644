"""What one subscription grants by its status, and until when. A pure function of the record and the time."""

from dataclasses import dataclass, replace
from typing import Literal

from ..db.models import follows_rules
from ..plans import AccessPolicy, AccessRule, pause_cause
from ..stripe.invoice_lines import paid_until
from ..stripe.objects import ENDED
from .owed import NOTHING_OWED, Owed
from .records import SubscriptionRecord, is_overlaid, never_paid

AccessLevel = Literal["full", "grace", "none"]
AccessReason = Literal[
    "status",  # the policy for the status says so
    "grace",  # a payment is due, and there is time left to make it
    "grace_over",
    "renewal_awaited",  # past its expiry; the renewal may be on its way
    "expired",  # past its expiry for too long
    "cancel_at_reached",  # it was set to cancel, and that moment has come
    "pause_collection",
    "customer_deleted",
    "provisional",  # it is known from an invoice alone
    "unknown_status",
]
Block = Literal["payment_required", "paused"]
"""Why a subscription that is not over grants nothing: what would restore it."""
Act = Literal["pay", "update_payment_method", "resume"]
"""What the user can do about a payment that is due or a pause: `pay` only where an invoice is open."""

AWAITS_PAYMENT = frozenset({"past_due", "unpaid", "incomplete"})
PAST_DUE = frozenset({"past_due", "unpaid"})


@dataclass(frozen=True, slots=True)
class Access:
    """What a subscription grants now. Times are Unix seconds."""

    level: AccessLevel
    reason: AccessReason
    grace_ends_at: int | None = None
    changes_at: int | None = None
    """The next moment at which this answer changes by time alone."""
    ends_at: int | None = None
    """When the access that there is ends by time alone."""
    blocked_by: Block | None = None
    act: Act | None = None
    pay_url: str | None = None
    """Stripe's page for the invoice to pay, where the act is to pay one."""


@dataclass(frozen=True, slots=True)
class _Phase:
    """A stretch of the subscription's future, were no event to come. The first begins at None."""

    begins_at: int | None
    level: AccessLevel
    reason: AccessReason
    grace_ends_at: int | None = None


def access(
    subscription: SubscriptionRecord,
    customer_deleted: bool,
    owed: Owed | None,
    policy: AccessPolicy,
    now: int,
) -> Access:
    """The access that a subscription grants at `now` (Unix seconds), by the catalogue's [access] policy.

    `owed`: what its open invoices say; None where none is open.
    """
    if customer_deleted:
        return Access("none", "customer_deleted")
    if subscription.status is None:
        return Access("none", "provisional")
    rule = _rule(subscription, policy)
    if rule is None:
        return Access("none", "unknown_status")
    owed = owed or NOTHING_OWED
    phases = _phases(subscription, rule, owed, policy)
    phases = _paused(_until_cancellation(phases, subscription), subscription, policy)
    return _with_act(_at(phases, now), subscription, owed)


def _rule(subscription: SubscriptionRecord, policy: AccessPolicy) -> AccessRule | None:
    if subscription.status == "paused":
        return policy.paused.of(subscription.pause_cause)
    return policy.never_paid if never_paid(subscription) else policy.of_status(subscription.status)


def _phases(
    subscription: SubscriptionRecord, rule: AccessRule, owed: Owed, policy: AccessPolicy
) -> list[_Phase]:
    if rule.level in ("full", "limited"):  # which limits a trial has is not a matter of access
        return _full(term_end(subscription), policy.expired_active)
    if rule.level == "none":
        return [_Phase(None, "none", "status")]
    begins_at = _grace_begins_at(subscription, owed)
    if begins_at is None:
        return [_Phase(None, "none", "grace_over")]
    ends_at = begins_at + rule.grace_seconds
    return [_Phase(None, "grace", "grace", ends_at), _Phase(ends_at, "none", "grace_over")]


def _full(expiry: int | None, expired: AccessRule) -> list[_Phase]:
    phases = [_Phase(None, "full", "status")]
    if expiry is None:
        return phases
    if expired.level != "none":
        phases.append(_Phase(expiry, "full", "renewal_awaited"))
    if expired.level != "full":
        phases.append(_Phase(expiry + expired.grace_seconds, "none", "expired"))
    return phases


def _grace_begins_at(subscription: SubscriptionRecord, owed: Owed) -> int | None:
    if subscription.status in ENDED:
        return subscription.expiry_date
    if never_paid(subscription):
        return subscription.first_payment_failed_at
    # A row that was not reapplied yet keeps the answer that the release before would give.
    known = [owed.oldest_attempted, subscription.current_period_start, subscription.start_date]
    if subscription.status in PAST_DUE and follows_rules(subscription):
        known = [subscription.past_due_since, *known]
    return next((moment for moment in known if moment is not None), None)


def term_end(subscription: SubscriptionRecord) -> int | None:
    """The expiry, or where a later term is paid already: the invoice may come where the renewal got lost."""
    expiry, paid = _expiry(subscription), main_paid_through(subscription)
    return expiry if expiry is None or paid is None else max(expiry, paid)


def main_paid_through(subscription: SubscriptionRecord) -> int | None:
    """Until when the main item is paid: the term is its own, and a yearly add-on extends no monthly plan.

    None where it is not known, and under an internal update, which says the term itself.
    """
    if is_overlaid(subscription):
        return None
    main = [each for each in subscription.items if each.get("price_id") == subscription.plan_id]
    if subscription.paid_lines is None or not main:
        return subscription.paid_through
    return paid_until(main, subscription.paid_lines)


def _expiry(subscription: SubscriptionRecord) -> int | None:
    if subscription.expiry_date is None and subscription.status == "trialing":
        return subscription.trial_end
    return subscription.expiry_date


def _until_cancellation(phases: list[_Phase], subscription: SubscriptionRecord) -> list[_Phase]:
    """Cut off where a subscription that is set to cancel ends: no event need come for that.

    `expiry_date` is that end, unless `cancel_at` lies beyond the current period, which then is to renew.
    """
    expiry, cancel_at = _expiry(subscription), subscription.cancel_at
    if subscription.status in ENDED or not (subscription.cancel_at_period_end or cancel_at is not None):
        return phases
    ends_now = subscription.cancel_at_period_end or (cancel_at or 0) <= (expiry or 0)
    end = expiry if ends_now and expiry is not None else cancel_at
    if end is None:
        return phases
    kept = [
        _Phase(phase.begins_at, phase.level, phase.reason, _sooner(phase.grace_ends_at, end))
        for phase in phases
        if phase.begins_at is None or phase.begins_at < end
    ]
    # Also where nothing was granted before: what is over no payment restores.
    return [*kept, _Phase(end, "none", "cancel_at_reached")]


def _sooner(moment: int | None, end: int) -> int | None:
    return None if moment is None else min(moment, end)


def _paused(phases: list[_Phase], subscription: SubscriptionRecord, policy: AccessPolicy) -> list[_Phase]:
    """A pause never grants more than the status does; it ends by itself at `resumes_at`."""
    pause = subscription.pause_collection
    if pause is None or policy.pause_collection.of(pause.get("behavior")).level == "full":
        return phases
    resumes_at = pause.get("resumes_at")
    if phases[0].level == "none":
        return phases
    # Only while it lasts is it the pause that denies: what is over stays over for its own reason.
    over = next((phase.begins_at for phase in phases if phase.level == "none"), None)
    paused = _Phase(None, "none", "pause_collection")
    if resumes_at is None or (over is not None and over <= resumes_at):
        return [paused, *(phase for phase in phases if phase.level == "none")]
    current = [phase for phase in phases if phase.begins_at is None or phase.begins_at <= resumes_at][-1]
    later = [phase for phase in phases if phase.begins_at is not None and phase.begins_at > resumes_at]
    resumed = _Phase(resumes_at, current.level, current.reason, current.grace_ends_at)
    return [paused, resumed, *later]


def _at(phases: list[_Phase], now: int) -> Access:
    """The phase that `now` lies in. Of phases that begin at one moment the last counts."""
    reached = [phase for phase in phases if phase.begins_at is None or phase.begins_at <= now]
    later = [(at, phase.level) for phase in phases if (at := phase.begins_at) is not None and at > now]
    phase = reached[-1]
    ends = [moment for moment, level in later if level == "none" != phase.level]
    return Access(
        phase.level,
        phase.reason,
        phase.grace_ends_at,
        changes_at=min((moment for moment, _ in later), default=None),
        ends_at=min(ends, default=None),
    )


def _with_act(granted: Access, subscription: SubscriptionRecord, owed: Owed) -> Access:
    """With what blocks the subscription, and what the user can do about it."""
    block = _block(granted, subscription, owed)
    awaits = subscription.status in AWAITS_PAYMENT or never_paid(subscription)
    act: Act | None = None
    if block == "payment_required" or (awaits and granted.level != "none"):
        act = "pay" if owed.payable else "update_payment_method"
    elif block == "paused":
        wants_a_method = (
            subscription.status == "paused" and pause_cause(subscription.pause_cause) == "trial_ended"
        )
        act = "update_payment_method" if wants_a_method else "resume"
    if act is None:
        return granted
    return replace(granted, blocked_by=block, act=act, pay_url=owed.pay_url if act == "pay" else None)


def _block(granted: Access, subscription: SubscriptionRecord, owed: Owed) -> Block | None:
    if granted.level != "none":
        return None
    if granted.reason == "pause_collection":
        return "paused"
    if subscription.status == "paused" and granted.reason == "status":
        # Stripe resumes it once the invoice is paid, or it can be resumed then.
        due = pause_cause(subscription.pause_cause) == "payment_failed" and owed.payable
        return "payment_required" if due else "paused"
    unpaid = subscription.status in AWAITS_PAYMENT or never_paid(subscription)
    return "payment_required" if unpaid and granted.reason in ("status", "grace_over") else None
