"""Checkout sessions of the mode `payment`: credits and plans that are bought once ("Checkout", payments)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..db.models import Customer
from ..errors import Conflict, InvalidRequest, NotFound
from ..inbox.handlers.purchase import offers_in, sold_by
from ..plans import Catalogue, Credits
from ..plans.credits import MAX_AMOUNT_ONCE
from ..service import Service
from ..stripe.client import StripeApi, promptly
from ..stripe.objects import as_object_id, as_seconds, as_text
from ..stripe.paths import PATHS
from ..stripe.purchases import GRANT_KEY, MAX_QUANTITY, PAID, QUANTITY_KEY, buyer_named, purchase_id
from .checkout import SESSION_ID
from .customers import (
    check_applied,
    create_customer,
    customers_of,
    idempotency_key,
    is_free,
    stripe_of,
)
from .price_choice import first_price
from .return_urls import check_return_url

Json = dict[str, Any]

MAX_REFERENCE_LENGTH = 200
"""Characters of `client_reference_id` ("Create a Checkout Session")."""


@dataclass(frozen=True, slots=True)
class OneTimeOrder:
    """What a user is to buy once: a pack of credits, or a plan with `once`.

    `key` makes a repeated order the same session for a day.
    """

    user_id: str
    success_url: str
    cancel_url: str
    credits: str | None = None
    plan: str | None = None
    quantity: int = 1
    """How many packs; of a plan there is one."""
    email: str | None = None
    """For a customer that is made."""
    key: str | None = None


@dataclass(frozen=True, slots=True)
class OneTimeSession:
    """A session that waits for its buyer: send them to `url`. `expires_at` in Unix seconds."""

    id: str
    url: str
    customer_id: str
    expires_at: int | None


async def create_one_time_session(service: Service, order: OneTimeOrder, *, actor: str) -> OneTimeSession:
    """Open a session in which the user buys credits or a plan once, for the user's own customer.

    Raises:
        Conflict: when the user has the plan already, or the key was used for another order.
        InvalidRequest: when an address is not on one of ALLOWED_RETURN_ORIGINS, the quantity cannot be one,
            or the credits or the plan are not sold once.
        NotFound: when the catalogue has no such credits or plan.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    api, _ = stripe_of(service)
    allowed = service.settings.allowed_return_origins
    check_return_url(order.success_url, allowed, "success_url")
    check_return_url(order.cancel_url, allowed, "cancel_url")
    offer, price_id = await _offer_of(service.limits.catalogue, api, order)
    await _check_not_owned(service, order)
    customer_id = await _customer_for(service, order, actor)
    key = idempotency_key("one_time", order.user_id, order.key) if order.key else None
    params = _params(order, offer, price_id, customer_id, service.settings.link_metadata_keys[0])
    content = (await promptly(api.post("/v1/checkout/sessions", key=key, **params))).content
    if not content.get("url"):
        raise Conflict("The key was used for a checkout session that is no longer open. Use a new key.")
    expires_at = as_seconds(content.get("expires_at"))
    return OneTimeSession(str(content["id"]), str(content["url"]), customer_id, expires_at)


@dataclass(frozen=True, slots=True)
class SyncedPurchase:
    """A session as Stripe has it. `applied`: it is paid, and what was bought is granted here."""

    id: str
    status: str | None
    payment_status: str | None
    applied: bool
    user_id: str | None


async def sync_one_time_session(
    service: Service, session_id: str, *, user_id: str | None = None
) -> SyncedPurchase:
    """Ask Stripe what became of a session and grant what was bought at once, before its webhook comes.

    Safe to repeat. Nothing is granted while the payment has not succeeded. With a `user_id`, only that
    user's session is answered. What was bought is granted to its buyer, whoever asks.

    Raises:
        NotFound: when Stripe has no such session in the key's mode, or it is another user's.
        InvalidRequest: when it sells nothing once.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    if SESSION_ID.fullmatch(session_id) is None:
        raise NotFound("This cannot be the id of a checkout session: those begin with cs_.")
    api, objects = stripe_of(service)
    answer = await promptly(api.get(PATHS["checkout.session"].format(session_id), expand=["line_items"]))
    session = answer.content
    if purchase_id(session) is None:
        raise InvalidRequest(_sells_nothing(session_id))
    status, payment_status = as_text(session.get("status")), as_text(session.get("payment_status"))
    is_paid = status == "complete" and payment_status in PAID
    if is_paid:
        check_applied(await objects.apply_checkout(session, answer.at))
    owner = await _buyer(service, session)
    if user_id is not None and owner != user_id:
        raise NotFound(f"Checkout session {session_id} is not of this user.")
    if sold_by(session, service.limits.catalogue) is None:  # that it sells nothing is stored now
        raise InvalidRequest(_sells_nothing(session_id, offers_in(session, service.limits.catalogue)))
    return SyncedPurchase(session_id, status, payment_status, is_paid, owner)


async def _buyer(service: Service, session: Json) -> str | None:
    """The user whom the session names, else the one that its customer is linked to now."""
    named = buyer_named(session, service.settings.link_metadata_keys)
    customer_id = as_object_id(session.get("customer"))
    if named is not None or customer_id is None:
        return named
    async with service.database.reading() as reading:
        customer = await reading.get(Customer, customer_id)
    return customer.user_id if customer is not None else None


def _sells_nothing(session_id: str, offers: Sequence[str] = ()) -> str:
    if len(offers) > 1:
        return (
            f"Checkout session {session_id} sells {' and '.join(offers)} together, so nothing was granted: "
            "give the user a grant, and name one offer in the metadata `grant` of the payment link."
        )
    return (
        f"Checkout session {session_id} sells neither credits nor a plan once: its metadata names none "
        "(`grant`), and none of its prices is in the plans file."
    )


async def _offer_of(catalogue: Catalogue, api: StripeApi, order: OneTimeOrder) -> tuple[str, str]:
    """The name of what is sold, for the session's metadata, and its price."""
    if (order.credits is None) == (order.plan is None):
        raise InvalidRequest("Give either credits or a plan.")
    if order.credits is not None:
        credits = catalogue.credits.get(order.credits)
        if credits is None:
            known = ", ".join(catalogue.credits) or "none"
            raise NotFound(f"No credits {order.credits!r} are in the plan catalogue: use one of {known}.")
        if not credits.sold:
            raise InvalidRequest(f"Credits {credits.id} are no longer sold.")
        if not 1 <= order.quantity <= MAX_QUANTITY:
            raise InvalidRequest(f"quantity: from 1 to {MAX_QUANTITY}.")
        if max(credits.amounts.values(), default=0) * order.quantity > MAX_AMOUNT_ONCE:
            raise InvalidRequest(
                f"quantity: {order.quantity} of {credits.id} give more than can be counted "
                f"({MAX_AMOUNT_ONCE}). Send a smaller one."
            )
        return credits.offer, await _price_of(api, credits)
    assert order.plan is not None
    plan = catalogue.plan(order.plan)
    if plan.once is None:
        raise InvalidRequest(
            f"Plan {plan.id} is subscribed to, not bought once: open an ordinary checkout session, or write "
            "`once = true` in the plans file."
        )
    if not plan.is_sold:
        raise InvalidRequest(f"Plan {plan.id} is not sold.")
    if order.quantity != 1:
        raise InvalidRequest("quantity: a plan is bought once. Leave it out.")
    return f"plans.{plan.id}", await first_price(api, plan)


async def _price_of(api: StripeApi, credits: Credits) -> str:
    if credits.prices:
        return credits.prices[0]
    answer = await promptly(api.get("/v1/prices", lookup_keys=list(credits.lookup_keys), active=True))
    found = {price.get("lookup_key"): str(price["id"]) for price in answer.content["data"]}
    for key in credits.lookup_keys:
        if key in found:
            return found[key]
    raise InvalidRequest(f"Credits {credits.id} have no price that Stripe sells, so they cannot be bought.")


async def _check_not_owned(service: Service, order: OneTimeOrder) -> None:
    """A plan that is bought twice gives nothing more."""
    if order.plan is None:
        return
    async with service.database.reading() as session:
        grants = (await service.limits.load(order.user_id, session)).grants
    if any(each.plan == order.plan and each.in_force and each.expires_at is None for each in grants):
        raise Conflict(f"The user has the plan {order.plan} for good already. Nothing was changed.")


async def _customer_for(service: Service, order: OneTimeOrder, actor: str) -> str:
    """The user's own customer, or a new one."""
    customers = await customers_of(service, order.user_id)
    for customer in customers.usable:
        if is_free(customer, order.user_id):
            return customer.id
    return await create_customer(
        service, order.user_id, email=order.email, others=customers.others, actor=actor
    )


def _params(order: OneTimeOrder, offer: str, price_id: str, customer_id: str, link_key: str) -> Json:
    """The request: the session's metadata says what was bought, by whom and how many."""
    metadata = {link_key: order.user_id, GRANT_KEY: offer, QUANTITY_KEY: str(order.quantity)}
    params: Json = {
        "mode": "payment",
        "customer": customer_id,
        "line_items": [{"price": price_id, "quantity": order.quantity}],
        "metadata": metadata,
        "payment_intent_data": {"metadata": metadata},
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
    }
    if len(order.user_id) <= MAX_REFERENCE_LENGTH:
        params["client_reference_id"] = order.user_id
    return params
