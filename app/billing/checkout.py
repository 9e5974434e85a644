"""Stripe's checkout: a page on which a user buys a subscription, and the way back from it.

session = await checkout.create_checkout_session(service, order, actor="billing-page")
# send the user to session.url; on the page that they come back to:
done = await checkout.sync_checkout_session(service, session_id, user_id=current_user)
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db.models import Customer, Subscription
from ..db.ownership import user_of
from ..errors import Conflict, InvalidRequest, NotFound, ServiceError, Stale
from ..plans import Offer, Plan
from ..service import Service
from ..stripe.client import Answer, promptly
from ..stripe.objects import as_dict, as_id, as_seconds, named_user
from ..stripe.paths import PATHS
from .customers import (
    check_applied,
    create_customer,
    customers_of,
    idempotency_key,
    is_free,
    live_subscription,
    stripe_of,
)
from .portal import open_portal
from .price_choice import check_is_sold, check_quantity, first_price, offer_of
from .return_urls import check_return_url

log = structlog.get_logger(__name__)

Json = dict[str, Any]
Row = TypeVar("Row", Customer, Subscription)

SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{1,250}")
PAID = frozenset({"paid", "no_payment_required"})
MAX_REFERENCE_LENGTH = 200
"""Characters of `client_reference_id` ("Create a Checkout Session")."""
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Order:
    """What a user is to buy: a price, or a plan, which stands for its first price.

    `trial_days` None: no trial. `key` makes a repeated order the same session for a day.
    `allow_second`: also for a user who subscribes already.
    """

    user_id: str
    success_url: str
    cancel_url: str
    price_id: str | None = None
    plan: str | None = None
    quantity: int | None = 1
    """None for a price that is metered."""
    trial_days: int | None = None
    email: str | None = None
    """For the page, and for a customer that is made."""
    key: str | None = None
    allow_second: bool = False


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """A session that waits for its buyer: send them to `url`. `expires_at` in Unix seconds."""

    id: str
    url: str
    customer_id: str
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class SyncedCheckout:
    """A session as Stripe has it. `applied`: it is paid, and what was bought holds here."""

    id: str
    status: str | None
    payment_status: str | None
    applied: bool
    user_id: str | None
    subscription_id: str | None


async def create_checkout_session(service: Service, order: Order, *, actor: str) -> CheckoutSession:
    """Open a checkout session, for the user's own customer; one is made where there is none.

    Raises:
        Conflict: when the user subscribes already (with a link into the portal), the key was used for
            another order, or the plan is sold at several prices (with `choices`).
        InvalidRequest: when an address is not on one of ALLOWED_RETURN_ORIGINS, the quantity buys nothing,
            or the plan or its price is no longer sold.
        NotFound: when the catalogue has no such plan or price.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    api, _ = stripe_of(service)
    allowed = service.settings.allowed_return_origins
    check_return_url(order.success_url, allowed, "success_url")
    check_return_url(order.cancel_url, allowed, "cancel_url")
    price_id, offer = await _price_of(service, order)
    check_quantity(offer if isinstance(offer, Plan) else None, order.quantity)
    customer_id = await _customer_for(service, order, actor)
    key = idempotency_key("checkout", order.user_id, order.key) if order.key else None
    params = _params(order, price_id, customer_id, service.settings.link_metadata_keys[0])
    answer = await promptly(api.post("/v1/checkout/sessions", key=key, **params))
    content = answer.content
    if not content.get("url"):
        raise Conflict("The key was used for a checkout session that is no longer open. Use a new key.")
    expires_at = as_seconds(content.get("expires_at"))
    return CheckoutSession(str(content["id"]), str(content["url"]), customer_id, expires_at)


async def sync_checkout_session(
    service: Service, session_id: str, *, user_id: str | None = None
) -> SyncedCheckout:
    """Ask Stripe what became of a session and apply it at once: link, customer, subscription.

    For the page that a buyer comes back to while the webhook is on its way; safe to repeat. Nothing is
    applied for a session that is not complete and paid. With a `user_id`, only for that user's session.

    Raises:
        NotFound: when Stripe has no such session in the key's mode, or it is another user's.
        InvalidRequest: when it sells no subscription.
        Stale: when the records changed during every one of some attempts.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    if SESSION_ID.fullmatch(session_id) is None:
        raise NotFound("This cannot be the id of a checkout session: those begin with cs_.")
    for _ in range(ATTEMPTS):
        answer, versions = await _read(service, session_id)
        session = answer.content
        if session.get("mode") != "subscription":
            raise InvalidRequest(f"Checkout session {session_id} sells no subscription.")
        if not _is_paid(session):
            return await _synced(service, session, user_id, applied=False)
        if await _apply(service, answer, versions):
            return await _synced(service, session, user_id, applied=True)
        log.info("reading_stale", kind="checkout.session", object_id=session_id)
    raise Stale(f"The records of checkout session {session_id} change faster than they can be read.")


async def _price_of(service: Service, order: Order) -> tuple[str, Offer]:
    """The price to sell, and what it buys. One that the catalogue does not know would give nothing."""
    api, _ = stripe_of(service)
    catalogue = service.limits.catalogue
    if order.plan is not None and order.price_id is None:
        plan = catalogue.plan(order.plan)
        check_is_sold(catalogue, plan)
        return await first_price(api, plan), plan
    if order.price_id is not None and order.plan is None:
        offer = await offer_of(service, api, order.price_id)
        check_is_sold(catalogue, offer, order.price_id)
        return order.price_id, offer
    raise InvalidRequest("Give either a plan or a price_id.")


def _params(order: Order, price_id: str, customer_id: str, link_key: str) -> Json:
    """The request: the user's id stands wherever a webhook may look for it."""
    user = {link_key: order.user_id}
    line: Json = {"price": price_id}
    if order.quantity is not None:
        line["quantity"] = order.quantity
    data: Json = {"metadata": user}
    if order.trial_days is not None:
        data["trial_period_days"] = order.trial_days
    params: Json = {
        "mode": "subscription",
        "customer": customer_id,
        "line_items": [line],
        "metadata": user,
        "subscription_data": data,
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
    }
    if len(order.user_id) <= MAX_REFERENCE_LENGTH:
        params["client_reference_id"] = order.user_id
    return params


async def _customer_for(service: Service, order: Order, actor: str) -> str:
    """The user's own customer, or a new one; unless they subscribe already."""
    customers = await customers_of(service, order.user_id)
    for customer in customers.usable if not order.allow_second else ():
        if found := await promptly(live_subscription(service, customer.id, order.user_id)):
            raise Conflict(
                f"The user subscribes already ({found}): send them to the portal, or change it. "
                'For a second one, send "allow_second": true. Nothing was changed.',
                subscription_id=found,
                portal_url=await _portal_url(service, customer.id, order.cancel_url),
            )
    for customer in customers.usable:
        if is_free(customer, order.user_id):
            return customer.id
    return await create_customer(
        service, order.user_id, email=order.email, others=customers.others, actor=actor
    )


async def _portal_url(service: Service, customer_id: str, return_url: str) -> str | None:
    """None where Stripe does not open a portal: the answer is the same without."""
    try:
        return (await open_portal(service, customer_id, return_url)).url
    except ServiceError as error:
        log.warning("portal_not_opened", error=error.detail)
        return None


async def _read(service: Service, session_id: str) -> tuple[Answer, dict[str, int]]:
    """The session with customer and subscription, and the versions of their records before it was read."""
    answer = await _read_session(service, session_id)
    versions = await _versions(service, answer.content)
    if any(versions.values()):
        # Only a record that is not there now was not there before the session was read, either.
        answer = await _read_session(service, session_id)
    return answer, versions


async def _read_session(service: Service, session_id: str) -> Answer:
    api, _ = stripe_of(service)
    path = PATHS["checkout.session"].format(session_id)
    return await promptly(api.get(path, expand=["customer", "subscription"]))


async def _versions(service: Service, session: Json) -> dict[str, int]:
    _, objects = stripe_of(service)
    ids = {kind: as_id(session.get(kind)) for kind in ("customer", "subscription")}
    return {kind: await objects.version(kind, id) for kind, id in ids.items() if id is not None}


def _is_paid(session: Json) -> bool:
    bought = as_id(session.get("customer")) and as_dict(session.get("subscription"))
    return bool(bought) and session.get("status") == "complete" and session.get("payment_status") in PAID


async def _apply(service: Service, answer: Answer, versions: dict[str, int]) -> bool:
    """Apply all that the session contains, in one batch where possible; False: a record changed meanwhile."""
    _, objects = stripe_of(service)
    customer, subscription = (as_dict(answer.content.get(kind)) for kind in ("customer", "subscription"))
    bare = answer.content | {"customer": customer["id"], "subscription": subscription["id"]}
    completed_at = min(as_seconds(subscription.get("created")) or answer.at, answer.at)
    outcomes = await asyncio.gather(
        objects.apply("customer", customer, answer.at, versions.get("customer", 0)),
        objects.apply("subscription", subscription, answer.at, versions.get("subscription", 0)),
        objects.apply_checkout(bare, completed_at),  # last: the link that it sets is no other's change
        return_exceptions=True,
    )
    for outcome in outcomes:
        if not isinstance(outcome, BaseException):
            check_applied(outcome)
        elif not isinstance(outcome, Stale):
            raise outcome
    return not any(isinstance(outcome, Stale) for outcome in outcomes)


async def _synced(service: Service, session: Json, expected: str | None, *, applied: bool) -> SyncedCheckout:
    owner = await _owner(service, session)
    if expected is not None and owner != expected:
        raise NotFound(f"Checkout session {session['id']} is not of this user.")
    return SyncedCheckout(
        str(session["id"]),
        session.get("status"),
        session.get("payment_status"),
        applied,
        owner,
        as_id(session.get("subscription")),
    )


async def _owner(service: Service, session: Json) -> str | None:
    """The user of the subscription that was bought; before that is known, the one whom the session was opened
    for, else its customer's."""
    async with service.database.reading() as reading:
        subscription = await _row(reading, Subscription, session.get("subscription"))
        customer = await _row(reading, Customer, session.get("customer"))
    if subscription is not None and (user_id := user_of(subscription, customer)) is not None:
        return user_id
    opened_for = named_user(session, service.settings.link_metadata_keys)
    return opened_for or (customer.user_id if customer is not None else None)


async def _row(reading: AsyncSession, model: type[Row], value: Any) -> Row | None:
    id = as_id(value)
    return await reading.get(model, id) if id is not None else None
