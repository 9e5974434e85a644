"""What a change of a subscription would charge, by Stripe itself ("Create a preview invoice").

Amounts are in minor currency units, times Unix seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..entitlements import FeaturePreview
from ..plans import Plan, When
from ..service import Service
from ..stripe.client import StripeApi, promptly
from ..stripe.objects import Values, as_dict, as_id, as_integer, as_seconds, as_text, list_of
from .before_changes import exceeded, read_current
from .change_targets import Change, Direction, Target, target_of
from .customers import stripe_of
from .scheduled_changes import check_replaceable, period_end
from .stripe_changes import Current
from .subscription_changes import change_params, resolve_when


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """A line of the invoice. A negative amount is a credit."""

    description: str | None
    amount: int
    price_id: str | None
    quantity: int | None
    starts_at: int | None
    ends_at: int | None
    proration: bool


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """What a change would do and charge.

    `at`: when it holds. `amount_due`: what Stripe charges at `charged_at`, discounts, taxes and credits
    included. `proration_date`: to be sent with the change, so that the amount is the same; None where
    nothing is prorated.
    """

    direction: Direction
    when: When
    at: int
    plan: str | None
    quantity: int | None
    currency: str | None
    amount_due: int
    subtotal: int
    total: int
    charged_at: int
    proration_date: int | None
    lines: list[PreviewLine]
    over: Mapping[str, FeaturePreview]
    """What would be over its limit: then the change must be confirmed."""


async def preview_change(
    service: Service,
    subscription_id: str,
    *,
    plan: str | None = None,
    price_id: str | None = None,
    interval: str | None = None,
    quantity: int | None = None,
    addons: Mapping[str, int] | None = None,
    when: When | None = None,
    proration_date: int | None = None,
) -> ChangePreview:
    """What `change_subscription` with the same arguments would charge; nothing is changed.

    Raises:
        Conflict, InvalidRequest, NotFound: as `change_subscription`, but for what would be over its limit.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be asked now.
    """
    api, _ = stripe_of(service)
    current = await read_current(service, subscription_id)
    wanted = Change(plan, price_id, interval, quantity, addons or {})
    target = await target_of(service, api, current, wanted)
    check_replaceable(current)
    resolved = resolve_when(service, target, when)
    at_once = resolved == "now" or not target.params
    date = (proration_date or current.read_at + 1) if at_once and target.params else None
    at = current.read_at + 1 if at_once else period_end(current)
    details = _details(current, target, date) if target.params else {}
    over = await exceeded(service, current, target.held) if target.params else {}
    return _preview(target, resolved, at, date, await _invoice(api, current, details), over)


def _details(current: Current, target: Target, proration_date: int | None) -> Values:
    """The parameters of the preview: those of the change itself."""
    if proration_date is None:
        return {"items": target.params, "proration_behavior": "none"}
    params = change_params(current, target, proration_date)
    return {name: params[name] for name in ("items", "proration_behavior", "proration_date")}


async def _invoice(api: StripeApi, current: Current, details: Values) -> Values:
    """The invoice that Stripe would make."""
    params: Values = {"subscription": current.id} | ({"subscription_details": details} if details else {})
    call = api.post("/v1/invoices/create_preview", key=None, **params)
    return (await promptly(call)).content


def _preview(
    target: Target,
    when: When,
    at: int,
    proration_date: int | None,
    invoice: Values,
    over: Mapping[str, FeaturePreview],
) -> ChangePreview:
    main = target.items[0].held
    lines = [_line(line) for line in list_of(invoice.get("lines"))]
    return ChangePreview(
        direction=target.direction,
        when=when,
        at=at,
        plan=main.offer.id if isinstance(main.offer, Plan) else None,
        quantity=main.quantity,
        currency=as_text(invoice.get("currency")),
        amount_due=as_integer(invoice.get("amount_due")) or 0,
        subtotal=as_integer(invoice.get("subtotal")) or 0,
        total=as_integer(invoice.get("total")) or 0,
        charged_at=_charged_at(lines, at),
        proration_date=proration_date,
        lines=lines,
        over=over,
    )


def _charged_at(lines: Iterable[PreviewLine], at: int) -> int:
    """When the invoice is made: with the renewal that it charges, else at once."""
    renewals = [each.starts_at for each in lines if not each.proration and (each.starts_at or 0) > at]
    return min((each for each in renewals if each is not None), default=at)


def _line(line: Values) -> PreviewLine:
    period = as_dict(line.get("period"))
    details = as_dict(as_dict(line.get("pricing")).get("price_details"))
    return PreviewLine(
        description=as_text(line.get("description")),
        amount=as_integer(line.get("amount")) or 0,
        price_id=as_id(details.get("price")) or as_id(line.get("price")),
        quantity=as_integer(line.get("quantity")),
        starts_at=as_seconds(period.get("start")),
        ends_at=as_seconds(period.get("end")),
        proration=_is_proration(line),
    )


def _is_proration(line: Values) -> bool:
    """`parent.….proration` since 2025-03-31.basil, `proration` before."""
    parent = as_dict(line.get("parent"))
    details: list[Any] = [value for value in parent.values() if isinstance(value, dict)]
    return line.get("proration") is True or any(each.get("proration") is True for each in details)
