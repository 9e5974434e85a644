"""Stripe's checkout: a page on which a user buys a subscription, and the way back from it.

session = await checkout.create_checkout_session(service, order, actor="billing-page")
# send the user to session.url; on the page that they come back to:
done = await checkout.sync_checkout_session(service, session_id, user_id=current_user)
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db.models import Customer, Subscription
from ..db.ownership import user_of
from ..entitlements import preview_purchase
from ..errors import Conflict, InvalidRequest, NotFound, ServiceError, Stale
from ..service import Service
from ..stripe.client import Answer, promptly
from ..stripe.objects import as_dict, as_id, as_seconds, as_text, named_user
from ..stripe.paths import PATHS
from ..sync.checkout_sessions import Opened
from .checkout_discounts import discounts_of
from .checkout_items import Line, check_addons, lines_of, plan_of
from .checkout_order import Order, OrderItem, check_order
from .checkout_params import check_parameters, session_params
from .checkout_trial import trial_of
from .customers import (
    Customers,
    check_applied,
    create_customer,
    customers_of,
    idempotency_key,
    is_free,
    live_subscription,
    sessions_of,
    stripe_of,
)
from .over_usage import refuse_over
from .portal import open_portal

__all__ = [
    "CheckoutSession",
    "Order",
    "OrderItem",
    "SyncedCheckout",
    "create_checkout_session",
    "sync_checkout_session",
]

log = structlog.get_logger(__name__)

Json = dict[str, Any]
Row = TypeVar("Row", Customer, Subscription)

SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{1,250}")
NO_LONGER_OPEN = "The key was used for a checkout session that is no longer open. Use a new key."
DAY = 86_400
PAID = frozenset({"paid", "no_payment_required"})
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """A session that waits for its buyer: send them to `url`. `expires_at` in Unix seconds.

    An embedded page has no `url`: give its `client_secret` to Stripe.js.
    """

    id: str
    url: str | None
    customer_id: str
    expires_at: int | None
    client_secret: str | None = None
    trial_days: int | None = None


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
        Conflict: when the user subscribes already (with a link into the portal), has had a trial (with
            `reason`), or uses more than what is bought would give (with `over`), unless confirmed; when the
            key was used for another order; when a plan is sold at several prices (with `choices`).
        InvalidRequest: when the order contradicts itself or exceeds a bound; when an address is not on one of
            ALLOWED_RETURN_ORIGINS; when a quantity buys nothing.
        NotFound: when the catalogue has no such plan, add-on or price.
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    api, _ = stripe_of(service)
    check_order(order, service.settings.allowed_return_origins)
    check_parameters(order, service.settings.link_metadata_keys)
    lines = await lines_of(service, order)
    customers = await customers_of(service, order.user_id)
    await _check_not_subscribed(service, order, customers)
    await check_addons(service, order, lines)
    trial_days = await trial_of(service, order, plan_of(lines), customers)
    if not order.confirm:
        await _check_fits(service, order, lines, trialing=trial_days is not None)
    params = session_params(
        order,
        [line.params() for line in lines],
        link_key=service.settings.link_metadata_keys[0],
        trial_days=trial_days,
        discounts=await discounts_of(api, order),
    )
    params["customer"] = customer_id = await _customer_for(service, order, customers, actor)
    key = idempotency_key("checkout", order.user_id, order.key) if order.key else None
    content = (await promptly(api.post("/v1/checkout/sessions", key=key, **params))).content
    opened = _opened(content, customer_id, trial_days)
    await _take_the_place_of_others(service, order, customers, content)
    return opened


def _opened(content: Json, customer_id: str, trial_days: int | None) -> CheckoutSession:
    url, secret = as_text(content.get("url")), as_text(content.get("client_secret"))
    if url is None and secret is None:
        raise Conflict(NO_LONGER_OPEN)
    expires_at = as_seconds(content.get("expires_at"))
    return CheckoutSession(str(content["id"]), url, customer_id, expires_at, secret, trial_days)


async def _take_the_place_of_others(
    service: Service, order: Order, customers: Customers, content: Json
) -> None:
    """Note the session before anybody is sent to it, and expire the user's earlier ones.

    Raises:
        Conflict: when it is no longer open; when an earlier one was paid just now.
    """
    sessions = sessions_of(service)
    created = as_seconds(content.get("created")) or int(service.clock())
    expires_at = as_seconds(content.get("expires_at")) or created + DAY
    opened = Opened(str(content["id"]), order.user_id, order.allow_second, created, expires_at)
    if not await sessions.note(opened):
        raise Conflict(NO_LONGER_OPEN)
    if not await _expire_others(service, order.user_id):
        return
    try:
        await _check_not_subscribed(service, order, customers)
    except Conflict:
        await sessions.withdraw(opened.id)
        await _expire_others(service, order.user_id)
        raise


async def _expire_others(service: Service, user_id: str) -> list[Json]:
    """Expire the user's superseded sessions; those that were paid all the same. Where Stripe cannot do it
    now, the running service does it later."""
    try:
        return await promptly(sessions_of(service).expire_superseded(user_id))
    except ServiceError as error:
        log.warning("sessions_not_expired", error=type(error).__name__)
        return []


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
            synced = await _synced(service, session, user_id, applied=True)
            await _close_others(service, session)
            return synced
        log.info("reading_stale", kind="checkout.session", object_id=session_id)
    raise Stale(f"The records of checkout session {session_id} change faster than they can be read.")


async def _check_not_subscribed(service: Service, order: Order, customers: Customers) -> None:
    for customer in customers.usable if not order.allow_second else ():
        if found := await promptly(live_subscription(service, customer.id, order.user_id)):
            raise Conflict(
                f"The user subscribes already ({found}): send them to the portal, or change it. "
                'For a second one, send "allow_second": true. Nothing was changed.',
                subscription_id=found,
                portal_url=await _portal_url(service, customer.id, order.back_url),
            )


async def _check_fits(service: Service, order: Order, lines: Sequence[Line], *, trialing: bool) -> None:
    """
    Raises:
        Conflict: when the user uses more of a feature than the limit would be.
    """
    items = [line.held() for line in lines]
    held = await service.limits.load(order.user_id)
    previews = preview_purchase(held, held.usage or {}, items, trialing=trialing)
    refuse_over({key: each for key, each in previews.items() if each.over})


async def _customer_for(service: Service, order: Order, customers: Customers, actor: str) -> str:
    """The user's own customer, or a new one."""
    for customer in customers.usable:
        if is_free(customer, order.user_id):
            return customer.id
    return await create_customer(
        service, order.user_id, email=order.email, others=customers.others, actor=actor
    )


async def _portal_url(service: Service, customer_id: str, return_url: str | None) -> str | None:
    """None where Stripe does not open a portal, or nobody says where it leads back to."""
    if return_url is None:
        return None
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


async def _close_others(service: Service, session: Json) -> None:
    """Expire the sessions that were open when this one was paid."""
    user_id = named_user(session, service.settings.link_metadata_keys)
    made_at = as_seconds(as_dict(session.get("subscription")).get("created"))
    if user_id is not None and made_at is not None:
        await sessions_of(service).note_paid(str(session["id"]), user_id, made_at)
        await _expire_others(service, user_id)


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
