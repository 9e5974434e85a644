"""Customers, subscriptions, prices and checkout sessions in one API version."""

from .model import CheckoutSession, Customer, Item, Price, Subscription
from .shapes import NESTED, NEW, OLD, Json, Shape


def render_customer(customer: Customer) -> Json:
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
        "discount": None,
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
        "discounts": [],
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
        "schedule": None,
        "test_clock": None,
        "transfer_data": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }


def render_subscription(subscription: Subscription, shape: Shape) -> Json:
    content: Json = _unused_of_subscription() | {
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
        "start_date": subscription.start_date,
        "status": subscription.status,
        "trial_end": subscription.trial_end,
        "trial_start": subscription.trial_start,
    }
    first = subscription.items[0]
    if shape == OLD:
        return content | {
            "current_period_end": subscription.period_end,
            "current_period_start": subscription.period_start,
            "discount": None,
            "plan": render_plan(first.price),
            "quantity": first.quantity,
        }
    return content | {
        "billing_mode": {"flexible": None, "type": "classic"},
        "billing_schedules": [],
        "customer_account": None,
        "managed_payments": None,
    }


def render_item(item: Item, subscription: str, shape: Shape) -> Json:
    content: Json = {
        "id": item.id,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": item.created,
        "discounts": [],
        "metadata": {},
        "plan": render_plan(item.price),
        "price": render_price(item.price),
        "quantity": item.quantity,
        "subscription": subscription,
        "tax_rates": [render_tax_rate(id) for id in item.tax_rates],
    }
    if shape == NEW:
        content |= {
            "current_period_end": item.current_period_end,
            "current_period_start": item.current_period_start,
        }
    return content


def render_tax_rate(id: str) -> Json:
    """A tax rate, of which the simulator keeps only the id: it computes no taxes."""
    return {
        "id": id,
        "object": "tax_rate",
        "active": True,
        "country": None,
        "created": 1_700_000_000,
        "description": None,
        "display_name": "Tax",
        "effective_percentage": 0.0,
        "flat_amount": None,
        "inclusive": False,
        "jurisdiction": None,
        "jurisdiction_level": None,
        "livemode": False,
        "metadata": {},
        "percentage": 0.0,
        "rate_type": "percentage",
        "state": None,
        "tax_type": None,
    }


def render_price(price: Price) -> Json:
    return {
        "id": price.id,
        "object": "price",
        "active": price.active,
        "billing_scheme": "per_unit",
        "created": price.created,
        "currency": price.currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": price.lookup_key,
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


def render_plan(price: Price) -> Json:
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


def render_customer_details(email: str | None) -> Json | None:
    """What a buyer filled in; nothing where the session knows no buyer's address."""
    if email is None:
        return None
    return {
        "address": None,
        "email": email,
        "name": None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }


def _unused_of_checkout_session() -> Json:
    """Members that the simulator never fills otherwise, each time as a new copy."""
    return {
        "after_expiration": None,
        "allow_promotion_codes": None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "client_secret": None,
        "consent": None,
        "consent_collection": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer_creation": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": None,
        "mode": "subscription",
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "always",
        "payment_method_options": None,
        "payment_method_types": ["card"],
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "submit_type": None,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
    }


def render_checkout_session(session: CheckoutSession, shape: Shape) -> Json:
    content: Json = _unused_of_checkout_session() | {
        "id": session.id,
        "object": "checkout.session",
        "amount_subtotal": session.amount_total,
        "amount_total": session.amount_total,
        "cancel_url": session.cancel_url,
        "client_reference_id": session.client_reference_id,
        "created": session.created,
        "currency": session.currency,
        "customer": session.customer,
        "customer_details": render_customer_details(session.customer_email),
        "customer_email": session.customer_email,
        "expires_at": session.expires_at,
        "invoice": session.invoice,
        "metadata": dict(session.metadata),
        "payment_status": session.payment_status,
        "status": session.status,
        "subscription": session.subscription,
        "success_url": session.success_url,
        "ui_mode": "hosted" if shape == OLD else "hosted_page",
        "url": session.url,
    }
    if shape == OLD:
        return content
    return content | {
        "adaptive_pricing": None,
        "collected_information": None,
        "customer_account": None,
        "discounts": [],
        "origin_context": None,
        "permissions": None,
        "wallet_options": None,
    }
