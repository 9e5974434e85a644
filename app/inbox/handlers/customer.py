"""`customer.created`, `.updated`, `.deleted`: the customer's record, and the user that it names."""

from ...db.models import Customer
from ...entitlements import is_doubtful
from ...stripe.events import StripeEvent
from ...stripe.objects import Values, as_text, customer_values, required_id
from ...stripe.ordering import is_deletion
from ..unit_of_work import UnitOfWork
from .links import link_by_metadata
from .snapshots import is_near_a_fetched_state, is_reading, judge_snapshot, ordering_values

UNKNOWN: Values = {"created": 0, "event_id": ""}


def customer_snapshot(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Writes the customer's record and its user. A deletion ends the customer's subscriptions."""
    if event.read_for is not None:
        return  # applied as a fetched state of the customer
    customer = ensure_customer(unit_of_work, required_id(event.object, "id"))
    unsure = is_near_a_fetched_state(event, customer, unit_of_work)
    judgement = judge_snapshot(event, customer, unit_of_work)
    if judgement is not None and _is_outdated_deletion(judgement.newest, customer):
        judgement, unsure = None, True
    if judgement is None:
        values: Values = {"needs_refresh": customer.needs_refresh or unsure}
    else:
        values = _values(judgement.newest, customer) | ordering_values(judgement, unsure)
    newest = judgement.newest if judgement is not None else None
    if (details := _newer_details(event, customer, values)) is not None:
        values |= details
        newest = event if details["details_from"]["bare"] else newest
    link_by_metadata(unit_of_work, customer, event, newest)
    unit_of_work.change(customer, **values, **_deletion(event, customer))
    _refresh_doubtful(unit_of_work, customer)


def _values(newest: StripeEvent, customer: Customer) -> Values:
    values = customer_values(newest.object) | {"details_from": None}
    # The object in `customer.deleted` is the customer as it last was, not always marked as deleted.
    values["deleted"] = is_deletion(newest)
    if values["livemode"] is None:  # Stripe's API returns only the id of a deleted customer
        values["livemode"] = newest.livemode
    if values["deleted"] and values["email"] is None:
        bare = "metadata" not in newest.object
        values |= {"email": customer.email, "details_from": _known_details(customer, bare)}
    return values


def _deletion(event: StripeEvent, customer: Customer) -> Values:
    """When the customer was deleted: as events say, the newest of them; else when that was first read."""
    if not is_deletion(event):
        return {}
    known = customer.deleted_at
    if known is None or is_reading(event.id):
        return {"deleted_at": event.created if known is None else known}
    was_read = customer.deleted and is_reading(customer.snapshot_event_id)
    return {"deleted_at": min(known, event.created) if was_read else max(known, event.created)}


def _is_outdated_deletion(newest: StripeEvent, customer: Customer) -> bool:
    """Whether the customer was read alive after the deletion: an event of it that comes late is old news."""
    read_alive = is_reading(customer.snapshot_event_id) and not customer.deleted
    seen = customer.snapshot_created
    late = is_deletion(newest) and not is_reading(newest.id)
    return read_alive and late and seen is not None and newest.created < seen


def _newer_details(event: StripeEvent, customer: Customer, values: Values) -> Values | None:
    """What an older snapshot has that the deletion, which the record holds, does not; None for nothing."""
    deleted = values.get("deleted", customer.deleted)
    known = values.get("details_from", customer.details_from)
    if not deleted or known is None or is_deletion(event):
        return None
    if (event.created, event.id) <= (known["created"], known["event_id"]):
        return None
    email = as_text(event.object.get("email")) or customer.email
    return {"email": email, "details_from": _place(event.created, event.id, bool(known.get("bare")))}


def _known_details(customer: Customer, bare: bool) -> Values:
    """Where the e-mail that the record holds comes from; `bare`: the deletion has no metadata either."""
    if customer.deleted:
        known = customer.details_from or UNKNOWN
        return _place(known["created"], known["event_id"], bare)
    return _place(customer.snapshot_created or 0, customer.snapshot_event_id or "", bare)


def _place(created: int, event_id: str, bare: bool) -> Values:
    return {"created": created, "event_id": event_id, "bare": bare}


def _refresh_doubtful(unit_of_work: UnitOfWork, customer: Customer) -> None:
    """Of subscriptions that were seen alive just after the deletion, only Stripe knows."""
    for subscription in unit_of_work.subscriptions_of(customer.id) if customer.deleted_at is not None else ():
        if is_doubtful(customer, subscription):
            unit_of_work.change(subscription, needs_refresh=True)


def ensure_customer(unit_of_work: UnitOfWork, customer_id: str) -> Customer:
    """The record of a customer that an event of Stripe's names; it is to be fetched until a snapshot came."""
    customer = unit_of_work.find(Customer, customer_id)
    if customer is None:
        return unit_of_work.add(Customer, customer_id, needs_refresh=True)
    if customer.snapshot_rank is None:
        unit_of_work.change(customer, needs_refresh=True)
    return customer
