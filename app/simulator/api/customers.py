"""Customers: created, updated, deleted."""

from ..shapes import Json
from . import forms
from .call import Call
from .reads import one
from .rendering import expand, show

SETTABLE = ("email", "name", "metadata", "expand")
WITHOUT_EFFECT = ("description", "phone", "preferred_locales", "address", "shipping", "tax_exempt")


def create_customer(call: Call) -> Json:
    forms.known(call.params, (*SETTABLE, *WITHOUT_EFFECT))
    metadata = forms.merged_metadata(call.params, {})
    email, name = forms.text(call.params, "email"), forms.text(call.params, "name")
    customer = call.account.add_customer(email, metadata, name=name)
    return expand(call, show(call, customer), forms.texts(call.params, "expand"))


def update_customer(call: Call) -> Json:
    """A deleted customer cannot be updated: it is not there."""
    forms.known(call.params, (*SETTABLE, *WITHOUT_EFFECT))
    customer = call.living_customer()
    metadata = forms.merged_metadata(call.params, customer.metadata)
    email, name = forms.text(call.params, "email"), forms.text(call.params, "name")
    with call.account.editing(customer):
        customer.metadata = metadata
        customer.email = email if "email" in call.params else customer.email
        customer.name = name if "name" in call.params else customer.name
    return expand(call, show(call, customer), forms.texts(call.params, "expand"))


def delete_customer(call: Call) -> Json:
    forms.known(call.params, ())
    customer = call.living_customer()
    call.account.delete_customer(customer)
    return one(call, customer)
