"""Tax ids of customers, and tax rates; the simulator keeps them and computes no taxes."""

from ..shapes import Json
from . import forms
from .call import Call
from .errors import invalid, no_such
from .expansion import answer
from .listing import envelope
from .resources import Resource
from .typed import typed


def tax_id(call: Call, params: Json) -> Json:
    owner = params.get("owner") or {}
    customer = params.pop("customer", None) or owner.get("customer")
    if customer is not None:
        call.living_customer(customer, "owner[customer]")
    kind, value = str(params["type"]), str(params["value"])
    if len(value) < 4:
        raise invalid("Invalid value for " + kind + ".", "value", "tax_id_invalid")
    of = {"customer": customer, "customer_account": None, "type": "customer" if customer else "self"}
    return {
        "country": value[:2].upper() if kind == "eu_vat" else kind[:2].upper(),
        "customer": customer,
        "owner": of,
        "type": kind,
        "value": value,
    }


TAX_IDS = Resource(
    "tax id",
    "tax_id",
    "txi",
    {
        "customer_account": None,
        "verification": {"status": "pending", "verified_address": None, "verified_name": None},
    },
    ("type", "value", "owner"),
    required=("type", "value"),
    filters=("customer",),
    event="customer.tax_id",
    fill=tax_id,
)


def create_of_customer(call: Call) -> Json:
    params = typed(call, ("type", "value"))
    for name in ("type", "value"):
        forms.required(call.params, name)
    record = TAX_IDS.add(call, tax_id(call, params | {"customer": call.living_customer().id}))
    return answer(call, record)


def list_of_customer(call: Call) -> Json:
    forms.known(call.params, ("limit", "expand"))
    customer = call.customer().id
    found = call.account.records.get("tax_id", {}).values()
    mine = [record for record in reversed(found) if record.content["customer"] == customer]
    return envelope(call.path, [answer(call, record) for record in mine])


def get_of_customer(call: Call) -> Json:
    forms.known(call.params, ("expand",))
    customer = call.customer().id
    record = TAX_IDS.found(call, call.inner_id)
    if record.content["customer"] != customer:
        raise no_such("tax id", record.id)
    return answer(call, record)


def delete_of_customer(call: Call) -> Json:
    get_of_customer(call)
    call.account.delete_record(TAX_IDS.found(call, call.inner_id), TAX_IDS.event)
    return {"id": call.inner_id, "object": "tax_id", "deleted": True}


TAX_RATES = Resource(
    "tax rate",
    "tax_rate",
    "txr",
    {
        "active": True,
        "country": None,
        "description": None,
        "effective_percentage": None,
        "flat_amount": None,
        "jurisdiction": None,
        "jurisdiction_level": None,
        "metadata": {},
        "rate_type": "percentage",
        "state": None,
        "tax_type": None,
    },
    (
        "display_name",
        "inclusive",
        "percentage",
        "active",
        "country",
        "description",
        "jurisdiction",
        "metadata",
        "state",
        "tax_type",
    ),
    ("active", "country", "description", "display_name", "jurisdiction", "metadata", "state", "tax_type"),
    required=("display_name", "inclusive", "percentage"),
    filters=("active", "inclusive"),
    event="tax_rate",
)
