"""A user's customers at Stripe: who is sent to checkout and portal, and whether they subscribe already."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlmodel import col, select

from ..db.audit import audit_entry
from ..db.models import Customer, Subscription
from ..db.ownership import owned_by
from ..entitlements import secondary_customers
from ..errors import ServiceError, Stale, StripeKeyMissing
from ..inbox.outcome import Outcome
from ..service import Service
from ..stripe.client import StripeApi, promptly, required
from ..stripe.objects import as_id, named_user
from ..sync.checkout_sessions import CheckoutSessions
from ..sync.objects import StripeObjects

Json = dict[str, Any]

LIVE = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})
"""The statuses of a subscription that goes on or can be made to; an incomplete one was never paid."""


def stripe_of(service: Service) -> tuple[StripeApi, StripeObjects]:
    """Stripe, and what takes its answers in.

    Raises:
        StripeKeyMissing: when no key is configured, or one of a mode that LIVEMODE ignores.
    """
    api = required(service.stripe)
    assert service.objects is not None
    if service.settings.livemode not in (None, api.livemode):
        raise StripeKeyMissing(
            "STRIPE_API_KEY and LIVEMODE are of different modes, so what is bought would not count. "
            "Set STRIPE_API_KEY to a key of the mode that LIVEMODE names."
        )
    return api, service.objects


def sessions_of(service: Service) -> CheckoutSessions:
    """The checkout sessions that were opened.

    Raises:
        StripeKeyMissing: as `stripe_of`.
    """
    stripe_of(service)
    assert service.checkout_sessions is not None
    return service.checkout_sessions


@dataclass(frozen=True, slots=True)
class Customers:
    """A user's customers: `usable` are those in the key's mode that still exist, best first."""

    usable: list[Customer]
    others: int
    """How many more are or were linked to the user."""


async def customers_of(service: Service, user_id: str) -> Customers:
    """The user's customers; the first is the one that subscribes, else the one that did last.

    Those that are linked to another user, and pay for this one, are among them. A customer that only a
    `client_reference_id` links, beside one with a stronger link, may be a stranger's and is left out.

    Raises:
        StripeKeyMissing: without a usable key.
    """
    api, _ = stripe_of(service)
    async with service.database.reading() as session:
        owned = await owned_by(session, user_id)
    hidden = secondary_customers(owned.customers, owned.subscriptions)

    def is_usable(customer: Customer) -> bool:
        in_mode = customer.livemode in (None, api.livemode)
        return in_mode and not customer.deleted and customer.id not in hidden

    def rank(customer: Customer) -> tuple[bool, bool, int, str]:
        own = [each for each in owned.subscriptions if each.customer_id == customer.id]
        lives = any(each.status in LIVE for each in own)
        return (
            lives,
            is_free(customer, user_id),
            max((each.start_date or 0 for each in own), default=0),
            customer.id,
        )

    usable = [each for each in owned.all_customers if is_usable(each)]
    linked = sum(customer.user_id == user_id for customer in usable)
    return Customers(sorted(usable, key=rank, reverse=True), len(owned.customers) - linked)


def is_free(customer: Customer, user_id: str) -> bool:
    """Whether the user may buy more with this customer: it is linked to nobody else."""
    return customer.user_id in (None, user_id)


async def live_subscription(service: Service, customer_id: str, user_id: str) -> str | None:
    """The user's subscription of this customer that goes on, by Stripe's own word: its webhook may be on the
    way. What the customer pays for another user is none.

    Raises:
        StripeKeyMissing, StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    api, _ = stripe_of(service)
    async for answer in api.pages("/v1/subscriptions", customer=customer_id):
        live = {each["id"]: each for each in answer.content["data"] if each.get("status") in LIVE}
        owners = await owners_of(service, live)
        for subscription_id in live:
            if owners[subscription_id] in (None, user_id):
                return as_id(subscription_id)
    return None


async def owners_of(service: Service, contents: Mapping[str, Json]) -> dict[str, str | None]:
    """The user of each subscription: as stored, else as its metadata says."""
    keys = service.settings.link_metadata_keys
    owners = {id: named_user(content, keys) for id, content in contents.items()}
    async with service.database.reading() as session:
        rows = await session.exec(select(Subscription).where(col(Subscription.id).in_(contents)))
        stored = {row.id: row.user_id for row in rows if row.links is not None}
    return owners | stored


async def create_customer(
    service: Service, user_id: str, *, email: str | None, others: int, actor: str
) -> str:
    """A new customer at Stripe, linked to the user and known here at once; its id.

    Calls at the same time, for a user with as many `others`, make one customer.

    Raises:
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    api, objects = stripe_of(service)
    # Without the others, Stripe would for a day answer with one that has been deleted since.
    key = idempotency_key("customer", user_id, email or "", str(others))
    details = {"email": email} if email else {}
    named = {service.settings.link_metadata_keys[0]: user_id}
    answer = await promptly(api.post("/v1/customers", key=key, metadata=named, **details))
    customer_id = str(answer.content["id"])
    after = {"user_id": user_id}  # the address is personal, and the trail is kept
    audit = audit_entry(
        at=int(service.clock()), actor=actor, action="customer.created", subject=customer_id, after=after
    )
    with suppress(Stale):  # its webhook, or another call, was faster
        await objects.apply("customer", answer.content, answer.at, 0, None if answer.replayed else audit)
    return customer_id


def check_applied(outcome: Outcome) -> None:
    """Raises when what Stripe answered is stored and not applied: the caller waits for it.

    Raises:
        ServiceError: when a handler raised; the inbox tries it again by itself.
    """
    if outcome.status == "deferred":
        raise ServiceError(
            "What Stripe answered is stored and could not be applied yet. It is tried again by itself; "
            "GET /internal/events?state=failed has the error."
        )


def idempotency_key(*parts: str) -> str:
    """A key for Stripe that stands for exactly these texts, whatever they are, within its length."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return f"{parts[0]}_{hashlib.sha256(joined.encode('utf-8', 'surrogatepass')).hexdigest()}"
