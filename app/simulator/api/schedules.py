"""Subscription schedules: from a subscription or new, with phases; updated, released, canceled."""

from typing import Any

from ..model import Record, Subscription
from ..shapes import Json
from . import forms
from .call import Call
from .errors import invalid, missing
from .expansion import answer
from .resources import Resource
from .typed import typed

END_BEHAVIORS = ("release", "cancel", "none", "renew")
SETTINGS: Json = {
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor": "automatic",
    "billing_thresholds": None,
    "collection_method": "charge_automatically",
    "default_payment_method": None,
    "description": None,
    "invoice_settings": {"account_tax_ids": None, "days_until_due": None, "issuer": {"type": "self"}},
    "on_behalf_of": None,
    "transfer_data": None,
}
PHASE: Json = {
    "add_invoice_items": [],
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor": None,
    "billing_thresholds": None,
    "collection_method": None,
    "default_payment_method": None,
    "default_tax_rates": [],
    "description": None,
    "discounts": [],
    "invoice_settings": None,
    "metadata": {},
    "on_behalf_of": None,
    "proration_behavior": "create_prorations",
    "transfer_data": None,
    "trial_end": None,
}
PHASE_MEMBERS = (
    "items",
    "start_date",
    "end_date",
    "duration",
    "iterations",
    "proration_behavior",
    "metadata",
    "description",
    "currency",
    "collection_method",
    "discounts",
    "trial_end",
    "billing_cycle_anchor",
    "application_fee_percent",
    "automatic_tax",
    "default_payment_method",
    "default_tax_rates",
    "invoice_settings",
    "on_behalf_of",
    "transfer_data",
)
KEPT = (
    "proration_behavior",
    "metadata",
    "description",
    "collection_method",
    "trial_end",
    "application_fee_percent",
    "default_payment_method",
    "default_tax_rates",
    "invoice_settings",
    "on_behalf_of",
    "transfer_data",
)
"""Members of a phase that are kept and shown as they are given."""
SECONDS = {"day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400, "year": 365 * 86_400}

SCHEDULES = Resource(
    "subscription_schedule",
    "subscription_schedule",
    "sub_sched",
    {
        "application": None,
        "billing_mode": {"flexible": None, "type": "classic"},
        "canceled_at": None,
        "completed_at": None,
        "current_phase": None,
        "customer_account": None,
        "default_settings": SETTINGS,
        "end_behavior": "release",
        "metadata": {},
        "pause_schedules": [],
        "released_at": None,
        "released_subscription": None,
        "status": "not_started",
        "subscription": None,
        "test_clock": None,
    },
    ("customer", "from_subscription", "start_date", "phases", "end_behavior", "metadata"),
    ("phases", "end_behavior", "metadata", "proration_behavior"),
    filters=("customer",),
    event="subscription_schedule",
)


def create_schedule(call: Call) -> Json:
    """
    Raises:
        ApiError: 400 for what Stripe refuses.
    """
    params = typed(call, SCHEDULES.created)
    if params.get("from_subscription") is not None:
        return answer(call, _from_subscription(call, params))
    if params.get("customer") is None:
        raise missing("customer")
    customer = call.living_customer(params["customer"], "customer")
    start = params.get("start_date")
    begins = call.account.now if start in (None, "now") else int(start)
    phases = _phases(call, params.get("phases"), begins)
    record = SCHEDULES.add(
        call,
        {
            "customer": customer.id,
            "phases": phases,
            "end_behavior": _end_behavior(params),
            "metadata": dict(params.get("metadata") or {}),
        },
    )
    if begins <= call.account.now:
        _start(call, record)
    return answer(call, record)


def _start(call: Call, record: Record) -> None:
    """The first phase begins now: there is a subscription from now on."""
    account, phase = call.account, record.content["phases"][0]
    customer = account.customers[record.content["customer"]]
    items = [(item["price"], item["quantity"]) for item in phase["items"]]
    subscription = account.subscribe(customer, items, {})
    span = {"end_date": phase["end_date"], "start_date": phase["start_date"]}
    account.change_record(record, {"status": "active", "current_phase": span}, SCHEDULES.event)
    account.attach_schedule(record, subscription)


def _from_subscription(call: Call, params: Json) -> Record:
    """A schedule whose one phase is the subscription's present period."""
    if params.keys() & {"customer", "phases", "start_date", "end_behavior"}:
        raise invalid(
            "`from_subscription` cannot be combined with other parameters of the schedule.",
            "from_subscription",
        )
    subscription = call.subscription(params["from_subscription"], "from_subscription")
    if subscription.schedule is not None:
        raise invalid(
            "You cannot migrate a subscription that is already attached to a schedule: "
            f"{subscription.schedule}",
            "from_subscription",
        )
    if subscription.ended_at is not None:
        raise invalid("You cannot create a schedule for a canceled subscription.", "from_subscription")
    phase = _current_phase(subscription)
    span = {"end_date": phase["end_date"], "start_date": phase["start_date"]}
    members = {
        "customer": subscription.customer,
        "phases": [phase],
        "current_phase": span,
        "status": "active",
        "metadata": dict(params.get("metadata") or {}),
    }
    record = SCHEDULES.add(call, members)
    call.account.attach_schedule(record, subscription)
    return record


def _current_phase(subscription: Subscription) -> Json:
    items = [
        _phase_item(item.price.id, item.quantity) | {"metadata": dict(item.metadata)}
        for item in subscription.items
    ]
    return PHASE | {
        "currency": subscription.items[0].price.currency,
        "discounts": [_discount(discount=discount.id) for discount in subscription.discounts],
        "end_date": subscription.period_end,
        "items": items,
        "start_date": subscription.period_start,
    }


def _discount(**named: str) -> Json:
    return {"coupon": None, "discount": None, "promotion_code": None} | named


def _phase_item(price: str, quantity: int) -> Json:
    return {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": {},
        "plan": price,
        "price": price,
        "quantity": quantity,
        "tax_rates": [],
    }


def _phases(call: Call, wanted: Any, begins: int) -> list[Json]:
    """The phases one after the other, each from the end of the one before it."""
    if not isinstance(wanted, list) or not wanted:
        raise missing("phases")
    phases: list[Json] = []
    for number, given in enumerate(wanted):
        at = f"phases[{number}]"
        forms.known(given, PHASE_MEMBERS, at)
        start = _time(call, given.get("start_date"), begins)
        if phases and start != phases[-1]["end_date"]:
            raise invalid("The phases must follow each other without a gap.", f"{at}[start_date]")
        items = _items(call, given, at)
        end = _end(call, given, start, items, last=number == len(wanted) - 1, at=at)
        phases.append(_phase(call, given, items, start, end))
        begins = end if end is not None else begins
    return phases


def _phase(call: Call, given: Json, items: list[Json], start: int, end: int | None) -> Json:
    kept = {name: given[name] for name in KEPT if given.get(name) is not None}
    kept["automatic_tax"] = PHASE["automatic_tax"] | (given.get("automatic_tax") or {})
    kept["discounts"] = [_discount(**each) for each in given.get("discounts") or []]
    currency = call.account.prices[items[0]["price"]].currency
    return PHASE | kept | {"currency": currency, "end_date": end, "items": items, "start_date": start}


def _items(call: Call, given: Json, at: str) -> list[Json]:
    items = given.get("items")
    if not isinstance(items, list) or not items:
        raise missing(f"{at}[items]")
    made = []
    for number, item in enumerate(items):
        if not isinstance(item, dict) or item.get("price") is None:
            raise missing(f"{at}[items][{number}][price]")
        price = call.price(item["price"], f"{at}[items][{number}][price]")
        quantity = item.get("quantity")
        settings = {name: item[name] for name in ("metadata", "tax_rates", "discounts") if item.get(name)}
        made.append(_phase_item(price.id, 1 if quantity is None else int(quantity)) | settings)
    return made


def _end(call: Call, given: Json, start: int, items: list[Json], *, last: bool, at: str) -> int | None:
    """The end of a phase, in Unix seconds; the last one may have none."""
    if given.get("end_date") is not None:
        end = _time(call, given["end_date"], start)
        if end <= start:
            raise invalid("The end date of a phase must be after its start date.", f"{at}[end_date]")
        return end
    duration = given.get("duration")
    if duration is not None:
        return start + SECONDS[duration["interval"]] * int(duration.get("interval_count") or 1)
    if given.get("iterations") is not None:
        return start + call.account.prices[items[0]["price"]].seconds * int(given["iterations"])
    if not last:
        raise missing(f"{at}[end_date]")
    return start + call.account.prices[items[0]["price"]].seconds


def _time(call: Call, value: Any, default: int) -> int:
    if value in (None, "now"):
        return call.account.now if value == "now" else default
    return int(value)


def _end_behavior(params: Json) -> str:
    wanted = params.get("end_behavior") or "release"
    if wanted not in END_BEHAVIORS:
        raise invalid(f"Invalid end_behavior: must be one of {', '.join(END_BEHAVIORS)}", "end_behavior")
    return str(wanted)


def update_schedule(call: Call) -> Json:
    """The phases are put in the place of those that were there; the current one must stay."""
    params, record = typed(call, SCHEDULES.updated), _living(call)
    members: Json = {}
    if "phases" in params:
        first = record.content["phases"][0]["start_date"]
        phases = _phases(call, params["phases"], first)
        now = call.account.now
        if not any(phase["start_date"] <= now < (phase["end_date"] or now + 1) for phase in phases):
            raise invalid("You must pass in the current phase when you update the phases.", "phases")
        members["phases"] = phases
        if record.content["current_phase"] is not None:
            phase = next(one for one in reversed(phases) if one["start_date"] <= now)
            members["current_phase"] = {"end_date": phase["end_date"], "start_date": phase["start_date"]}
            call.account.follow_phase(record, phase, params.get("proration_behavior") or "create_prorations")
    if "end_behavior" in params:
        members["end_behavior"] = _end_behavior(params)
    if "metadata" in params:
        members["metadata"] = forms.merged_metadata(call.params, record.content["metadata"])
    call.account.change_record(record, members, SCHEDULES.event)
    return answer(call, record)


def release_schedule(call: Call) -> Json:
    typed(call, ("preserve_cancel_date",))
    record = _living(call)
    call.account.release_schedule(record)
    return answer(call, record)


def cancel_schedule(call: Call) -> Json:
    """Its subscription is canceled with it, at once."""
    typed(call, ("invoice_now", "prorate"))
    record = _living(call)
    subscription = call.account.subscriptions.get(record.content["subscription"] or "")
    call.account.release_schedule(record, "canceled")
    if subscription is not None and subscription.ended_at is None:
        call.account.cancel_now(subscription)
    return answer(call, record)


def _living(call: Call) -> Record:
    record = SCHEDULES.found(call)
    status = record.content["status"]
    if status not in ("not_started", "active"):
        raise invalid(
            f"You cannot change a subscription schedule that is currently in the `{status}` status.",
            "schedule",
        )
    return record
