"""Changes to a subscription that are made at Stripe: another plan or quantity, its end, taking that back.

What would be over its limit is said first, and the change made once that is confirmed. Nothing is locked
while Stripe is asked. What Stripe answers is applied at once, with its entry in the audit trail.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from ..errors import Conflict, NotFound, PaymentRefused, ServiceError, StripeRefused
from ..plans import PauseCause, When, pause_cause
from ..service import Service
from ..stripe.client import Answer, StripeApi, promptly
from ..stripe.objects import ENDED, Values, as_dict, as_id, as_seconds, as_text
from .before_changes import check_limits, read_current
from .change_targets import Change, Direction, Target, target_of
from .customers import stripe_of
from .scheduled_changes import (
    check_replaceable,
    period_end,
    plan_again,
    plan_change,
    planned_items,
    plans_exactly,
    release,
)
from .set_aside_plans import forget, set_aside
from .stripe_changes import Current, make_change

log = structlog.get_logger(__name__)

IN_STRIPE = "resume it in Stripe's Dashboard"
HOW_TO_RESUME: dict[PauseCause, str] = {
    "payment_failed": f"send the user to the open invoice to pay it; if it is still paused then, {IN_STRIPE}",
    "trial_ended": f"send the user to the portal to add a payment method, and {IN_STRIPE}",
    "requested": IN_STRIPE,
    "system": IN_STRIPE,
    "unknown": f"where a payment method is missing, send the user to the portal to add one; {IN_STRIPE}",
}
"""What to do about a pause of the whole subscription ("Pause subscriptions"), by its cause."""

TAKEN_BACK = "What was planned for the period's end has been taken back: plan it again."


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a change. `at`: when it holds, in Unix seconds; None: at once."""

    outcome: Literal["changed", "scheduled", "unchanged"]
    direction: Direction
    at: int | None = None


async def change_subscription(
    service: Service,
    subscription_id: str,
    *,
    actor: str,
    plan: str | None = None,
    price_id: str | None = None,
    interval: str | None = None,
    quantity: int | None = None,
    addons: Mapping[str, int] | None = None,
    when: When | None = None,
    proration_date: int | None = None,
    confirm: bool = False,
) -> Changed:
    """Put the subscription on another plan, price, interval, quantity or other add-ons; what is not given
    stays. What was planned before is replaced.

    Of a plan's prices it is the one with the interval and currency that the subscription has. `when` None:
    as `[changes]` of the plans file says, an upgrade at once and a downgrade at the period's end. At once
    the difference is charged now, and a downgrade credited with the next invoice. `proration_date` (Unix
    seconds) is that of the preview, so that the amount is the same ("Prorations").

    Raises:
        Conflict: with `over`, when usage would exceed a limit that falls, unless confirmed; with `choices`,
            when the plan has no such price; when it ended; when it is an add-on's own subscription; when
            somebody else's schedule manages it; when it is to end and the change is to wait until then.
        InvalidRequest: when nothing or too much is given, the price is no plan's, the quantity buys
            nothing, or the plan or its price is no longer sold.
        NotFound: when the subscription, plan, price or add-on is not known.
        PaymentRefused: with `pay_url`, when the payment did not go through: nothing has changed, and what
            was asked for holds once the invoice is paid.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    api, _ = stripe_of(service)
    wanted = Change(plan, price_id, interval, quantity, addons or {})
    current = await read_current(service, subscription_id)
    target = await target_of(service, api, current, wanted)
    check_replaceable(current)
    if not target.params:
        return await _keep(service, api, current, actor)
    if not confirm:
        await check_limits(service, current, target.held)
    if resolve_when(service, target, when) == "period_end":
        return await _plan(service, api, current, target, actor)
    return await _change_now(service, api, current, target, actor, proration_date)


def resolve_when(service: Service, target: Target, when: When | None) -> When:
    """When the change is to hold: as asked for, else as the plans file says."""
    policy = service.limits.catalogue.changes
    return when or (policy.downgrade if target.direction == "downgrade" else policy.upgrade)


def change_params(current: Current, target: Target, proration_date: int | None) -> Values:
    """The parameters of an update at once.

    Those of a change that waits for its payment are few ("Pending updates reference"): no item may be
    deleted, and no invoice sent by e-mail. Then the change is refused as a whole, or held without payment.
    """
    proration = "create_prorations" if target.direction == "downgrade" else "always_invoice"
    params: Values = {"items": target.params, "proration_behavior": proration}
    if current.content.get("collection_method") != "send_invoice":
        params["payment_behavior"] = "error_if_incomplete" if target.removed else "pending_if_incomplete"
    if proration_date is not None:
        params["proration_date"] = proration_date
    return params


async def _change_now(
    service: Service,
    api: StripeApi,
    current: Current,
    target: Target,
    actor: str,
    proration_date: int | None,
) -> Changed:
    planned = planned_items(current)
    await set_aside(service, current, planned)

    async def change() -> Answer:
        await release(api, current)  # before: it would undo the change at the period's end
        try:
            return await api.post(current.path, **change_params(current, target, proration_date))
        except StripeRefused as refused:
            if planned is not None and not await plan_again(api, current, planned):
                raise type(refused)(f"{refused.detail} {TAKEN_BACK}", **refused.facts) from None
            raise

    try:
        answer = await make_change(service, current, change(), actor=actor, action="subscription.changed")
    except StripeRefused:
        await forget(service, current)
        raise
    await forget(service, current)
    if waits := as_dict(answer.content.get("pending_update")):
        raise await _payment_refused(api, answer.content, waits, was_planned=planned is not None)
    return Changed("changed", target.direction)


async def _payment_refused(
    api: StripeApi, content: Values, waits: Values, *, was_planned: bool
) -> PaymentRefused:
    """The message for a change that waits for its payment. Nothing can be planned until it is paid."""
    pay_url, invoice_id = None, as_id(content.get("latest_invoice"))
    try:
        if invoice_id is not None:
            invoice = (await promptly(api.read("invoice", invoice_id))).content
            pay_url = as_text(invoice.get("hosted_invoice_url"))
    except ServiceError as error:
        log.warning("invoice_not_read", invoice_id=invoice_id, error=error.detail)
    return PaymentRefused(
        "The payment did not go through, so the subscription stays as it is. Send the user to pay_url to "
        f"pay: then the change holds.{f' {TAKEN_BACK}' if was_planned else ''}",
        invoice_id=invoice_id,
        pay_url=pay_url,
        expires_at=as_seconds(waits.get("expires_at")),
    )


async def _plan(service: Service, api: StripeApi, current: Current, target: Target, actor: str) -> Changed:
    """Have the change made at the period's end."""
    end = period_end(current)
    now = current.read_at
    await set_aside(service, current, None)
    if not plans_exactly(current.content, target.items, end, now):
        await make_change(
            service,
            current,
            plan_change(api, current, target.items, end),
            actor=actor,
            action="subscription.change_scheduled",
            is_made=lambda content: plans_exactly(content, target.items, end, now),
        )
    return Changed("scheduled", target.direction, end)


async def _keep(service: Service, api: StripeApi, current: Current, actor: str) -> Changed:
    """It is what is asked for: only what was planned is taken back."""
    if current.values["schedule_id"] is not None:
        await _resume(service, api, current, {}, actor)
    return Changed("unchanged", "none")


async def cancel_subscription(
    service: Service,
    subscription_id: str,
    *,
    actor: str,
    at_period_end: bool = True,
    confirm: bool = False,
) -> None:
    """End the subscription with its period, or at once; nothing is paid back. What was planned is dropped.

    Raises:
        Conflict: with `over`, when usage would exceed what remains then, unless confirmed; when it has ended.
        NotFound: when the subscription is not known.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    api, _ = stripe_of(service)
    current = await read_current(service, subscription_id)
    if not confirm:
        await check_limits(service, current, None)

    await set_aside(service, current, None)

    async def cancel() -> Answer:
        if not at_period_end:
            return await _cancel_now(api, current)
        await release(api, current)  # Stripe ends nothing that a schedule manages
        return await api.post(current.path, cancel_at_period_end=True)

    await make_change(service, current, cancel(), actor=actor, action="subscription.canceled")


async def resume_subscription(service: Service, subscription_id: str, *, actor: str) -> None:
    """Take back a planned end, a planned change, and a pause of collection; without any, nothing is changed.

    Raises:
        Conflict: when it has ended, or is paused for want of a payment method; when somebody else's schedule
            manages it.
        NotFound: when the subscription is not known.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    api, _ = stripe_of(service)
    current = await read_current(service, subscription_id)
    if current.values["status"] == "paused":
        remedy = HOW_TO_RESUME[pause_cause(current.values["pause_cause"])]
        raise Conflict(f"Subscription {subscription_id} is paused: {remedy}. Nothing was changed.")
    changes = _resumption(current.values)
    if changes or current.values["schedule_id"] is not None:
        await _resume(service, api, current, changes, actor)


async def _resume(service: Service, api: StripeApi, current: Current, changes: Values, actor: str) -> None:
    check_replaceable(current)
    await set_aside(service, current, None)

    async def resume() -> Answer:
        await release(api, current)
        if changes:
            return await api.post(current.path, **changes)
        return await api.read("subscription", current.id)

    await make_change(service, current, resume(), actor=actor, action="subscription.resumed")


def _resumption(values: Values) -> dict[str, Any]:
    """What to ask of Stripe, where an empty text clears."""
    changes: dict[str, Any] = {}
    if values["cancel_at_period_end"]:
        changes["cancel_at_period_end"] = False
    elif values["cancel_at"] is not None:
        changes["cancel_at"] = ""
    if values["pause_collection"] is not None:
        changes["pause_collection"] = ""
    return changes


async def _cancel_now(api: StripeApi, current: Current) -> Answer:
    try:
        return await api.delete(current.path)
    except NotFound:
        # It is gone as soon as it is canceled: also for a request repeated because its answer was lost.
        answer = await api.read("subscription", current.id)
        if answer.content.get("status") not in ENDED:
            raise
        return answer
