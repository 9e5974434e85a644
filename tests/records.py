"""The stored records, in the words of the simulator's truth."""

from collections.abc import Iterable
from typing import Any

from sqlmodel import col, select

from app.db import Database
from app.db.models import Customer, Invoice, Subscription
from app.simulator import Truth

ITEM_KEYS = ("price_id", "product_id", "quantity", "unit_amount", "currency", "interval")


def _named(row: Any, key: str, names: Iterable[str]) -> dict[str, Any]:
    return {key: row.id} | {name: getattr(row, name) for name in names}


async def stored(database: Database, like: Truth) -> Truth:
    """What the database holds of the objects that `like` has, with the same members."""
    async with database.reading() as session:
        customers = await session.exec(select(Customer).where(col(Customer.id).in_(like["customers"])))
        customer_rows = list(customers)
        rows = await session.exec(select(Subscription).where(col(Subscription.id).in_(like["subscriptions"])))
        subscriptions = list(rows)
        found = await session.exec(select(Invoice).where(col(Invoice.id).in_(like["invoices"])))
        invoices = list(found)
    return {
        "subscriptions": {row.id: _subscription(row) for row in subscriptions},
        "invoices": {row.id: _named(row, "invoice_id", INVOICE_NAMES) for row in invoices},
        "customers": {row.id: _named(row, "customer_id", CUSTOMER_NAMES) for row in customer_rows},
    }


SUBSCRIPTION_NAMES = [
    "customer_id",
    "user_id",
    "plan_id",
    "quantity",
    "status",
    "start_date",
    "expiry_date",
    "paid_through",
    "trial_end",
    "cancel_at",
    "cancel_at_period_end",
    "canceled_at",
    "ended_at",
    "livemode",
]
INVOICE_NAMES = [
    "subscription_id",
    "status",
    "amount_due",
    "amount_paid",
    "amount_remaining",
    "currency",
    "attempt_count",
    "next_payment_attempt",
    "hosted_invoice_url",
    "created",
    "paid_at",
]
CUSTOMER_NAMES = ("user_id", "email", "livemode", "deleted")


def _subscription(row: Subscription) -> dict[str, Any]:
    items = [{key: item[key] for key in ITEM_KEYS} for item in row.items]
    return _named(row, "subscription_id", SUBSCRIPTION_NAMES) | {
        "items": items,
    }
