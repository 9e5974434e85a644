"""Invoices: made by hand, finalized, paid, voided, sent; and invoice items."""

from dataclasses import replace
from typing import Any

from ..changes import CardDeclined
from ..invoice_items import new_invoice_item
from ..model import Customer, Invoice, Record
from ..shapes import Json
from . import coupons, forms, payment_methods
from .call import Call
from .errors import declined, invalid, missing
from .expansion import answer
from .resources import Resource
from .typed import typed

CREATED = (
    "customer",
    "subscription",
    "auto_advance",
    "collection_method",
    "currency",
    "days_until_due",
    "default_payment_method",
    "description",
    "discounts",
    "due_date",
    "metadata",
    "pending_invoice_items_behavior",
)
UPDATED = ("auto_advance", "default_payment_method", "description", "due_date", "metadata", "discounts")
PAID = ("forgive", "off_session", "paid_out_of_band", "payment_method")
DAY = 86_400


def create_invoice(call: Call) -> Json:
    """A draft with the invoice items that wait, unless they are to be left out.

    Raises:
        ApiError: 400 for what Stripe refuses.
    """
    params, account = typed(call, CREATED), call.account
    if params.get("customer") is None:
        raise missing("customer")
    customer = call.living_customer(params["customer"], "customer")
    subscription = params.get("subscription") or ""
    if subscription:
        call.subscription(subscription, "subscription")
    invoiced = params.get("collection_method") == "send_invoice"
    due = _due_date(call, params) if invoiced else None
    made = coupons.discounts(call, params.get("discounts"), "discounts", customer.id)
    method = payment_methods.usable(
        call, params.get("default_payment_method"), customer.id, "default_payment_method"
    )
    invoice = account.draft_invoice(
        customer,
        subscription,
        with_items=params.get("pending_invoice_items_behavior") != "exclude",
        currency=params.get("currency") or "usd",
        discounts=made,
    )
    coupons.redeem(call, made)
    invoice.collection_method = "send_invoice" if invoiced else "charge_automatically"
    invoice.due_date, invoice.default_payment_method = due, method
    invoice.description, invoice.metadata = params.get("description"), dict(params.get("metadata") or {})
    account.announce("invoice.created", invoice)
    return answer(call, invoice)


def _due_date(call: Call, params: Json) -> int:
    days, date = params.get("days_until_due"), params.get("due_date")
    if days is None and date is None:
        raise invalid(
            "If invoice `collection_method=send_invoice`, you must specify `due_date` or `days_until_due`.",
            "due_date",
        )
    return int(date) if date is not None else call.account.now + int(days or 0) * DAY


def update_invoice(call: Call) -> Json:
    params, invoice = typed(call, UPDATED), call.invoice()
    if invoice.status != "draft" and params.keys() - {"metadata", "auto_advance", "default_payment_method"}:
        raise invalid("Finalized invoices can't be updated in this way", None, "invoice_not_editable")
    changes: dict[str, Any] = {}
    for name in ("description", "due_date"):
        if name in params:
            changes[name] = params[name]
    if "default_payment_method" in params:
        changes["default_payment_method"] = payment_methods.usable(
            call, params["default_payment_method"], invoice.customer, "default_payment_method"
        )
    if "metadata" in params:
        changes["metadata"] = forms.merged_metadata(call.params, invoice.metadata)
    if "discounts" in params:
        made = coupons.discounts(call, params["discounts"], "discounts", invoice.customer)
        changes["discounts"] = call.account.amounts_off(replace(invoice, discounts=[]), made)
    call.account.change_invoice(invoice, **changes)
    return answer(call, invoice)


def delete_invoice(call: Call) -> Json:
    """
    Raises:
        ApiError: 400 unless it is a draft that is of no subscription.
    """
    forms.known(call.params, ())
    invoice = call.invoice()
    if invoice.status != "draft" or invoice.subscription:
        raise invalid("You can only delete draft invoices that were not made by a subscription.", "invoice")
    call.account.delete_invoice(invoice)
    return {"id": invoice.id, "object": "invoice", "deleted": True}


def finalize_invoice(call: Call) -> Json:
    typed(call, ("auto_advance",))
    invoice = _in_status(call, "draft", "This invoice is already finalized, you can't re-finalize it.")
    call.account.finalize_invoice(invoice)
    return answer(call, invoice)


def pay_invoice(call: Call) -> Json:
    """
    Raises:
        ApiError: 400 where it is not open, 402 where the card is refused.
    """
    params, invoice = typed(call, PAID), call.invoice()
    if invoice.status == "paid":
        raise invalid("Invoice is already paid", None, "invoice_already_paid")
    if invoice.status not in ("draft", "open", "uncollectible"):
        raise invalid(
            f"You cannot pay an invoice with the status {invoice.status}.", None, "invoice_not_open"
        )
    method = payment_methods.usable(call, params.get("payment_method"), invoice.customer, "payment_method")
    try:
        call.account.pay_invoice(invoice, method, out_of_band=bool(params.get("paid_out_of_band")))
    except CardDeclined as error:
        raise declined(error.code) from None
    return answer(call, invoice)


def void_invoice(call: Call) -> Json:
    typed(call, ())
    invoice = call.invoice()
    if invoice.status not in ("open", "uncollectible"):
        raise invalid(
            f"You can only void open or uncollectible invoices. This one is {invoice.status}.", "invoice"
        )
    call.account.void(invoice)
    return answer(call, invoice)


def mark_uncollectible(call: Call) -> Json:
    typed(call, ())
    invoice = _in_status(call, "open", "You can only mark an open invoice as uncollectible.")
    call.account.mark_uncollectible(invoice)
    return answer(call, invoice)


def send_invoice(call: Call) -> Json:
    """A draft is finalized first; the simulator sends no mail."""
    typed(call, ())
    invoice = call.invoice()
    if invoice.status not in ("draft", "open"):
        raise invalid(f"You cannot send an invoice with the status {invoice.status}.", "invoice")
    if invoice.status == "draft":
        call.account.finalize_invoice(invoice)
    call.account.announce("invoice.sent", invoice)
    return answer(call, invoice)


def _in_status(call: Call, status: str, message: str) -> Invoice:
    invoice = call.invoice()
    if invoice.status != status:
        raise invalid(message, "invoice")
    return invoice


# Invoice items


def _invoice_item(call: Call, params: Json) -> Json:
    if params.get("customer") is None:
        raise missing("customer")
    customer = call.living_customer(params["customer"], "customer")
    subscription = params.get("subscription")
    if subscription is not None:
        call.subscription(subscription, "subscription")
    draft = _draft(call, params.get("invoice"))
    id = call.account.new_id("ii")
    members = new_invoice_item(
        id,
        call.account.now,
        customer.id,
        *_amount_and_currency(call, params, customer),
        price=_pricing(call, params).get("price") or call.account.new_id("price"),
        product=_pricing(call, params).get("product") or call.account.new_id("prod"),
        quantity=params.get("quantity") or 1,
        subscription=subscription,
        description=params.get("description"),
    )
    members["metadata"] = dict(params.get("metadata") or {})
    if draft is not None:
        members["invoice"] = draft.id
        line = call.account.line_of(Record(id, call.account.now, "invoiceitem", members))
        call.account.change_invoice(draft, lines=[*draft.lines, line])
    return members


def _draft(call: Call, id: str | None) -> Invoice | None:
    if id is None:
        return None
    invoice = call.find("invoice", call.account.invoices, id, "invoice")
    if invoice.status != "draft":
        raise invalid("The specified invoice is not a draft.", "invoice", "invoice_not_editable")
    return invoice


def _pricing(call: Call, params: Json) -> Json:
    id = (params.get("pricing") or {}).get("price") or params.get("price")
    if id is None:
        return {}
    price = call.price(id, "pricing[price]")
    return {"price": price.id, "product": price.product}


def _amount_and_currency(call: Call, params: Json, customer: Customer) -> tuple[int, str]:
    """Minor currency units: an amount, or a price or unit amount times the quantity."""
    pricing, quantity = _pricing(call, params), params.get("quantity") or 1
    if pricing:
        price = call.account.prices[pricing["price"]]
        return price.unit_amount * quantity, price.currency
    currency = params.get("currency") or "usd"
    if params.get("unit_amount_decimal") is not None:
        return round(float(params["unit_amount_decimal"]) * quantity), currency
    if params.get("amount") is None:
        raise missing("amount")
    return int(params["amount"]), currency


def _changed_item(call: Call, params: Json) -> Json:
    record = INVOICE_ITEMS.found(call)
    invoice = call.account.invoices.get(record.content["invoice"] or "")
    if invoice is not None and invoice.status != "draft":
        raise invalid("The invoice of this item is finalized.", None, "invoice_not_editable")
    if params.get("amount") is not None:
        params["net_amount"] = params["amount"]
    return params


INVOICE_ITEMS = Resource(
    "invoiceitem",
    "invoiceitem",
    "ii",
    {},
    (
        "customer",
        "amount",
        "currency",
        "description",
        "invoice",
        "metadata",
        "price",
        "pricing",
        "quantity",
        "subscription",
        "unit_amount_decimal",
    ),
    ("amount", "description", "metadata", "quantity"),
    filters=("customer", "invoice"),
    event="invoiceitem",
    without=("created",),
    fill=_invoice_item,
    change=_changed_item,
)
