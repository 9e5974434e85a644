"""Whether a user may have a trial: one for each user, whatever became of it."""

from sqlmodel import col, or_, select

from ..db.models import Subscription
from ..db.ownership import owned_by
from ..entitlements import secondary_customers
from ..errors import Conflict
from ..plans import Plan
from ..service import Service
from ..stripe.client import promptly
from ..stripe.objects import as_id, as_seconds
from .checkout_order import Order
from .customers import Customers, owners_of, stripe_of

NEVER_BEGUN = ("incomplete", "incomplete_expired")
"""The statuses of a subscription whose trial has not begun ("How subscriptions work")."""
MAX_PAGES = 10
"""Pages of a customer's subscriptions that Stripe is asked for."""


async def trial_of(service: Service, order: Order, plan: Plan | None, customers: Customers) -> int | None:
    """The days of trial that the order has; None: no trial.

    Those that the order names, else those that the plan offers to a user who has had none.

    Raises:
        Conflict: with `reason` `trial_used`, when a trial is asked for and the user has had one.
        StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    offered = plan.trial_days if plan is not None else None
    days = offered if order.trial_days is None else order.trial_days
    if not days:
        return None
    used = await trial_subscription(service, order.user_id, customers)
    if used is None or order.trial_days is None:
        return days if used is None else None
    raise Conflict(
        f"The user has had a trial ({used}), and there is one for each user. Nothing was changed. "
        'Send "trial_days": 0 to sell without a trial.',
        reason="trial_used",
        subscription_id=used,
    )


async def trial_subscription(service: Service, user_id: str, customers: Customers) -> str | None:
    """A subscription with which the user had a trial: one of the user's own, or of the user's customers.

    Looked for in the records, which outlive the events and an erasure, then at Stripe: its webhook may be on
    the way.

    Raises:
        StripeRefused, StripeUnavailable: when Stripe cannot be asked.
    """
    if (stored := await _stored(service, user_id)) is not None:
        return stored
    for customer in customers.usable:
        if found := await promptly(_at_stripe(service, customer.id, user_id)):
            return found
    return None


async def _stored(service: Service, user_id: str) -> str | None:
    """What a stranger's payment link names the user by is no trial of the user's."""
    async with service.database.reading() as session:
        owned = await owned_by(session, user_id)
        hidden = secondary_customers(owned.customers, owned.subscriptions)
        own = [each.id for each in owned.subscriptions if each.customer_id not in hidden]
        linked = [each.id for each in owned.customers if each.id not in hidden]
        theirs = or_(col(Subscription.id).in_(own), col(Subscription.customer_id).in_(linked))
        begun = col(Subscription.status).not_in(NEVER_BEGUN)
        query = select(Subscription.id).where(theirs, begun, col(Subscription.trial_end).is_not(None))
        return (await session.exec(query.order_by(col(Subscription.id)).limit(1))).first()


async def _at_stripe(service: Service, customer_id: str, user_id: str) -> str | None:
    api, _ = stripe_of(service)
    pages = 0
    async for answer in api.pages("/v1/subscriptions", customer=customer_id, status="all"):
        tried = {
            each["id"]: each
            for each in answer.content["data"]
            if as_seconds(each.get("trial_end")) is not None and each.get("status") not in NEVER_BEGUN
        }
        owners = await owners_of(service, tried)
        for subscription_id in tried:
            if owners[subscription_id] in (None, user_id):
                return as_id(subscription_id)
        pages += 1
        if pages == MAX_PAGES:
            break
    return None
