"""Customers: created, updated, deleted; their balance."""

from typing import Any

from ..model import Customer
from ..shapes import Json
from . import coupons, forms, payment_methods
from .call import Call
from .errors import missing
from .expansion import answer
from .reads import one
from .resources import Resource
from .tax import TAX_IDS, tax_id
from .typed import typed, typed_members

KEPT = (
    "address",
    "business_name",
    "description",
    "individual_name",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
)
"""Members that are kept and shown as they are given."""

SETTABLE = ("email", "name", "metadata", "invoice_settings", "balance", "expand")
CREATED = (*SETTABLE, *KEPT, "payment_method", "tax_id_data", "test_clock", "coupon", "promotion_code")
UPDATED = (*SETTABLE, *KEPT, "coupon", "promotion_code")


def create_customer(call: Call) -> Json:
    forms.known(call.params, CREATED)
    params, account = call.params, call.account
    metadata, kept = forms.merged_metadata(params, {}), typed_members(call, (*KEPT, "test_clock", "balance"))
    email, name = forms.text(params, "email"), forms.text(params, "name")
    made = coupons.discounts(call, _discount(params), "coupon", None)
    customer = account.new_customer(email, metadata, name=name, details=kept)
    method = payment_methods.usable(call, forms.text(params, "payment_method"), customer.id, "payment_method")
    wanted = _default_method(call, customer) or method
    customer.default_payment_method = wanted if "invoice_settings" in params else None
    _apply(customer, made)
    account.keep_customer(customer)
    _add_tax_ids(call, customer)
    coupons.redeem(call, made)
    return answer(call, customer)


def _discount(params: forms.Params) -> list[Json]:
    """The discount of a customer, by coupon or promotion code."""
    named = {name: params[name] for name in ("coupon", "promotion_code") if params.get(name)}
    return [named] if named else []


def _apply(customer: Customer, made: list[Any]) -> None:
    for discount in made:
        discount.customer = customer.id
        customer.discount = discount


def _default_method(call: Call, customer: Customer) -> str | None:
    settings = forms.hashed(call.params, "invoice_settings")
    forms.known(settings, ("default_payment_method", "footer", "custom_fields"), "invoice_settings")
    method, at = forms.text(settings, "default_payment_method"), "invoice_settings[default_payment_method]"
    return payment_methods.usable(call, method, customer.id, at)


def _add_tax_ids(call: Call, customer: Customer) -> None:
    for entry in forms.listed(call.params, "tax_id_data"):
        TAX_IDS.add(
            call, tax_id(call, {"type": entry["type"], "value": entry["value"], "customer": customer.id})
        )


def update_customer(call: Call) -> Json:
    """A deleted customer cannot be updated: it is not there."""
    forms.known(call.params, UPDATED)
    params, customer = call.params, call.living_customer()
    metadata = forms.merged_metadata(params, customer.metadata)
    email, name = forms.text(params, "email"), forms.text(params, "name")
    method, kept = _default_method(call, customer), typed_members(call, (*KEPT, "balance"))
    made = coupons.discounts(call, _discount(params), "coupon", customer.id)
    with call.account.editing(customer):
        customer.metadata = metadata
        customer.details = customer.details | kept
        customer.email = email if "email" in params else customer.email
        customer.name = name if "name" in params else customer.name
        if "default_payment_method" in forms.hashed(params, "invoice_settings"):
            customer.default_payment_method = method
        _apply(customer, made)
    coupons.redeem(call, made)
    return answer(call, customer)


def delete_customer(call: Call) -> Json:
    forms.known(call.params, ())
    customer = call.living_customer()
    call.account.delete_customer(customer)
    return one(call, customer)


# The balance


def create_balance_transaction(call: Call) -> Json:
    """Add to what the customer owes, or, with a negative amount, to what it has in advance."""
    params, customer = typed(call, ("amount", "currency", "description", "metadata")), call.living_customer()
    for name in ("amount", "currency"):
        if params.get(name) is None:
            raise missing(name)
    ending = customer.details.get("balance", 0) + int(params["amount"])
    record = TRANSACTIONS.add(call, params | {"customer": customer.id, "ending_balance": ending})
    with call.account.editing(customer):
        customer.details = customer.details | {"balance": ending}
    return answer(call, record)


class Transactions(Resource):
    """Listed and read below their customer."""

    def list(self, call: Call) -> Json:
        customer = call.customer().id
        listed = super().list(call)
        listed["data"] = [one for one in listed["data"] if one["customer"] == customer]
        return listed


TRANSACTIONS = Transactions(
    "customer balance transaction",
    "customer_balance_transaction",
    "cbtxn",
    {
        "checkout_session": None,
        "credit_note": None,
        "customer_account": None,
        "description": None,
        "invoice": None,
        "metadata": {},
        "type": "adjustment",
    },
    (),
)


def get_balance_transaction(call: Call) -> Json:
    forms.known(call.params, ("expand",))
    return answer(call, TRANSACTIONS.found(call, call.inner_id))
