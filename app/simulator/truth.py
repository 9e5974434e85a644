"""What the records must be in the end, told from the account itself and never from its events' order."""

from typing import Any

from .account import Account
from .model import Customer, Invoice, Subscription

Json = dict[str, Any]
Truth = dict[str, dict[str, Json]]

UNSENT = ("invoice.created", "price.created")
"""Types that an endpoint for subscription records does not handle: they show nothing."""

ENDED = ("canceled", "incomplete_expired")


def truth(account: Account, *, whole: bool = False) -> Truth:
    """The subscriptions, invoices and customers that Stripe itself would show, by id.

    `whole` adds what a record holds beyond the answers of an API: periods, paused collection, metadata, and
    an invoice's customer. Times are Unix seconds, amounts minor currency units.
    """
    shown = {event.after.id for event in account.events if event.type not in UNSENT}
    subscriptions = {
        s.id: _subscription(s, account) | (_rest_of_subscription(s) if whole else {})
        for s in account.subscriptions.values()
    }
    invoices = {
        i.id: _invoice(i, account) | ({"customer_id": i.customer} if whole else {})
        for i in account.invoices.values()
        if i.id in shown
    }
    customers = {c.id: _customer(c, account) for c in account.customers.values()}
    return {"subscriptions": subscriptions, "invoices": invoices, "customers": customers}


def user_of(account: Account, customer_id: str) -> str | None:
    """The newest `metadata.user_id` that any object states; else the first `client_reference_id`."""
    stated: list[tuple[int, str, str]] = []
    referred: list[tuple[int, str, str]] = []
    for event in account.events:
        about = (
            event.after.id if isinstance(event.after, Customer) else getattr(event.after, "customer", None)
        )
        if about != customer_id:
            continue
        if user_id := getattr(event.after, "metadata", {}).get("user_id"):
            stated.append((event.created, event.id, user_id))
        if reference := getattr(event.after, "client_reference_id", None):
            referred.append((event.created, event.id, reference))
    if stated:
        return max(stated)[2]
    return min(referred)[2] if referred else None


def _subscription(subscription: Subscription, account: Account) -> Json:
    paid = [
        line.period_end
        for invoice in account.invoices.values()
        if invoice.status == "paid"
        for line in invoice.lines
        if line.subscription == subscription.id
    ]
    first = subscription.items[0]
    return {
        "subscription_id": subscription.id,
        "customer_id": subscription.customer,
        "user_id": user_of(account, subscription.customer),
        "plan_id": first.price.id,
        "quantity": first.quantity,
        "items": [
            {
                "price_id": item.price.id,
                "product_id": item.price.product,
                "quantity": item.quantity,
                "unit_amount": item.price.unit_amount,
                "currency": item.price.currency,
                "interval": item.price.interval,
            }
            for item in subscription.items
        ],
        "status": subscription.status,
        "start_date": subscription.start_date,
        "expiry_date": _expiry_date(subscription),
        "paid_through": max(paid, default=None),
        "trial_end": subscription.trial_end,
        "cancel_at": subscription.cancel_at,
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "canceled_at": subscription.canceled_at,
        "ended_at": subscription.ended_at,
        "livemode": account.livemode,
    }


def _rest_of_subscription(subscription: Subscription) -> Json:
    return {
        "current_period_start": subscription.period_start,
        "current_period_end": subscription.period_end,
        "pause_collection": subscription.pause_collection,
        "metadata": dict(subscription.metadata),
    }


def _expiry_date(subscription: Subscription) -> int | None:
    if subscription.status in ENDED:
        return subscription.ended_at
    if subscription.cancel_at is None:
        return subscription.period_end
    return min(subscription.cancel_at, subscription.period_end)


def _invoice(invoice: Invoice, account: Account) -> Json:
    return {
        "invoice_id": invoice.id,
        "subscription_id": invoice.subscription,
        "status": invoice.status,
        "amount_due": invoice.amount_due,
        "amount_paid": invoice.amount_paid,
        "amount_remaining": invoice.amount_remaining,
        "currency": invoice.currency,
        "attempt_count": invoice.attempt_count,
        "next_payment_attempt": invoice.next_payment_attempt,
        "hosted_invoice_url": invoice.hosted_invoice_url,
        "created": invoice.created,
        "paid_at": invoice.paid_at,
    }


def _customer(customer: Customer, account: Account) -> Json:
    return {
        "customer_id": customer.id,
        "user_id": user_of(account, customer.id),
        "email": customer.email,
        "livemode": account.livemode,
        "deleted": customer.deleted,
    }
