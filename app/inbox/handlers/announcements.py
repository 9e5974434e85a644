"""What a changed record means: the domain signals that are sent after the commit."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from blinker import NamedSignal

from ...db.models import Invoice, Subscription
from ...signals import (
    first_payment_failed,
    payment_action_required,
    payment_failed,
    payment_recovered,
    subscription_activated,
    subscription_changed,
    subscription_ended,
)
from ...stripe.events import StripeEvent
from ...stripe.objects import ENDED
from ..unit_of_work import Caused, UnitOfWork

WATCHED = (
    "status",
    "plan_id",
    "quantity",
    "items",
    "current_period_end",
    "trial_end",
    "cancel_at",
    "cancel_at_period_end",
    "pause_collection",
)
RUNNING = frozenset({"active", "trialing"})
# A subscription that is past due has not stopped, so being paid again is no new beginning.
UNDER_WAY = RUNNING | {"past_due"}
SETTLED = frozenset({"paid", "void"})


def announce_changes(
    unit_of_work: UnitOfWork, event: StripeEvent, before: Mapping[str, Any], subscription: Subscription
) -> None:
    """Tell of a subscription that differs from what it was: begun, changed, ended."""
    now = subscription.__dict__
    changes = {name: [before[name], now[name]] for name in WATCHED if before[name] != now[name]}
    if not changes:
        return
    was, status = before["status"], now["status"]
    _announce(subscription_changed, unit_of_work, event, subscription, changes)
    if status in RUNNING and was not in UNDER_WAY:
        _begin(unit_of_work, event, subscription, changes)
    elif status not in UNDER_WAY:
        announce_activation(unit_of_work, subscription)  # it is over before its user was known
    if status in ENDED and was not in ENDED:
        # An end is final, so there is one for each subscription.
        _announce(subscription_ended, unit_of_work, event, subscription, changes, cause=subscription.id)


def _begin(
    unit_of_work: UnitOfWork, event: StripeEvent, subscription: Subscription, changes: Mapping[str, Any]
) -> None:
    """Announce that it became active; without a user only after a while, as the checkout session that names
    the user often comes just after (`announce_activation`)."""
    if unit_of_work.reapplied is not None:
        return
    held = {"id": event.id, "at": unit_of_work.now, "changes": dict(changes)}
    unit_of_work.change(subscription, activation=held)
    if unit_of_work.user_of(subscription.customer_id, subscription.id) is not None:
        announce_activation(unit_of_work, subscription)


class Held(NamedTuple):
    """The event that activated a subscription."""

    id: str


def announce_activation(unit_of_work: UnitOfWork, subscription: Subscription) -> None:
    """Announce the activation that waits for its user, if one does, with the user if that is known."""
    if (held := subscription.activation) is None:
        return
    unit_of_work.change(subscription, activation=None)
    _announce(subscription_activated, unit_of_work, Held(held["id"]), subscription, held["changes"])


def _announce(
    signal: NamedSignal,
    unit_of_work: UnitOfWork,
    event: Caused,
    subscription: Subscription,
    changes: Mapping[str, Any],
    cause: str | None = None,
) -> None:
    unit_of_work.announce(
        signal,
        event,
        cause=cause,
        customer_id=subscription.customer_id,
        subscription_id=subscription.id,
        status=subscription.status,
        plan_id=subscription.plan_id,
        changes=changes,
    )


def announce_first_payment_failed(
    unit_of_work: UnitOfWork, event: StripeEvent, subscription: Subscription
) -> None:
    """Tell, once for each subscription, that its first payment failed while Stripe keeps it active."""
    unit_of_work.announce(
        first_payment_failed,
        event,
        fact=subscription.id,
        customer_id=subscription.customer_id,
        subscription_id=subscription.id,
        plan_id=subscription.plan_id,
        failed_at=subscription.first_payment_failed_at,
    )


def announce_payment(
    unit_of_work: UnitOfWork,
    event: StripeEvent,
    values: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    invoice: Invoice,
) -> None:
    """Tell of an invoice whose payment failed, waits for its customer, or came after it had failed.

    `values` is what the event says; an attempt that later ones have overtaken is no news.
    """
    overtaken = invoice.status in SETTLED or values["attempt_count"] < invoice.attempt_count
    was = before["status"] if before else None
    had_failed = invoice.attempt_count > 1 or (
        was in ("open", "uncollectible") and before is not None and before["attempt_count"] > 0
    )
    if event.type == "invoice.payment_failed" and not overtaken:
        signal = payment_failed
    elif event.type == "invoice.payment_action_required" and not overtaken:
        signal = payment_action_required
    elif invoice.status == "paid" and was != "paid" and had_failed:
        signal = payment_recovered
    else:
        return
    attempt = "" if signal is payment_recovered else f":{invoice.attempt_count}"
    unit_of_work.announce(
        signal,
        event,
        fact=f"{invoice.id}{attempt}",
        customer_id=invoice.customer_id,
        subscription_id=invoice.subscription_id,
        invoice_id=invoice.id,
        amount=invoice.amount_paid if signal is payment_recovered else invoice.amount_due,
        currency=invoice.currency,
        attempt_count=invoice.attempt_count,
        next_payment_attempt=invoice.next_payment_attempt,
        hosted_invoice_url=invoice.hosted_invoice_url,
    )
