"""Checkout sessions in one API version."""

from .model import CheckoutSession
from .shapes import NEW, OLD, Json, Shape


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
        "amount_subtotal": session.amount_subtotal,
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
        "mode": session.mode,
        "payment_intent": session.payment_intent,
        "payment_status": session.payment_status,
        "status": session.status,
        "subscription": session.subscription,
        "success_url": session.success_url,
        "ui_mode": session.ui_mode if shape == OLD else f"{session.ui_mode}_page",
        "url": session.url,
    }
    if session.ui_mode == "embedded":
        content |= {
            "client_secret": f"{session.id}_secret_simulated" if session.status == "open" else None,
            "redirect_on_completion": session.details.get("redirect_on_completion", "always"),
            "return_url": session.return_url,
            "success_url": None,
        }
    content["total_details"] = content["total_details"] | {"amount_discount": session.amount_discount}
    if shape == NEW:
        content |= _only_new(session)
    return content | session.details


def _only_new(session: CheckoutSession) -> Json:
    embedded = session.ui_mode == "embedded"
    return {
        "adaptive_pricing": None,
        "allowed_payment_method_types": None,
        "branding_settings": None,
        "collected_information": None,
        "currency_conversion": None,
        "customer_account": None,
        "discounts": [
            {"coupon": discount.coupon["id"], "promotion_code": discount.promotion_code}
            for discount in session.discounts
        ],
        "excluded_payment_method_types": None,
        "integration_identifier": None,
        "managed_payments": None,
        "name_collection": None,
        "optional_items": [],
        "origin_context": None,
        "payment_method_configuration_details": None,
        "permissions": None,
        "presentment_details": None,
        "redirect_on_completion": "always" if embedded else None,
        "return_url": session.return_url if embedded else None,
        "tax_id_collection": {"enabled": False, "required": "never"},
        "wallet_options": None,
    } | (
        {"redirect_on_completion": "always", "return_url": session.return_url}
        if session.ui_mode == "embedded"
        else {}
    )
