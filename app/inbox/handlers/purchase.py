"""What is bought once: the session that sold it, its refunds, its disputes. Each merges in any order."""

from typing import Any

from ...db.audit import audit_entry
from ...db.models import Purchase
from ...entitlements.purchases import clawed_back, grants_of
from ...entitlements.refunds import ENDED_IN_VAIN, Stated, last_failed
from ...errors import InvalidRequest
from ...plans import Catalogue
from ...stripe.events import StripeEvent
from ...stripe.objects import (
    Values,
    as_id,
    as_integer,
    as_object_id,
    as_seconds,
    as_text,
)
from ...stripe.purchases import (
    PAID,
    Bought,
    bought,
    buyer_named,
    lines_of,
    may_sell_once,
    purchase_id,
)
from ..unit_of_work import UnitOfWork

DISPUTE_OVER = frozenset({"lost", "prevented", "warning_closed", "won"})
FIRST: dict[str, Any] = {"created": -1, "event_id": ""}


def record_purchase(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Take over what a session of the mode `payment` says was bought, by whom, and whether it is paid.

    A delayed payment is paid once `checkout.session.async_payment_succeeded` says so ("Accept a payment",
    delayed notification payment methods).

    Raises:
        InvalidRequest: where the catalogue does not have what was bought; the event is retried.
    """
    session, id = event.object, purchase_id(event.object)
    sold = sold_by(session, unit_of_work.catalogue)
    if id is None or (sold is None and not any(unit_of_work.catalogue.offers_once())):
        return
    row = _ensure(unit_of_work, id)
    paid_at = row.paid_at
    if as_text(session.get("payment_status")) in PAID:
        paid_at = event.created if paid_at is None else min(paid_at, event.created)
    values: dict[str, Any] = {"paid_at": paid_at}
    place, stated = {"created": event.created, "event_id": event.id}, row.stated or FIRST
    if _place(place) > _place(stated):
        stated = stated | place
        values |= {
            "session_id": as_id(session.get("id")),
            "customer_id": as_object_id(session.get("customer")),
            "user_id": buyer_named(session, unit_of_work.link_keys),
            "amount": as_integer(session.get("amount_total")),
            "currency": as_text(session.get("currency")),
            "livemode": event.livemode,
        }
    if sold is not None and _is_earlier(place, row):
        stated = stated | {"sold": place}
        gives = _gives(unit_of_work.catalogue, sold.offer)
        values |= {"offer": sold.offer, "quantity": sold.quantity, "gives": gives}
    elif row.gives is None and lines_of(session) is not None:
        values["gives"] = {}  # its lines sell nothing of the catalogue
    _change(unit_of_work, row, values | {"stated": stated})


def _is_earlier(place: dict[str, Any], row: Purchase) -> bool:
    """Whether no event before this one says what was sold: the plans file may have changed since."""
    sold = (row.stated or {}).get("sold")
    return row.offer is None if sold is None else _place(place) < _place(sold)


def sold_by(session: Values, catalogue: Catalogue) -> Bought | None:
    """What the session sold once: what its metadata names, else its one line that the catalogue lists."""
    if (named := bought(session)) is not None or not may_sell_once(session):
        return named
    found = _sold_lines(session, catalogue)
    return found[0] if len(found) == 1 else None


def offers_in(session: Values, catalogue: Catalogue) -> list[str]:
    """The offers of the catalogue that the session's lines name by their prices."""
    return [each.offer for each in _sold_lines(session, catalogue)]


def _sold_lines(session: Values, catalogue: Catalogue) -> list[Bought]:
    offers = [
        (catalogue.offer_once_of(line.price_id, line.lookup_key), line.quantity)
        for line in lines_of(session) or ()
    ]
    return [Bought(offer, quantity) for offer, quantity in offers if offer is not None]


def record_refund(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Take over how much of a charge was refunded: the most that any event says, and what the newest says."""
    charge, id = event.object, purchase_id(event.object)
    charge_id, amount = as_id(charge.get("id")), as_integer(charge.get("amount"))
    refunded = as_integer(charge.get("amount_refunded")) or 0
    if id is None or charge_id is None or amount is None or refunded <= 0:
        return
    row = _ensure(unit_of_work, id)
    stated, known = (
        Stated(amount, refunded, event.created, event.created, refunded),
        row.refunds.get(charge_id),
    )
    if isinstance(known, list):
        stated = Stated.of(known).merged(stated)
    if list(stated) != known:
        _change(unit_of_work, row, {"refunds": row.refunds | {charge_id: list(stated)}})


def record_refund_itself(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Take over what became of a refund. One that failed stays so ("Refunds", failed refunds)."""
    refund, id = event.object, purchase_id(event.object)
    refund_id, amount = as_id(refund.get("id")), as_integer(refund.get("amount"))
    if id is None or refund_id is None or amount is None or amount <= 0:
        return
    row = _ensure(unit_of_work, id)
    at, failed_at = as_seconds(refund.get("created")) or event.created, None
    if as_text(refund.get("status")) in ENDED_IN_VAIN:
        failed_at = event.happened_at if event.type == "refund.failed" else event.created
    known = row.refunds.get(refund_id)
    if isinstance(known, dict):
        amount, at = max(amount, known["amount"]), min(at, known["at"])
        failed_at = min((each for each in (failed_at, known["failed_at"]) if each is not None), default=None)
    state = {"amount": amount, "at": at, "failed_at": failed_at}
    _change(unit_of_work, row, {"refunds": row.refunds | {refund_id: state}})


def buyer(event: StripeEvent, unit_of_work: UnitOfWork) -> str | None:
    """The user whom the purchase of a charge, a refund or a dispute names; a guest has no customer."""
    row = unit_of_work.find(Purchase, purchase_id(event.object))
    return row.user_id if row is not None else None


def failed_before(event: StripeEvent, unit_of_work: UnitOfWork) -> str | None:
    """The refund of the event's purchase that failed last before the event."""
    row = unit_of_work.find(Purchase, purchase_id(event.object))
    return last_failed(row.refunds, event.happened_at) if row is not None else None


def record_dispute(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """Take over how a dispute stands, by its newest event.

    Of the events of one second the one counts by which the dispute is over ("The Dispute object", status).
    """
    dispute, id = event.object, purchase_id(event.object)
    dispute_id = as_id(dispute.get("id"))
    if id is None or dispute_id is None:
        return
    row = _ensure(unit_of_work, id)
    state = {
        "status": as_text(dispute.get("status")),
        "amount": as_integer(dispute.get("amount")) or 0,
        "created": event.created,
        "event_id": event.id,
    }
    known = row.disputes.get(dispute_id)
    if known is None or _place_of_dispute(state) > _place_of_dispute(known):
        _change(unit_of_work, row, {"disputes": row.disputes | {dispute_id: state}})


def _ensure(unit_of_work: UnitOfWork, id: str) -> Purchase:
    return unit_of_work.find(Purchase, id) or unit_of_work.add(Purchase, id, refunds={}, disputes={})


def _place_of_dispute(state: Values) -> tuple[int, bool, str]:
    return state["created"], state["status"] in DISPUTE_OVER, state["event_id"]


def _place(stated: Values) -> tuple[int, str]:
    return stated["created"], stated["event_id"]


def _gives(catalogue: Catalogue, offer: str) -> dict[str, Any]:
    """What the offer gives, kept with the purchase: a later change of the catalogue changes no purchase."""
    kind, _, id = offer.partition(".")
    if kind == "credits" and (credits := catalogue.credits.get(id)) is not None:
        return {
            "amounts": dict(credits.amounts),
            "expires_days": credits.expires_days,
            "priority": credits.priority,
            "refund": credits.once.refund,
            "dispute": credits.once.dispute,
        }
    if kind == "plans" and (plan := catalogue.plans.get(id)) is not None and plan.once is not None:
        return {"plan": plan.id, "refund": plan.once.refund, "dispute": plan.once.dispute}
    remedy = f"[credits.{id}]" if kind == "credits" else f"[plans.{id}] with `once = true`"
    raise InvalidRequest(
        f"A checkout session sold {offer}, which the plan catalogue does not have: add {remedy} to the plans "
        "file, restart, and replay the event."
    )


def _change(unit_of_work: UnitOfWork, row: Purchase, values: dict[str, Any]) -> None:
    """Change the purchase, and say in the audit trail what was taken back with it, or restored."""
    before, gave = clawed_back(row), _plans(row)
    unit_of_work.change(row, **values)
    after, gives = clawed_back(row), _plans(row)
    back = {feature: amount - before.get(feature, 0) for feature, amount in after.items()}
    ended = [plan for plan, ends in gives.items() if ends is not None and gave.get(plan, ends) != ends]
    restored = [plan for plan, ends in gives.items() if ends is None and gave.get(plan) is not None]
    if any(amount > 0 for amount in back.values()) or ended:
        _audit(unit_of_work, row, "grant.clawed_back", {"clawed_back": back, "plans_ended": ended})
    elif any(back.values()) or restored:
        returned = {feature: -amount for feature, amount in back.items()}
        _audit(unit_of_work, row, "grant.restored", {"restored": returned, "plans_restored": restored})


def _plans(row: Purchase) -> dict[str, int | None]:
    return {each.plan: each.expires_at for each in grants_of(row) if each.plan is not None}


def _audit(unit_of_work: UnitOfWork, row: Purchase, action: str, what: dict[str, Any]) -> None:
    drawn = unit_of_work.drawn.get(row.id, {})
    left = {each.feature: each.amount for each in grants_of(row) if each.feature is not None}
    unit_of_work.audit.append(
        audit_entry(
            at=unit_of_work.now,
            actor="stripe",
            action=action,
            subject=row.user_id or unit_of_work.user_of(row.customer_id, None) or row.id,
            after={
                "purchase": row.id,
                "offer": row.offer,
                **what,
                "granted": left,
                "drawn": {feature: drawn.get(feature, 0) for feature in left},
                "used_all_the_same": {
                    feature: max(drawn.get(feature, 0) - amount, 0) for feature, amount in left.items()
                },
            },
        )
    )
