"""What the records must be in the end, told from the account itself and never from its events' order."""

from collections.abc import Iterator
from typing import Any

from .account import Account
from .model import Customer, Entity, Invoice, Item, Line, Subscription

Json = dict[str, Any]
Truth = dict[str, dict[str, Json]]

UNSENT = ("invoice.created", "price.created")
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
    """The user of each customer that has one: the newest `metadata.user_id` that any object states; else the
    first `client_reference_id`. Objects without events state what they hold."""
    stated: dict[str, tuple[int, str, str]] = {}
    referred: dict[str, tuple[int, str, str]] = {}
    for created, id, entity in _statements(account):
        about = entity.id if isinstance(entity, Customer) else getattr(entity, "customer", None)
        if about is None:
            continue
        if user_id := getattr(entity, "metadata", {}).get("user_id"):
            statement = (created, id, user_id)
            stated[about] = max(stated.get(about, statement), statement)
        if reference := getattr(entity, "client_reference_id", None):
            statement = (created, id, reference)
            referred[about] = min(referred.get(about, statement), statement)
    return {customer: user for customer, (_, _, user) in (referred | stated).items()}


def _statements(account: Account) -> Iterator[tuple[int, str, Entity]]:
    for event in account.events:
        yield event.created, event.id, event.after
    told = {event.after.id for event in account.events}
    entities: list[Entity] = [*account.customers.values(), *account.subscriptions.values()]
    for entity in entities:
        if entity.id not in told:
            yield entity.created, "", entity


def _paid_through(account: Account) -> dict[str, int]:
    """Until when each subscription is paid, by the lines whose item still has the line's price."""
    paid: dict[str, int] = {}
    for invoice in account.invoices.values():
        if invoice.status == "paid":
            for line in invoice.lines:
                if _is_current(line, account.subscriptions.get(line.subscription)):
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
        "user_id": users.get(subscription.customer),
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


def _customer(customer: Customer, account: Account, users: dict[str, str]) -> Json:
    return {
        "customer_id": customer.id,
        "user_id": users.get(customer.id),
        "email": customer.email,
        "livemode": account.livemode,
        "deleted": customer.deleted,
    }
