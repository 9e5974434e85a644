"""Objects and events as Stripe renders them, in a version before 2025-03-31.basil or in the newest."""

import json
from typing import Any, Literal

from .model import CheckoutSession, Customer, Entity, Event, Invoice, Item, Line, Price, Subscription

Shape = Literal["2024-06-20", "2026-10-28.endive"]
OLD: Shape = "2024-06-20"
NEW: Shape = "2026-10-28.endive"

Json = dict[str, Any]


def event_body(event: Event, shape: Shape, *, livemode: bool = False) -> bytes:
    """The bytes of a webhook delivery, indented as Stripe indents them."""
    return json.dumps(render_event(event, shape, livemode=livemode), indent=2).encode()


def render_event(event: Event, shape: Shape, *, livemode: bool = False) -> Json:
    """The event in one API version, with true `previous_attributes` where Stripe gives them."""
    content = render(event.after, shape, livemode=livemode)
    data: Json = {"object": content}
    if event.before is not None:
        data["previous_attributes"] = difference(render(event.before, shape, livemode=livemode), content)
    return {
        "id": event.id,
        "object": "event",
        "api_version": shape,
        "created": event.created,
        "data": data,
        "livemode": livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": event.type,
    }


def thin_event(event: Event, *, livemode: bool = False) -> Json:
    """The same event as a thin one: it names the object and says nothing of it."""
    from datetime import UTC, datetime

    kind = render(event.after, NEW, livemode=livemode)["object"]
    return {
        "id": event.id,
        "object": "v2.core.event",
        "type": f"v1.{event.type}",
        "created": datetime.fromtimestamp(event.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "livemode": livemode,
        "related_object": {"id": event.after.id, "type": kind, "url": f"/v1/{kind}s/{event.after.id}"},
    }


def difference(before: Json, after: Json) -> Json:
    """`previous_attributes`: nested hashes hold only what changed, arrays are whole, absent is null."""
    changed: Json = {}
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        nested = isinstance(old, dict) and isinstance(new, dict)
        changed[key] = difference(old, new) if nested else old  # type: ignore[arg-type]
    return changed


def render(entity: Entity, shape: Shape, *, livemode: bool = False) -> Json:
    """One object in one API version."""
    match entity:
        case Customer():
            content = _customer(entity)
        case Subscription():
            content = _subscription(entity, shape)
        case Invoice():
            content = _invoice(entity, shape)
        case CheckoutSession():
            content = _checkout_session(entity)
        case Price():
            return _price(entity, livemode)
    return content | {"livemode": livemode}


def _customer(customer: Customer) -> Json:
    return {
        "id": customer.id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": customer.created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "email": customer.email,
        "invoice_prefix": customer.id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": dict(customer.metadata),
        "name": customer.name,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def _subscription(subscription: Subscription, shape: Shape) -> Json:
    content: Json = {
        "id": subscription.id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": subscription.created,
        "billing_cycle_anchor_config": None,
        "billing_thresholds": None,
        "cancel_at": subscription.cancel_at,
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "canceled_at": subscription.canceled_at,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": subscription.created,
        "currency": subscription.items[0].price.currency,
        "customer": subscription.customer,
        "days_until_due": None,
        "default_payment_method": subscription.default_payment_method,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": subscription.ended_at,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {
            "object": "list",
            "data": [_item(item, subscription.id, shape) for item in subscription.items],
            "has_more": False,
            "total_count": len(subscription.items),
            "url": f"/v1/subscription_items?subscription={subscription.id}",
        },
        "latest_invoice": subscription.latest_invoice,
        "livemode": False,
        "metadata": dict(subscription.metadata),
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": subscription.pause_collection,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": subscription.pending_update,
        "schedule": None,
        "start_date": subscription.start_date,
        "status": subscription.status,
        "test_clock": None,
        "transfer_data": None,
        "trial_end": subscription.trial_end,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": subscription.trial_start,
    }
    if shape == OLD:
        first = subscription.items[0]
        content |= {
            "current_period_end": subscription.period_end,
            "current_period_start": subscription.period_start,
            "discount": None,
            "plan": _plan(first.price),
            "quantity": first.quantity,
        }
    return content


def _item(item: Item, subscription: str, shape: Shape) -> Json:
    content: Json = {
        "id": item.id,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": item.created,
        "discounts": [],
        "metadata": {},
        "plan": _plan(item.price),
        "price": _price(item.price),
        "quantity": item.quantity,
        "subscription": subscription,
        "tax_rates": [],
    }
    if shape == NEW:
        content |= {
            "current_period_end": item.current_period_end,
            "current_period_start": item.current_period_start,
        }
    return content


def _price(price: Price, livemode: bool = False) -> Json:
    return {
        "id": price.id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": price.created,
        "currency": price.currency,
        "custom_unit_amount": None,
        "livemode": livemode,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": price.product,
        "recurring": {
            "interval": price.interval,
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": price.unit_amount,
        "unit_amount_decimal": str(price.unit_amount),
    }


def _plan(price: Price) -> Json:
    return {
        "id": price.id,
        "object": "plan",
        "active": True,
        "amount": price.unit_amount,
        "amount_decimal": str(price.unit_amount),
        "billing_scheme": "per_unit",
        "created": price.created,
        "currency": price.currency,
        "interval": price.interval,
        "interval_count": 1,
        "livemode": False,
        "metadata": {},
        "meter": None,
        "nickname": None,
        "product": price.product,
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _invoice(invoice: Invoice, shape: Shape) -> Json:
    content: Json = {
        "id": invoice.id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Example",
        "amount_due": invoice.amount_due,
        "amount_paid": invoice.amount_paid,
        "amount_remaining": invoice.amount_remaining,
        "attempt_count": invoice.attempt_count,
        "attempted": invoice.attempt_count > 0,
        "auto_advance": invoice.status in ("draft", "open"),
        "billing_reason": invoice.billing_reason,
        "collection_method": "charge_automatically",
        "created": invoice.created,
        "currency": invoice.currency,
        "customer": invoice.customer,
        "customer_email": None,
        "default_payment_method": None,
        "description": None,
        "discounts": [],
        "due_date": None,
        "ending_balance": None if invoice.status == "draft" else 0,
        "hosted_invoice_url": invoice.hosted_invoice_url,
        "lines": {
            "object": "list",
            "data": [_line(line, invoice, shape) for line in invoice.lines],
            "has_more": False,
            "total_count": len(invoice.lines),
            "url": f"/v1/invoices/{invoice.id}/lines",
        },
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": invoice.next_payment_attempt,
        "number": None,
        "period_end": invoice.created,
        "period_start": invoice.created,
        "status": invoice.status,
        "status_transitions": {
            "finalized_at": invoice.finalized_at,
            "marked_uncollectible_at": invoice.uncollectible_at,
            "paid_at": invoice.paid_at,
            "voided_at": invoice.voided_at,
        },
        "subtotal": invoice.amount_due,
        "total": invoice.amount_due,
    }
    if shape == OLD:
        return content | {
            "charge": None,
            "paid": invoice.status == "paid",
            "payment_intent": None,
            "subscription": invoice.subscription,
            "subscription_details": {"metadata": {}},
        }
    details = {"metadata": {}, "subscription": invoice.subscription}
    return content | {
        "parent": {
            "quote_details": None,
            "subscription_details": details,
            "type": "subscription_details",
        }
    }


def _line(line: Line, invoice: Invoice, shape: Shape) -> Json:
    content: Json = {
        "id": line.id,
        "object": "line_item",
        "amount": line.amount,
        "currency": line.price.currency,
        "description": f"{line.quantity} × {line.price.product}",
        "discountable": True,
        "discounts": [],
        "invoice": invoice.id,
        "livemode": False,
        "metadata": {},
        "period": {"end": line.period_end, "start": line.period_start},
        "quantity": line.quantity,
    }
    if shape == OLD:
        return content | {
            "plan": _plan(line.price),
            "price": _price(line.price),
            "proration": False,
            "subscription": line.subscription,
            "subscription_item": line.item,
            "type": "subscription",
        }
    item_details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": line.subscription,
        "subscription_item": line.item,
    }
    return content | {
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": item_details,
            "type": "subscription_item_details",
        },
        "pricing": {
            "price_details": {"price": line.price.id, "product": line.price.product},
            "type": "price_details",
            "unit_amount_decimal": str(line.price.unit_amount),
        },
    }


def _checkout_session(session: CheckoutSession) -> Json:
    return {
        "id": session.id,
        "object": "checkout.session",
        "amount_subtotal": None,
        "amount_total": None,
        "cancel_url": None,
        "client_reference_id": session.client_reference_id,
        "created": session.created,
        "currency": "usd",
        "customer": session.customer,
        "customer_details": None,
        "customer_email": None,
        "expires_at": session.created + 86_400,
        "invoice": session.invoice,
        "livemode": False,
        "metadata": dict(session.metadata),
        "mode": "subscription",
        "payment_intent": None,
        "payment_status": "paid",
        "status": "complete",
        "subscription": session.subscription,
        "success_url": "https://app.example/welcome",
        "ui_mode": "hosted",
        "url": None,
    }
