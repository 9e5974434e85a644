"""The moment that an older release kept of a subscription's payments, and the invoices that explain it."""

from typing import Any

from app.db.models import Subscription
from app.inbox.handlers.paid_through import explained
from app.stripe.invoice_lines import UNKNOWN


def invoice(end: int, *, proration: bool) -> dict[str, Any]:
    details = {"subscription": "sub_1", "subscription_item": "si_1", "proration": proration}
    parent = {"subscription_item_details": details}
    pricing = {"price_details": {"price": "price_1"}}
    line = {"period": {"start": 0, "end": end}, "parent": parent, "pricing": pricing, "amount": 100}
    return {"object": "invoice", "lines": {"object": "list", "data": [line]}}


def test_a_moment_follows_from_the_lines_once_the_invoice_is_known_that_it_came_from() -> None:
    record = Subscription(id="sub_1", paid_through=500)
    assert explained(record, "sub_1", [invoice(500, proration=True)]) == {}
    assert explained(record, "sub_1", [invoice(500, proration=False)]) == {"si_1": {"price_1": 500}}


def test_a_moment_that_no_invoice_explains_is_kept() -> None:
    record = Subscription(id="sub_1", paid_through=500)
    assert explained(record, "sub_1", []) == {UNKNOWN: {UNKNOWN: 500}}
    assert explained(record, "sub_1", [invoice(300, proration=True)]) == {UNKNOWN: {UNKNOWN: 500}}
