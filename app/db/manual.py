"""Manual records: what only the internal API has spoken of, and Stripe may not know at all."""

from typing import Final

MANUAL_SUBSCRIPTION: Final = (
    "snapshot_rank IS NULL AND overlay IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM billing_invoice WHERE billing_invoice.subscription_id = billing_subscription.id)"
)
MANUAL_CUSTOMER: Final = (
    "snapshot_rank IS NULL "
    "AND EXISTS (SELECT 1 FROM billing_subscription AS own WHERE own.customer_id = billing_customer.id) "
    "AND NOT EXISTS (SELECT 1 FROM billing_subscription AS own WHERE own.customer_id = billing_customer.id "
    "AND (own.snapshot_rank IS NOT NULL OR own.overlay IS NULL)) "
    "AND NOT EXISTS (SELECT 1 FROM billing_invoice WHERE billing_invoice.customer_id = billing_customer.id)"
)
"""Conditions on the rows of billing_subscription and billing_customer."""
TO_REFRESH: Final = {
    "subscription": f"billing_subscription WHERE needs_refresh AND NOT ({MANUAL_SUBSCRIPTION})",
    "customer": f"billing_customer WHERE needs_refresh AND NOT ({MANUAL_CUSTOMER})",
}
"""The table and condition of records that Stripe has to be asked about: a manual one is complete without."""
SETTLE: Final = {
    "subscription": "UPDATE billing_subscription SET needs_refresh = false "
    f"WHERE id = :id AND needs_refresh AND {MANUAL_SUBSCRIPTION}",
    "customer": "UPDATE billing_customer SET needs_refresh = false "
    f"WHERE id = :id AND needs_refresh AND {MANUAL_CUSTOMER}",
}
"""Statements for a manual record of which Stripe has said that it does not know it."""
