"""Invoice items: what waits for the next invoice, or is put on a draft."""

from typing import Protocol

from .ids import derived_id
from .model import Line, Record
from .shapes import Json


class Clock(Protocol):
    """An account, for its time."""

    now: int


def invoice_item(line: Line, customer: str, account: Clock) -> Record:
    """The invoice item of a proration line."""
    return Record(
        derived_id("ii", line.id),
        account.now,
        "invoiceitem",
        new_invoice_item(
            derived_id("ii", line.id),
            account.now,
            customer,
            line.amount,
            line.price.currency,
            price=line.price.id,
            product=line.price.product,
            quantity=line.quantity,
            subscription=line.subscription or None,
            description=line.description,
            period=(line.period_start, line.period_end),
            proration=line.proration,
        ),
    )


def new_invoice_item(
    id: str,
    now: int,
    customer: str,
    amount: int,
    currency: str,
    *,
    price: str,
    product: str,
    quantity: int = 1,
    subscription: str | None = None,
    description: str | None = None,
    period: tuple[int, int] | None = None,
    proration: bool = False,
) -> Json:
    """`amount` in minor currency units, `period` in Unix seconds; without one it is this moment."""
    start, end = period or (now, now)
    of = {"subscription_details": {"subscription": subscription}, "type": "subscription_details"}
    return {
        "id": id,
        "object": "invoiceitem",
        "amount": amount,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "date": now,
        "description": description,
        "discountable": not proration,
        "discounts": [],
        "frozen_fields": [],
        "invoice": None,
        "invoicing_rules": None,
        "livemode": False,
        "metadata": {},
        "net_amount": amount,
        "parent": of if subscription else None,
        "period": {"end": end, "start": start},
        "pricing": {
            "price_details": {"price": price, "product": product},
            "type": "price_details",
            "unit_amount_decimal": str(amount // max(1, quantity)),
        },
        "proration": proration,
        "proration_details": None,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "tax_rates": [],
        "test_clock": None,
    }
