"""Customers and subscriptions in one API version."""

from .model import Customer, Discount, Item, Subscription
from .prices import render_plan, render_price, render_tax_rate
from .shapes import NESTED, NEW, OLD, Json, Shape


def render_customer(customer: Customer, shape: Shape = NEW) -> Json:
    content = _customer(customer, shape) | customer.details
    if shape == NEW:
        names = {"business_name": None, "customer_account": None, "individual_name": None}
        content = names | content
    return content


def _customer(customer: Customer, shape: Shape) -> Json:
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
        "discount": render_discount(customer.discount, shape) if customer.discount else None,
        "email": customer.email,
        "invoice_prefix": customer.id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": customer.default_payment_method,
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


def render_discount(discount: Discount, shape: Shape) -> Json:
    source = {"source": {"coupon": discount.coupon["id"], "type": "coupon"}, "customer_account": None}
    return (source if shape == NEW else {"coupon": dict(discount.coupon)}) | {
        "id": discount.id,
        "object": "discount",
        "checkout_session": discount.checkout_session,
        "customer": discount.customer,
        "end": discount.end,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": discount.promotion_code,
        "start": discount.start,
        "subscription": discount.subscription,
        "subscription_item": None,
    }


def _unused_of_subscription() -> Json:
    """Members that the simulator never fills otherwise, each time as a new copy."""
    return {
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor_config": None,
        "billing_thresholds": None,
        "collection_method": "charge_automatically",
        "days_until_due": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "livemode": False,
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "test_clock": None,
        "transfer_data": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }


def render_subscription(subscription: Subscription, shape: Shape) -> Json:
    content: Json = (
        _unused_of_subscription()
        | subscription.details
        | {
            "id": subscription.id,
            "object": "subscription",
            "billing_cycle_anchor": subscription.created,
            "cancel_at": subscription.cancel_at,
            "cancel_at_period_end": subscription.cancel_at_period_end,
            "canceled_at": subscription.canceled_at,
            "cancellation_details": {
                "comment": None,
                "feedback": None,
                "reason": subscription.cancellation_reason,
            },
            "created": subscription.created,
            "currency": subscription.items[0].price.currency,
            "customer": subscription.customer,
            "default_payment_method": subscription.default_payment_method,
            "discounts": [discount.id for discount in subscription.discounts],
            "ended_at": subscription.ended_at,
            "items": {
                "object": "list",
                "data": [render_item(item, subscription.id, shape) for item in subscription.items[:NESTED]],
                "has_more": len(subscription.items) > NESTED,
                "total_count": len(subscription.items),
                "url": f"/v1/subscription_items?subscription={subscription.id}",
            },
            "latest_invoice": subscription.latest_invoice,
            "metadata": dict(subscription.metadata),
            "pause_collection": subscription.pause_collection,
            "pending_update": subscription.pending_update,
            "schedule": subscription.schedule,
            "start_date": subscription.start_date,
            "status": subscription.status,
            "trial_end": subscription.trial_end,
            "trial_start": subscription.trial_start,
        }
    )
    first = subscription.items[0]
    if shape == OLD:
        return content | {
            "current_period_end": subscription.period_end,
            "current_period_start": subscription.period_start,
            "discount": render_discount(subscription.discounts[0], shape) if subscription.discounts else None,
            "plan": render_plan(first.price),
            "quantity": first.quantity,
        }
    return content | {
        "billing_mode": {"flexible": None, "type": "classic"},
        "billing_schedules": [],
        "customer_account": None,
        "managed_payments": None,
        "presentment_details": None,
        "status_details": _status_details(subscription),
    }


def _status_details(subscription: Subscription) -> Json | None:
    """Since when and why it is paused."""
    if subscription.status != "paused":
        return None
    cause = subscription.pause_cause or "trial_end_without_payment_method"
    transitioned_at = subscription.paused_at or subscription.created
    return {
        "paused": {
            "subscription": {"type": cause},
            "transitioned_at": transitioned_at,
            "type": "subscription",
        }
    }


def render_item(item: Item, subscription: str, shape: Shape) -> Json:
    content: Json = {
        "id": item.id,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": item.created,
        "discounts": [],
        "metadata": dict(item.metadata),
        "plan": render_plan(item.price),
        "price": render_price(item.price),
        "quantity": item.quantity,
        "subscription": subscription,
        "tax_rates": [render_tax_rate(id) for id in item.tax_rates],
    }
    if shape == NEW:
        content |= {
            "billed_until": item.current_period_end,
            "current_period_end": item.current_period_end,
            "current_period_start": item.current_period_start,
            "current_trial": None,
        }
    return content
