"""Which of the application's users a customer belongs to: a value that merges in any order.

The internal API's word stands; else the newest `metadata.user_id` by (created, event id); else the first
`client_reference_id`. A buyer can edit that one in the address of a payment link: it may link a customer
that nothing else links, and never relinks.
"""

from typing import Any

from ...db.models import Customer
from ...stripe.events import StripeEvent
from ...stripe.objects import as_id
from ..unit_of_work import UnitOfWork

PRECEDENCE = ("internal", "metadata", "checkout")


def link_by_metadata(
    unit_of_work: UnitOfWork, customer: Customer, metadata: dict[str, str], event: StripeEvent
) -> None:
    if user_id := as_id(metadata.get("user_id")):
        claim = _claim(user_id, event, unit_of_work)
        known = customer.links.get("metadata")
        if _is_of_unknown_age(unit_of_work):
            claim = _claim_of_unknown_age(claim, known)
        if known is None or _age(claim) > _age(known) or _corrects(claim, known):
            _set(unit_of_work, customer, "metadata", claim)


def link_by_checkout(
    unit_of_work: UnitOfWork, customer: Customer, reference: str | None, event: StripeEvent
) -> None:
    if user_id := as_id(reference):
        claim = _claim(user_id, event, unit_of_work)
        known = customer.links.get("checkout")
        if known is None or _age(claim) < _age(known):
            _set(unit_of_work, customer, "checkout", claim)


def link_internally(
    unit_of_work: UnitOfWork, customer: Customer, user_id: str | None, event: StripeEvent
) -> None:
    """Link, relink, or (with None) say that the customer belongs to nobody."""
    _set(unit_of_work, customer, "internal", _claim(user_id, event, unit_of_work))


def _claim(user_id: str | None, event: StripeEvent, unit_of_work: UnitOfWork) -> dict[str, Any]:
    delivery = unit_of_work.delivery
    created, event_id = (delivery and delivery.stated) or (event.created, event.id)
    return {
        "user_id": user_id,
        "created": created,
        "event_id": event_id,
        "object_id": event.object_id,
    }


def _is_of_unknown_age(unit_of_work: UnitOfWork) -> bool:
    """Whether the object was fetched, not sent: it may have said so for long."""
    delivery = unit_of_work.delivery
    return delivery is not None and delivery.source == "re-read" and delivery.stated is None


def _claim_of_unknown_age(claim: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
    """What an object says now, not known since when: it replaces what the same object said before, and
    counts less than what any event says of another."""
    same = known is not None and known.get("object_id") == claim["object_id"]
    age = {"created": known["created"], "event_id": known["event_id"]} if known and same else {"created": 0}
    return claim | age


def _corrects(claim: dict[str, Any], known: dict[str, Any]) -> bool:
    """Whether it is the known claim but for the user: what the object says now, in place of then."""
    return claim != known and claim == known | {"user_id": claim["user_id"]}


def _age(claim: dict[str, Any]) -> tuple[int, str]:
    return claim["created"], claim["event_id"]


def _set(unit_of_work: UnitOfWork, customer: Customer, source: str, claim: dict[str, Any]) -> None:
    links = customer.links | {source: claim}
    holder = next(name for name in PRECEDENCE if name in links)
    user_id = links[holder]["user_id"]
    unit_of_work.change(
        customer, links=links, user_id=user_id, link_source=holder if user_id is not None else None
    )
