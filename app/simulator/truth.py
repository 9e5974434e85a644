"""The expected records, computed from the account itself and never from the order of its events."""

from typing import Any

from .account import Account
from .model import CheckoutSession, Customer, Invoice, Item, Line, Subscription

Json = dict[str, Any]
Truth = dict[str, dict[str, Json]]

UNSENT = ("price.created",)
"""Types that an endpoint for subscription records does not handle: they show nothing."""

PLAN_RANKS = {"price_starter": 1, "price_team": 2, "price_team_yearly": 2}
"""The prices of plans, in the order of the catalogue that ships with the service."""

ENDED = ("canceled", "incomplete_expired")


def truth(account: Account, *, whole: bool = False) -> Truth:
    """The subscriptions, invoices and customers that Stripe itself would show, by id.

    `whole` adds what a record holds beyond the answers of an API: periods, paused collection, metadata, and
    an invoice's customer. Times are Unix seconds, amounts minor currency units.
    """
    shown = {event.after.id for event in account.events if event.type not in UNSENT}
    users, paid = users_of(account), _paid_through(account)
    subscriptions = {
        s.id: _subscription(s, account, users, paid) | (_rest_of_subscription(s) if whole else {})
        for s in account.subscriptions.values()
    }
    invoices = {
        i.id: _invoice(i, account) | ({"customer_id": i.customer} if whole else {})
        for i in account.invoices.values()
        if i.id in shown
    }
    customers = {c.id: _customer(c, account, users) for c in account.customers.values()}
    return {"subscriptions": subscriptions, "invoices": invoices, "customers": customers}


def users_of(account: Account) -> dict[str, str]:
    """The user of each customer and subscription that has one, by id.

    A customer's is its `metadata.user_id`, else the `client_reference_id` of its first completed checkout
    session. A subscription's is its own `metadata.user_id`, else (unless it ever named a user) that of the
    session that created it, else its customer's.
    """
    sessions = _completed(account)
    users = {
        session.customer: reference
        for session in sessions
        if session.customer is not None and (reference := session.client_reference_id)
    }
    users |= {c.id: user_id for c in account.customers.values() if (user_id := c.metadata.get("user_id"))}
    named = {
        event.after.id
        for event in account.events
        if isinstance(event.after, Subscription) and event.after.metadata.get("user_id")
    }
    sold = {
        session.subscription: user_id
        for session in sessions
        if session.subscription is not None
        and session.subscription not in named
        and (user_id := session.metadata.get("user_id"))
    }
    subscriptions = account.subscriptions.values()
    own = {s.id: user_id for s in subscriptions if (user_id := s.metadata.get("user_id"))}
    inherited = {s.id: users[s.customer] for s in subscriptions if s.customer in users}
    return users | inherited | sold | own


def _completed(account: Account) -> list[CheckoutSession]:
    """The completed checkout sessions, the first last: of several claims the first counts."""
    completed = [event for event in account.events if event.type == "checkout.session.completed"]
    ordered = sorted(completed, key=lambda event: (event.created, event.id), reverse=True)
    return [event.after for event in ordered if isinstance(event.after, CheckoutSession)]


def _paid_through(account: Account) -> dict[str, int]:
    """Until when each subscription is paid, by the lines whose item still has the line's price."""
    paid: dict[str, int] = {}
    for invoice in account.invoices.values():
        if invoice.status == "paid":
            for line in invoice.lines:
                if not line.proration and _is_current(line, account.subscriptions.get(line.subscription)):
                    paid[line.subscription] = max(paid.get(line.subscription, 0), line.period_end)
    return paid


def _is_current(line: Line, subscription: Subscription | None) -> bool:
    items = subscription.items if subscription is not None else ()
    return any((item.id, item.price.id) == (line.item, line.price.id) for item in items)


def _subscription(
    subscription: Subscription, account: Account, users: dict[str, str], paid: dict[str, int]
) -> Json:
    main = max(subscription.items, key=_rank)
    return {
        "subscription_id": subscription.id,
        "customer_id": subscription.customer,
        "user_id": users.get(subscription.id),
        "plan_id": main.price.id,
        "quantity": main.quantity,
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
        "paid_through": paid.get(subscription.id),
        "trial_end": subscription.trial_end,
        "cancel_at": subscription.cancel_at,
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "canceled_at": subscription.canceled_at,
        "ended_at": subscription.ended_at,
        "livemode": account.livemode,
    }


def _rank(item: Item) -> tuple[int, int, int, str]:
    """The greatest is the main item: the highest plan, then the longest interval, the quantity, the id."""
    interval = 365 if item.price.interval == "year" else 30
    return PLAN_RANKS.get(item.price.id, 0), interval, item.quantity, item.id


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
        "subscription_id": invoice.subscription or None,
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


def _customer(customer: Customer, account: Account, users: dict[str, str]) -> Json:
    return {
        "customer_id": customer.id,
        "user_id": users.get(customer.id),
        "email": customer.email,
        "livemode": account.livemode,
        "deleted": customer.deleted,
    }
