"""The members that the installed official library declares for each kind of object."""

from typing import Any

import stripe

CLASSES: dict[str, Any] = {
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "line_item": stripe.InvoiceLineItem,
    "plan": stripe.Plan,
    "price": stripe.Price,
    "product": stripe.Product,
    "subscription": stripe.Subscription,
    "subscription_item": stripe.SubscriptionItem,
    "webhook_endpoint": stripe.WebhookEndpoint,
    "billing_portal.session": stripe.billing_portal.Session,
    "billing_portal.configuration": stripe.billing_portal.Configuration,
    "coupon": stripe.Coupon,
    "credit_note": stripe.CreditNote,
    "customer_balance_transaction": stripe.CustomerBalanceTransaction,
    "discount": stripe.Discount,
    "invoice_payment": stripe.InvoicePayment,
    "invoiceitem": stripe.InvoiceItem,
    "payment_intent": stripe.PaymentIntent,
    "promotion_code": stripe.PromotionCode,
    "refund": stripe.Refund,
    "setup_intent": stripe.SetupIntent,
    "subscription_schedule": stripe.SubscriptionSchedule,
    "tax_id": stripe.TaxId,
    "tax_rate": stripe.TaxRate,
    "test_helpers.test_clock": stripe.test_helpers.TestClock,
}

ON_REQUEST: dict[str, set[str]] = {
    "charge": {"refunds"},
    "checkout.session": {"line_items"},
    "coupon": {"applies_to", "currency_options"},
    "customer": {"cash_balance", "invoice_credit_balance", "sources", "subscriptions", "tax", "tax_ids"},
    "event": {"account", "context", "reason"},
    "invoice": {"confirmation_secret", "payments"},
    "plan": {"tiers"},
    "price": {"currency_options", "tiers"},
    "webhook_endpoint": {"secret"},
}
"""Members that Stripe shows only where they are expanded, or on some objects alone."""


def declared(kind: str) -> set[str]:
    """What an object of this kind has, where nothing is expanded."""
    own = {"OBJECT_NAME", "_inner_class_types", "deleted"}
    return set(CLASSES[kind].__annotations__) - own - ON_REQUEST.get(kind, set())
