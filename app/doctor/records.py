"""What the stored records say: modes, prices without a plan, users with two subscriptions, or with none."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from sqlmodel import and_, col, func, or_, select

from ..db.models import Customer, Subscription, WebhookEvent
from ..worker.alerts import LIVE, UNLINKED_SECONDS
from .findings import Check, Finding, Level, counted, mode_name, named
from .installation import Installation

LATEST_EVENTS = 20
PAGE = 1000


async def events_are_of_the_mode(installation: Installation) -> list[Finding]:
    """The secret has verified the latest events: it is of the mode that they are of."""
    query = (
        select(WebhookEvent.livemode)
        .where(col(WebhookEvent.source) == "stripe", col(WebhookEvent.livemode).is_not(None))
        .order_by(col(WebhookEvent.received_at).desc())
        .limit(LATEST_EVENTS)
    )
    async with installation.database.reading() as session:
        latest = set(await session.exec(query))
    livemode = installation.livemode
    if livemode is None or not latest or livemode in latest:
        return []
    ignored = "which are ignored" if installation.settings.livemode is not None else "unlike STRIPE_API_KEY"
    here, theirs = mode_name(livemode), mode_name(not livemode)
    return [
        Finding(
            "error",
            f"The latest events are all of {theirs}, {ignored}: STRIPE_WEBHOOK_SECRET is of an "
            "endpoint of that mode.",
            f"Set STRIPE_WEBHOOK_SECRET to the signing secret of the endpoint in {here}, or set "
            f"LIVEMODE={str(not livemode).lower()}.",
        )
    ]


async def records_are_of_the_mode(installation: Installation) -> list[Finding]:
    livemode = installation.livemode
    if livemode is None:
        return []
    other = col(Subscription.livemode).is_(not livemode)
    async with installation.database.reading() as session:
        count = (await session.exec(select(func.count()).select_from(Subscription).where(other))).one()
    if not count:
        return []
    return [
        Finding(
            "error",
            f"{counted(count, 'subscription')} of {mode_name(not livemode)} in a database for "
            f"{mode_name(livemode)}: they grant access, and a key of this mode does not find them.",
            "Use a database of its own for each mode (DATABASE_URL), or set LIVEMODE and STRIPE_API_KEY to "
            "the mode of the records.",
        )
    ]


async def prices_have_plans(installation: Installation) -> list[Finding]:
    """A subscription of none but unknown prices grants nothing; beside a known one, less than was bought."""
    whole: Counter[str] = Counter()
    part: Counter[str] = Counter()
    async for items in _live_items(installation):
        prices = {item["price_id"] for item in items if item.get("price_id")}
        unknown = {price for price in prices if not _is_known(installation, price)}
        (whole if unknown == prices else part).update(unknown)
    found = [_unknown("error", price, count, "grants no plan") for price, count in sorted(whole.items())]
    return found + [
        _unknown("warning", price, count, "adds nothing to the plan") for price, count in sorted(part.items())
    ]


def _is_known(installation: Installation, price: str) -> bool:
    catalogue = installation.catalogue
    return catalogue.plan_of_price(price) is not None or catalogue.addon_of_price(price) is not None


def _unknown(level: Level, price: str, count: int, effect: str) -> Finding:
    return Finding(
        level,
        f"The price {price} is in no plan and no add-on, and {effect} in {counted(count, 'subscription')}.",
        f'Add "{price}" to the `prices` of a plan or an add-on in the file of PLANS_FILE, and restart.',
    )


async def _live_items(installation: Installation) -> AsyncIterator[list[dict[str, Any]]]:
    last = ""
    while True:
        query = (
            select(Subscription.id, Subscription.items)
            .where(col(Subscription.status).in_(LIVE), col(Subscription.id) > last)
            .order_by(col(Subscription.id))
            .limit(PAGE)
        )
        async with installation.database.reading() as session:
            rows = (await session.exec(query)).all()
        for _, items in rows:
            yield list(items)
        if len(rows) < PAGE:
            return
        last = rows[-1][0]


async def users_have_one_subscription(installation: Installation) -> list[Finding]:
    query = (
        select(Customer.user_id)
        .join(Subscription, col(Subscription.customer_id) == col(Customer.id))
        .where(col(Subscription.status).in_(LIVE), col(Customer.user_id).is_not(None))
        .group_by(col(Customer.user_id))
        .having(func.count() > 1)
        .order_by(col(Customer.user_id))
    )
    async with installation.database.reading() as session:
        users = [str(user_id) for user_id in await session.exec(query)]
    if not users:
        return []
    return [
        Finding(
            "warning",
            f"{counted(len(users), 'user')} with more than one live subscription, each of which is paid: "
            f"{named(users)}.",
            "See GET /internal/users/{user_id}; cancel in Stripe's Dashboard what was bought twice.",
        )
    ]


async def payers_are_linked(installation: Installation) -> list[Finding]:
    before = installation.now - UNLINKED_SECONDS  # the link may come with an event that is still under way
    unlinked = or_(
        col(Customer.id).is_(None), and_(col(Customer.user_id).is_(None), col(Customer.deleted).is_(False))
    )
    query = (
        select(Subscription.customer_id)
        .join(Customer, col(Customer.id) == col(Subscription.customer_id), isouter=True)
        .where(col(Subscription.status).in_(LIVE), col(Subscription.customer_id).is_not(None), unlinked)
        .where(func.coalesce(col(Subscription.start_date), 0) <= before)
        .distinct()
        .order_by(col(Subscription.customer_id))
    )
    async with installation.database.reading() as session:
        customers = [str(customer_id) for customer_id in await session.exec(query)]
    if not customers:
        return []
    return [
        Finding(
            "error",
            f"{counted(len(customers), 'customer')} with a live subscription and linked to no user: "
            f"{named(customers)}. They pay and get nothing.",
            'PUT /internal/customers/{customer_id} with {"user_id": "…"}; for those to come, set '
            "metadata.user_id or client_reference_id in the checkout session.",
        )
    ]


async def records_are_settled(installation: Installation) -> list[Finding]:
    ids: list[str] = []
    async with installation.database.reading() as session:
        for model in (Subscription, Customer):
            query = select(model.id).where(col(model.needs_refresh).is_(True)).order_by(col(model.id))
            ids += await session.exec(query)
    if not ids:
        return []
    remedy = "The running service reads them again; start it, or see its log for why it cannot."
    if installation.stripe is None:
        remedy = "Set STRIPE_API_KEY, with which the service reads them again."
    what = "whose events do not settle what is true now (needs_refresh)"
    return [Finding("warning", f"{counted(len(ids), 'record')} {what}: {named(ids)}.", remedy)]


CHECKS = (
    Check("events-mode", "The latest events are of this mode.", events_are_of_the_mode, ("records",)),
    Check("records-mode", "No subscription is of the other mode.", records_are_of_the_mode, ("records",)),
    Check("prices-in-use", "Every price in use is in a plan.", prices_have_plans, ("records", "catalogue")),
    Check(
        "two-subscriptions",
        "No user has two live subscriptions.",
        users_have_one_subscription,
        ("records",),
    ),
    Check("unlinked-customers", "Everybody who pays is linked to a user.", payers_are_linked, ("records",)),
    Check("needs-refresh", "The events settle every record.", records_are_settled, ("records",)),
)
