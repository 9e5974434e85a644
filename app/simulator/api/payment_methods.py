"""Payment methods: cards by Stripe's test tokens, attached and detached; and setup intents."""

from typing import Any

from ..cards import Card, card_of, render_card
from ..model import Record
from ..shapes import Json
from . import forms
from .call import Call
from .errors import declined, invalid, missing, no_such
from .expansion import answer
from .listing import envelope
from .resources import Resource
from .typed import typed

DETAILS = {"address": None, "email": None, "name": None, "phone": None, "tax_id": None}
TESTING = "Use one of Stripe's test cards, such as pm_card_visa or 4242424242424242."


def _payment_method(call: Call, params: Json) -> Json:
    card: dict[str, Any] = params.pop("card", None) or {}
    if params.get("type") != "card":
        raise invalid("The simulator plays payment methods of the type `card` only.", "type")
    found = card_of(str(card.get("token") or card.get("number") or "tok_visa"))
    if found is None:
        raise invalid(f"Invalid card. {TESTING}", "card")
    details = DETAILS | (params.get("billing_details") or {})
    year, month = card.get("exp_year") or 2034, card.get("exp_month") or 8
    return params | {"billing_details": details, "card": render_card(found, int(month), int(year))}


PAYMENT_METHODS = Resource(
    "PaymentMethod",
    "payment_method",
    "pm",
    {
        "allow_redisplay": "unspecified",
        "customer": None,
        "customer_account": None,
        "metadata": {},
        "type": "card",
    },
    ("type", "card", "billing_details", "metadata", "allow_redisplay"),
    ("billing_details", "metadata", "allow_redisplay"),
    filters=("customer", "type"),
    fill=_payment_method,
)


def get_payment_method(call: Call) -> Json:
    forms.known(call.params, ("expand",))
    return answer(call, payment_method(call, call.id, ""))


def payment_method(call: Call, id: str, param: str) -> Record:
    """The payment method of this id; one of Stripe's test tokens makes a new one.

    Raises:
        ApiError: `resource_missing`: 404 for the id of the path (`param` empty), else 400.
    """
    card = card_of(id) if id.startswith("pm_card_") else None
    if card is not None:
        members: Json = {"billing_details": dict(DETAILS), "card": render_card(card)}
        return PAYMENT_METHODS.add(call, members)
    return PAYMENT_METHODS.found(call, id if param else None, param or "id")


def attach(call: Call) -> Json:
    """
    Raises:
        ApiError: 402 for a card that is refused when it is attached.
    """
    params = typed(call, ("customer",))
    if params.get("customer") is None:
        raise missing("customer")
    customer = call.living_customer(params["customer"], "customer")
    record = payment_method(call, call.id, "")
    _attach(call, record, customer.id)
    return answer(call, record)


def _attach(call: Call, record: Record, customer: str) -> None:
    card = _card(record)
    if card is not None and card.attach_code is not None:
        raise declined(card.attach_code)
    if record.content["customer"] not in (None, customer):
        raise invalid(
            "The payment method you provided has already been attached to a customer.", "payment_method"
        )
    if record.content["customer"] is None:
        record.content["customer"] = customer
        call.account.announce("payment_method.attached", record)


def _card(record: Record) -> Card | None:
    content = record.content.get("card")
    return card_of("0" * 12 + content["last4"]) if content else None


def detach(call: Call) -> Json:
    """It can never be used again, and is nobody's default any more."""
    forms.known(call.params, ("expand",))
    record, account = PAYMENT_METHODS.found(call), call.account
    customer = record.content["customer"]
    if customer is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            "payment_method",
        )
    account.change_record(record, {"customer": None})
    account.announce("payment_method.detached", record)
    owner = account.customers[customer]
    with account.editing(owner):
        if owner.default_payment_method == record.id:
            owner.default_payment_method = None
    for subscription in list(account.subscriptions.values()):
        if subscription.default_payment_method == record.id:
            account.change_payment_method(subscription, None)
    return answer(call, record)


def usable(call: Call, id: str | None, customer: str, param: str) -> str | None:
    """The id of a payment method that is the customer's; a test token is attached first.

    Raises:
        ApiError: 400 for one that is unknown or another customer's, 402 where it is refused.
    """
    if id is None:
        return None
    if id not in call.account.records.get("payment_method", {}) and not id.startswith("pm_card_"):
        raise no_such("PaymentMethod", id, param=param, status=400)
    record = payment_method(call, id, param)
    if id.startswith("pm_card_"):
        _attach(call, record, customer)
    if record.content["customer"] != customer:
        raise invalid(
            f"The customer does not have a payment method with the ID {record.id}. The payment method must "
            "be attached to the customer.",
            param,
            "resource_missing",
        )
    return record.id


def list_of_customer(call: Call) -> Json:
    forms.known(call.params, ("type", "limit", "expand"))
    customer = call.customer()
    kind = forms.text(call.params, "type") or "card"
    found = [
        record
        for record in reversed(call.account.records.get("payment_method", {}).values())
        if record.content["customer"] == customer.id and record.content["type"] == kind
    ]
    return envelope(call.path, [answer(call, record) for record in found])


def get_of_customer(call: Call) -> Json:
    forms.known(call.params, ("expand",))
    customer, record = call.customer(), PAYMENT_METHODS.found(call, call.inner_id, "payment_method")
    if record.content["customer"] != customer.id:
        raise no_such("PaymentMethod", record.id)
    return answer(call, record)


def _setup_intent(call: Call, params: Json) -> Json:
    customer, method = params.get("customer"), params.get("payment_method")
    if customer is not None:
        call.living_customer(customer, "customer")
    if method is not None:
        record = payment_method(call, method, "payment_method")
        params["payment_method"] = record.id
        if params.get("confirm") and customer is not None:
            _attach(call, record, customer)
    confirmed = bool(params.pop("confirm", None)) and method is not None
    params.pop("automatic_payment_methods", None)
    params.pop("return_url", None)
    waiting = "requires_payment_method" if method is None else "requires_confirmation"
    id = call.account.new_id("seti")
    return params | {
        "id": id,
        "client_secret": f"{id}_secret_simulated",
        "status": "succeeded" if confirmed else waiting,
        "payment_method_types": params.get("payment_method_types") or ["card"],
    }


SETUP_INTENTS = Resource(
    "setupintent",
    "setup_intent",
    "seti",
    {
        "allowed_payment_method_types": None,
        "application": None,
        "attach_to_self": False,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
        "cancellation_reason": None,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "managed_payments": None,
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "single_use_mandate": None,
        "usage": "off_session",
    },
    (
        "customer",
        "payment_method",
        "confirm",
        "usage",
        "metadata",
        "description",
        "payment_method_types",
        "automatic_payment_methods",
        "return_url",
    ),
    ("customer", "payment_method", "metadata", "description"),
    filters=("customer", "payment_method"),
    event="setup_intent",
    fill=_setup_intent,
)


def confirm_setup_intent(call: Call) -> Json:
    params = typed(call, ("payment_method", "return_url"))
    record = SETUP_INTENTS.found(call)
    method = params.get("payment_method") or record.content["payment_method"]
    if record.content["status"] in ("succeeded", "canceled"):
        raise invalid(f"You cannot confirm this SetupIntent because it is {record.content['status']}.")
    if method is None:
        raise missing("payment_method")
    card = payment_method(call, method, "payment_method")
    if record.content["customer"] is not None:
        _attach(call, card, record.content["customer"])
    call.account.change_record(record, {"payment_method": card.id, "status": "succeeded"})
    call.account.announce("setup_intent.succeeded", record)
    return answer(call, record)


def cancel_setup_intent(call: Call) -> Json:
    params = typed(call, ("cancellation_reason",))
    record = SETUP_INTENTS.found(call)
    if record.content["status"] in ("succeeded", "canceled"):
        raise invalid(f"You cannot cancel this SetupIntent because it is {record.content['status']}.")
    call.account.change_record(record, params | {"status": "canceled"})
    call.account.announce("setup_intent.canceled", record)
    return answer(call, record)
