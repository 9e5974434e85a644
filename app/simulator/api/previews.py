"""`/v1/invoices/create_preview`: what a change would charge, or the next renewal; nothing is changed."""

from dataclasses import replace
from typing import Any

from ..ids import derived_id
from ..model import Customer, Discount, Invoice, Item, Line, Subscription
from ..prorations import prorated, resets_cycle, restarted
from ..shapes import Json
from . import coupons, forms
from .call import Call
from .errors import invalid, missing
from .expansion import expand
from .items import read_items
from .rendering import show
from .subscriptions import priced_items

PARAMS = (
    "customer",
    "subscription",
    "subscription_details",
    "discounts",
    "preview_mode",
    "currency",
    "expand",
)
DETAILS = (
    "items",
    "proration_behavior",
    "proration_date",
    "cancel_at_period_end",
    "cancel_now",
    "trial_end",
    "start_date",
)


def create_preview(call: Call) -> Json:
    """The invoice that would come next, with its lines.

    Raises:
        ApiError: 400 for what Stripe refuses, 404 where nothing would be charged.
    """
    params = call.params
    forms.known(params, PARAMS)
    details = forms.hashed(params, "subscription_details")
    forms.known(details, DETAILS, "subscription_details")
    id = forms.text(params, "subscription")
    if id is None:
        customer = call.living_customer(forms.required(params, "customer"), "customer")
        invoice = _of_new(call, customer, details)
    else:
        subscription = call.subscription(id, "subscription")
        if subscription.ended_at is not None:
            raise invalid("No upcoming invoices for customer", "subscription", "invoice_upcoming_none")
        customer = call.account.customers[subscription.customer]
        invoice = _of_change(call, subscription, details)
    _take_off(call, invoice, customer)
    return expand(call, show(call, invoice), forms.texts(params, "expand"))


def _of_new(call: Call, customer: Customer, details: forms.Params) -> Invoice:
    """The first invoice of a subscription that there is not yet."""
    if not details.get("items"):
        raise missing("subscription_details[items]")
    wanted = replace(call, params=details)
    lines = []
    for number, (price, quantity) in enumerate(priced_items(wanted, "items")):
        of = call.account.prices[price]
        start = call.account.now
        id = derived_id("il", f"preview {customer.id} {number} {price}")
        lines.append(Line(id, "", "", of, quantity, start, start + of.seconds))
    return _preview(call, customer.id, "", lines, "subscription_create")


def _of_change(call: Call, subscription: Subscription, details: forms.Params) -> Invoice:
    account = call.account
    at = forms.integer(details, "proration_date") or account.now
    proration = forms.text(details, "proration_behavior") or "create_prorations"
    entries = forms.listed(details, "items")
    before = account.ids_state()
    items = read_items(call, subscription, entries, "subscription_details[items]") if entries else None
    account.restore_ids(before)
    lines: list[Line] = []
    if items is not None and proration != "none":
        lines = prorated(subscription, restarted(items, subscription.items, at), at, _ids(subscription.id))
    pending = [
        account.line_of(item) for item in account.pending_items(subscription.customer, subscription.id)
    ]
    restarts = items is not None and resets_cycle(items, subscription.items)
    if not restarts and not (proration == "always_invoice" and items is not None):
        lines += [] if _ends(subscription, details) else _renewal(subscription, items or subscription.items)
    return _preview(call, subscription.customer, subscription.id, lines + pending, "upcoming")


def _ends(subscription: Subscription, details: forms.Params) -> bool:
    """Whether nothing follows the present period."""
    wanted = forms.boolean(details, "cancel_at_period_end")
    return subscription.cancel_at_period_end if wanted is None else wanted


def _renewal(subscription: Subscription, items: list[Item]) -> list[Line]:
    """The next period, by the items that will be there."""
    return [
        Line(
            derived_id("il", f"preview {subscription.id} {item.id}"),
            subscription.id,
            item.id,
            item.price,
            item.quantity,
            item.current_period_end,
            item.current_period_end + item.price.seconds,
        )
        for item in items
    ]


def _preview(call: Call, customer: str, subscription: str, lines: list[Line], reason: str) -> Invoice:
    if not lines:
        raise invalid("No upcoming invoices for customer", None, "invoice_upcoming_none")
    now = call.account.now
    id = derived_id("upcoming_in", f"{customer} {subscription} {now}")
    return Invoice(id, customer, subscription, now, lines, reason, own_currency=lines[0].price.currency)


def _take_off(call: Call, invoice: Invoice, customer: Customer) -> None:
    wanted: Any = forms.listed(call.params, "discounts")
    of: Subscription | None = call.account.subscriptions.get(invoice.subscription)
    state = call.account.ids_state()
    made: list[Discount] = coupons.discounts(call, wanted, "discounts", customer.id)
    call.account.restore_ids(state)
    inherited = of.discounts if of is not None else []
    if not inherited and customer.discount is not None:
        inherited = [customer.discount]
    left = invoice.subtotal
    for discount in made or inherited:
        if discount.applies(call.account.now) and left > 0:
            amount = discount.amount(left)
            left -= amount
            invoice.discounts.append((discount.id, amount))


def _ids(source: str) -> Any:
    count = iter(range(1_000))
    return lambda prefix: derived_id(prefix, f"preview {source} {next(count)}")
