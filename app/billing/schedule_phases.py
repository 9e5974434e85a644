"""The phases of a schedule that changes a subscription at its period's end ("Subscription schedules").

Two phases: the present one, up to the end of the period, with all that the subscription has; and one of a day
with what it changes to. Then the schedule releases the subscription by itself, so that the customer portal
can change and cancel it again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..stripe.objects import Values, as_dict, as_id, list_of

DAY = 86_400
MARK = {"planned_by": "subscription-service"}
"""The metadata of a schedule that this service has made."""
SETTINGS = (
    "application_fee_percent",
    "collection_method",
    "default_payment_method",
    "description",
    "invoice_settings",
    "on_behalf_of",
    "transfer_data",
)
"""The members of a phase that are sent back as Stripe shows them, but for nulls."""
ITEM_SETTINGS = ("metadata", "tax_rates", "discounts")

PhaseItem = tuple[str, int | None, str | None]
"""Price id and quantity (None: metered), and the item of the subscription whose settings it has."""


def is_replaceable(schedule: Values) -> bool:
    """Whether the schedule is of this service, or plans nothing, as one that was not finished."""
    metadata = as_dict(schedule.get("metadata"))
    if MARK.items() <= metadata.items():
        return True
    start = as_dict(schedule.get("current_phase")).get("start_date")
    later = [each for each in _phases(schedule) if start is not None and each.get("start_date", 0) > start]
    return not later and schedule.get("end_behavior") in ("release", "none")


def phases_to(schedule: Values, subscription: Values, planned: Sequence[PhaseItem], end: int) -> Values:
    """The parameters of the update that plans these items for `end` (Unix seconds)."""
    current = _current_phase(schedule)
    settings = _settings(current)
    own = {str(item["id"]): item for item in list_of(subscription.get("items"))}
    kept = [_item((_price(item), item.get("quantity"), id), own) for id, item in own.items()]
    present = settings | {"items": kept, "start_date": current["start_date"], "end_date": end}
    if current.get("trial_end") is not None:
        present["trial_end"] = current["trial_end"]
    following = settings | {
        "items": [_item(each, own) for each in planned],
        "start_date": end,
        "end_date": end + DAY,
        "proration_behavior": "none",
    }
    return {
        "phases": [present, following],
        "end_behavior": "release",
        "proration_behavior": "none",
        "metadata": MARK,
    }


def _phases(schedule: Values) -> list[Values]:
    phases = schedule.get("phases")
    return [each for each in phases if isinstance(each, dict)] if isinstance(phases, list) else []


def _current_phase(schedule: Values) -> Values:
    """The phase that runs now, which an update must contain."""
    start = as_dict(schedule.get("current_phase")).get("start_date")
    phases = _phases(schedule)
    return next((each for each in phases if each.get("start_date") == start), phases[0])


def _settings(phase: Values) -> Values:
    kept = {name: _without_nulls(phase[name]) for name in SETTINGS if phase.get(name) is not None}
    kept["discounts"] = _discounts(phase.get("discounts"))
    if rates := _ids(phase.get("default_tax_rates")):
        kept["default_tax_rates"] = rates
    if metadata := as_dict(phase.get("metadata")):
        kept["metadata"] = metadata
    if tax := as_dict(phase.get("automatic_tax")):
        liability = _without_nulls(as_dict(tax.get("liability")))
        kept["automatic_tax"] = {"enabled": tax.get("enabled") is True}
        kept["automatic_tax"] |= {"liability": liability} if liability else {}
    return kept


def _item(item: PhaseItem, own: Mapping[str, Values]) -> Values:
    price, quantity, item_id = item
    made: Values = {"price": price} | ({} if quantity is None else {"quantity": quantity})
    settings = own.get(item_id or "", {})
    if metadata := as_dict(settings.get("metadata")):
        made["metadata"] = metadata
    if rates := _ids(settings.get("tax_rates")):
        made["tax_rates"] = rates
    if settings.get("discounts"):
        made["discounts"] = _discounts(settings["discounts"])
    return made


def _price(item: Values) -> str:
    return as_id(item.get("price")) or as_id(item.get("plan")) or ""


def _discounts(given: Any) -> list[Values] | str:
    """Those that are there; an empty text where there is none: else the customer's would be taken."""
    found: list[Values] = []
    for each in given if isinstance(given, list) else []:
        named = each if isinstance(each, dict) and "object" not in each else {"discount": as_id(each)}
        known = [name for name in ("discount", "promotion_code", "coupon") if as_id(named.get(name))]
        found += [{known[0]: as_id(named[known[0]])}] if known else []
    return found or ""


def _ids(given: Any) -> list[str]:
    return [id for each in given if (id := as_id(each))] if isinstance(given, list) else []


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return value
