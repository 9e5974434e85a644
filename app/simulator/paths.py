"""Where the objects that are kept as they are rendered are read."""

PATHS = {
    "coupon": "/v1/coupons",
    "promotion_code": "/v1/promotion_codes",
    "payment_method": "/v1/payment_methods",
    "product": "/v1/products",
    "refund": "/v1/refunds",
    "credit_note": "/v1/credit_notes",
    "invoice_payment": "/v1/invoice_payments",
    "invoiceitem": "/v1/invoiceitems",
    "setup_intent": "/v1/setup_intents",
    "subscription_schedule": "/v1/subscription_schedules",
    "tax_id": "/v1/tax_ids",
    "tax_rate": "/v1/tax_rates",
    "billing_portal.configuration": "/v1/billing_portal/configurations",
    "billing_portal.session": "/v1/billing_portal/sessions",
    "test_helpers.test_clock": "/v1/test_helpers/test_clocks",
    "radar.early_fraud_warning": "/v1/radar/early_fraud_warnings",
    "customer_balance_transaction": "/v1/customer_balance_transactions",
}
"""By `object`."""
