"""Which of the application's users a customer and its subscriptions belong to: what an event changes of it.

The rules are in `claims`; here they are applied to rows. A change of a customer's user reaches all of its
subscriptions: those that are stored have been loaded with it (see `dependents`).
"""

from collections.abc import Collection

from ...db.models import Customer, Subscription
from ...entitlements import SOLD_AS
from ...signals import subscription_activated
from ...stripe.events import StripeEvent
from ...stripe.objects import as_dict, as_id, as_seconds, as_text, as_user_id, named_user
from ..unit_of_work import UnitOfWork
from .announcements import RUNNING, announce_activation
from .claims import (
    NOBODY,
    NOTHING,
    Claim,
    Links,
    Owner,
    moves_of,
    owner_of_customer,
    owner_of_subscription,
    with_first,
    with_internal_link,
    with_metadata,
    with_statement,
    without_claim,
)


def link_by_metadata(
    unit_of_work: UnitOfWork, customer: Customer, event: StripeEvent, newest: StripeEvent | None
) -> None:
    """Take over what a customer's snapshot says of its user; `newest` is the newest snapshot, where that has
    changed. What says nothing of the metadata, as a deletion may, leaves the known user."""
    links = customer.links
    if "metadata" in event.object:
        links = with_statement(links, _stated(unit_of_work, event, customer.id))
    if newest is not None and "metadata" in newest.object:
        links = with_metadata(links, _stated(unit_of_work, newest, customer.id))
    relink(unit_of_work, customer, links, event)


def link_by_checkout(unit_of_work: UnitOfWork, customer: Customer, event: StripeEvent) -> None:
    """Take over what a completed checkout session says of its customer's user.

    The buyer can edit `client_reference_id` in the address of a payment link, so it is the weakest claim.
    What the metadata of a session says that sold a subscription is that subscription's (`claim_by_session`).
    """
    links = customer.links
    if reference := as_user_id(event.object.get("client_reference_id")):
        links = with_first(links, "checkout", _claim(reference, event, unit_of_work))
    user_id = named_user(event.object, unit_of_work.link_keys)
    if user_id is not None and as_id(event.object.get("subscription")) is None:
        links = with_first(links, "session", _claim(user_id, event, unit_of_work))
    relink(unit_of_work, customer, links, event)


def link_internally(
    unit_of_work: UnitOfWork, customer: Customer, user_id: str | None, event: StripeEvent
) -> None:
    """Link, relink, or (with None) say that the customer belongs to nobody. Its subscriptions that named the
    former user, or nobody, follow."""
    known = [customer.snapshot_created or 0, *(move["created"] for move in moves_of(customer.links))]
    for row in unit_of_work.subscriptions_of(customer.id):
        known += [row.snapshot_created or 0, *(claim["created"] for claim in (row.links or {}).values())]
    claim = _claim(user_id, event, unit_of_work)
    claim["created"] = max(event.created, *known)  # later than all that is stored, whatever the clocks say
    links = with_internal_link(customer.links, claim)
    relink(unit_of_work, customer, links, event)


def claim_by_update(
    unit_of_work: UnitOfWork, subscription: Subscription, customer: Customer, user_id: str, event: StripeEvent
) -> None:
    """The internal API claims a subscription; its customer only while nothing else names a user for that."""
    claim = _claim(user_id, event, unit_of_work) | {"object_id": subscription.id}
    moves = moves_of(customer.links)
    counted = claim | {"moves": moves[-1]["number"] if moves else 0}
    links = _links_of(unit_of_work, subscription)
    unit_of_work.change(subscription, links=links | {"internal": counted})
    if customer.links.get("update", NOTHING)["object_id"] in (None, subscription.id):
        relink(unit_of_work, customer, customer.links | {"update": claim}, event)


def claim_by_metadata(
    unit_of_work: UnitOfWork,
    subscription: Subscription,
    customer: Customer,
    event: StripeEvent,
    newest: StripeEvent | None,
) -> None:
    """Take over what a subscription's snapshot says of its user; `newest` is the newest snapshot, where that
    has changed. Whether it ever named a user is remembered, and since when it names this one."""
    links = subscription.links or {}
    known = links.get("metadata") or _stored_claim(unit_of_work, subscription)
    before, since = _step(unit_of_work, event)
    names = named_user(event.object, unit_of_work.link_keys) is not None or before is not None
    claim = known | {"named": known["named"] or names, "created": max(known["created"], since)}
    if newest is not None:
        claim |= {"user_id": named_user(newest.object, unit_of_work.link_keys), "event_id": newest.id}
    unit_of_work.change(subscription, links=links | {"metadata": claim})


def _stored_claim(unit_of_work: UnitOfWork, subscription: Subscription) -> Claim:
    """What the snapshot in the record says, of which an older release kept no claim."""
    user_id = named_user({"metadata": subscription.stripe_metadata}, unit_of_work.link_keys)
    about = {"object_id": subscription.id, "event_id": subscription.snapshot_event_id or ""}
    return NOTHING | about | {"user_id": user_id, "named": user_id is not None}


def resolve_stored(unit_of_work: UnitOfWork, subscription: Subscription) -> None:
    """Give a row of an older release the user that its own snapshot and its customer's claims come to."""
    links = _links_of(unit_of_work, subscription)
    if "metadata" not in links:
        links = links | {"metadata": _stored_claim(unit_of_work, subscription)}
    unit_of_work.change(subscription, links=links)
    resolve_owner(unit_of_work, subscription)


def drop_moved_claim(unit_of_work: UnitOfWork, customer: Customer, sessions: Collection[StripeEvent]) -> None:
    """Drop the claim of another object that an older release kept as the customer's own.

    It is dropped only where that object has it now: a subscription that is loaded, or one of these checkout
    sessions, which have just been applied. A claim whose object is not known any more stays.
    """
    moved = customer.links.get("metadata", NOTHING)["object_id"]
    event = next((each for each in sessions if each.object_id == moved), None)
    subscription = unit_of_work.find(Subscription, moved)
    if moved == customer.id or (event is None and subscription is None):
        return
    links = without_claim(customer.links, "metadata")
    owner = owner_of_customer(links)
    unit_of_work.change(customer, links=links, user_id=owner.user_id, link_source=owner.source)
    for each in unit_of_work.subscriptions_of(customer.id):
        resolve_owner(unit_of_work, each)


def _links_of(unit_of_work: UnitOfWork, subscription: Subscription) -> Links:
    """What claims the subscription; of a row of an older release, what its own snapshot says."""
    if subscription.links is not None:
        return subscription.links
    known = subscription.snapshot_rank is not None
    return {"metadata": _stored_claim(unit_of_work, subscription)} if known else {}


def _step(unit_of_work: UnitOfWork, event: StripeEvent) -> tuple[str | None, int]:
    """Whom the metadata named before the event, and since when (Unix seconds) it names whom it does now, as
    far as this event shows: since it changed, else since the subscription was made."""
    previous = as_dict(event.previous_attributes).get("metadata")
    keys = unit_of_work.link_keys
    if isinstance(previous, dict) and (not previous or not previous.keys().isdisjoint(keys)):
        return named_user({"metadata": previous}, keys), event.created
    return None, as_seconds(event.object.get("created")) or 0


def claim_by_session(unit_of_work: UnitOfWork, subscription: Subscription, event: StripeEvent) -> None:
    """Take over whom the metadata names of the checkout session that created the subscription."""
    if user_id := named_user(event.object, unit_of_work.link_keys):
        links = _links_of(unit_of_work, subscription)
        claim = _claim(user_id, event, unit_of_work)
        if (sold_as := as_text(as_dict(event.object.get("metadata")).get(SOLD_AS))) is not None:
            claim["sold_as"] = sold_as
        links = with_first(links, "session", claim)
        unit_of_work.change(subscription, links=links)


def relink(unit_of_work: UnitOfWork, customer: Customer, links: Links, event: StripeEvent) -> None:
    """Store a customer's claims, and what they come to for the customer and its subscriptions."""
    if links == customer.links:
        return
    was, owner = customer.user_id, owner_of_customer(links)
    # Whom an internal link took the customer from depends on all that was claimed before it.
    reaches = "internal" in links or owner != Owner(customer.user_id, customer.link_source)
    unit_of_work.change(customer, links=links, user_id=owner.user_id, link_source=owner.source)
    for subscription in unit_of_work.subscriptions_of(customer.id) if reaches else ():
        known = subscription.user_id if subscription.links is not None else was
        resolve_owner(unit_of_work, subscription)
        if known is None:
            announce_user(unit_of_work, subscription, event)


def owner_before(subscription: Subscription, customer: Customer | None) -> str | None:
    """The user as stored; an older release left that to the customer."""
    if subscription.links is not None or customer is None:
        return subscription.user_id
    return customer.user_id


def resolve_owner(unit_of_work: UnitOfWork, subscription: Subscription) -> None:
    """Work out a subscription's user from the claims."""
    customer = unit_of_work.find(Customer, subscription.customer_id)
    if customer is None and subscription.customer_id is not None:
        return  # its own events name the customer, and determine it
    links = _links_of(unit_of_work, subscription)
    linked = customer.links if customer is not None else {}
    held = Owner(customer.user_id, customer.link_source) if customer is not None else NOBODY
    owner = owner_of_subscription(links, held, linked)
    unit_of_work.change(subscription, links=links, user_id=owner.user_id, link_source=owner.source)


def announce_user(unit_of_work: UnitOfWork, subscription: Subscription, event: StripeEvent) -> None:
    """Announce the activation of a subscription that runs and now has its first user: the one that waits for
    it, else one more, as whoever welcomes users heard only of one without a user."""
    user_id = subscription.user_id
    if (
        user_id is None
        or unit_of_work.reapplied is not None
        or (event.type.startswith("internal.") and event.object.get("announce") is False)
    ):
        return
    unit_of_work.name_user(subscription.id, user_id)
    if subscription.activation is not None:
        announce_activation(unit_of_work, subscription)
    elif subscription.status in RUNNING:
        unit_of_work.announce(
            subscription_activated,
            event,
            cause=f"{subscription.id}:{user_id}",
            customer_id=subscription.customer_id,
            subscription_id=subscription.id,
            status=subscription.status,
            plan_id=subscription.plan_id,
            changes={"user_id": [None, user_id]},
        )


def _stated(unit_of_work: UnitOfWork, event: StripeEvent, object_id: str) -> Claim:
    user_id = named_user(event.object, unit_of_work.link_keys)
    return _claim(user_id, event, unit_of_work) | {"object_id": object_id}


def _claim(user_id: str | None, event: StripeEvent, unit_of_work: UnitOfWork) -> Claim:
    delivery = unit_of_work.delivery
    stated = event.read_for or (delivery.stated if delivery is not None else None)
    created, event_id = stated or (event.created, event.id)
    claim: Claim = {
        "user_id": user_id,
        "created": created,
        "event_id": event_id,
        "object_id": event.object_id,
    }
    return claim | ({"read": True} if delivery is not None and delivery.source == "re-read" else {})
