"""A user's customers at Stripe: who is sent to checkout and portal, and whether they subscribe already."""

import hashlib
from contextlib import suppress

from sqlmodel import col, or_, select

from .audit import audit_entry
from .errors import Stale, StripeKeyMissing
from .models import Customer, Subscription
from .readings import Readings
from .service import Service
from .stripe_api import StripeApi, promptly, required
from .stripe_objects import as_id

LIVE = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})
"""The statuses of a subscription that goes on or can be made to; an incomplete one was never paid."""


def stripe_of(service: Service) -> tuple[StripeApi, Readings]:
    """Stripe, and what takes its answers in.

    Raises:
        StripeKeyMissing: when no key is configured, or one of a mode that LIVEMODE ignores.
    """
    api = required(service.stripe)
    assert service.readings is not None
    if service.settings.livemode not in (None, api.livemode):
        raise StripeKeyMissing(
            "STRIPE_API_KEY and LIVEMODE are of different modes, so what is bought would not count. "
            "Set STRIPE_API_KEY to a key of the mode that LIVEMODE names."
        )
    return api, service.readings


async def customers_of(service: Service, user_id: str) -> list[Customer]:
    """The user's customers in the key's mode, but for deleted ones; the one that subscribes comes first.

    Raises:
        StripeKeyMissing: without a usable key.
    """
    api, _ = stripe_of(service)
    async with service.database.reading() as session:
        in_mode = or_(col(Customer.livemode).is_(None), col(Customer.livemode).is_(api.livemode))
        query = select(Customer).where(
            col(Customer.user_id) == user_id, col(Customer.deleted).is_(False), in_mode
        )
        customers = list(await session.exec(query))
        theirs = col(Subscription.customer_id).in_([customer.id for customer in customers])
        subscriptions = list(await session.exec(select(Subscription).where(theirs)))

    def rank(customer: Customer) -> tuple[bool, int, str]:
        own = [each for each in subscriptions if each.customer_id == customer.id]
        lives = any(each.status in LIVE for each in own)
        return lives, max((each.start_date or 0 for each in own), default=0), customer.id

    return sorted(customers, key=rank, reverse=True)


async def live_subscription(service: Service, customer_id: str) -> str | None:
    """The customer's subscription that goes on, by Stripe's own word: its webhook may be on the way.

    Raises:
        StripeKeyMissing, StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    api, _ = stripe_of(service)
    async for answer in api.pages("/v1/subscriptions", customer=customer_id):
        for subscription in answer.content["data"]:
            if subscription.get("status") in LIVE:
                return as_id(subscription)
    return None


async def create_customer(service: Service, user_id: str, *, email: str | None, actor: str) -> str:
    """A new customer at Stripe, linked to the user and known here at once; its id.

    Two calls at the same time make one customer.

    Raises:
        StripeKeyMissing, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
    """
    api, readings = stripe_of(service)
    # Those that have been deleted count, or Stripe would answer with the dead one for a day.
    key = idempotency_key("customer", user_id, email or "", str(await _ever_linked(service, user_id)))
    details = {"email": email} if email else {}
    answer = await promptly(api.post("/v1/customers", key=key, metadata={"user_id": user_id}, **details))
    customer_id = str(answer.content["id"])
    after = {"user_id": user_id}  # the address is personal, and the trail is kept
    audit = audit_entry(
        at=int(service.clock()), actor=actor, action="customer.created", subject=customer_id, after=after
    )
    with suppress(Stale):  # its webhook, or another call, was faster
        await readings.apply("customer", answer.content, answer.at, 0, None if answer.replayed else audit)
    return customer_id


def idempotency_key(*parts: str) -> str:
    """A key for Stripe that stands for exactly these texts, whatever they are, within its length."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return f"{parts[0]}_{hashlib.sha256(joined.encode('utf-8', 'surrogatepass')).hexdigest()}"


async def _ever_linked(service: Service, user_id: str) -> int:
    async with service.database.reading() as session:
        return len(list(await session.exec(select(Customer.id).where(col(Customer.user_id) == user_id))))
