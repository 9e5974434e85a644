"""What the stored records say: modes, prices without a plan, users with two subscriptions, or with none."""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select as sql_select
from sqlmodel import case, col, func, select

from ..db.keyset import in_key_order
from ..db.models import Customer, Subscription, WebhookEvent
from ..db.ownership import unlinked_customers
from ..limits.prices import read_prices
from ..plans import HeldItem, KnownPrice, Offer, PriceList, held_items, line_to_add
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
    """Prices in use that the catalogue does not list, not even under [ignored]."""
    found: dict[str, _Unmapped] = defaultdict(_Unmapped)
    async for rows, known in _live_subscriptions(installation):
        prices = PriceList(installation.catalogue, known)
        for row in rows:
            held = held_items(row.items, row.item_history, prices)
            for item in held:
                if item.unmapped and item.price_id:
                    beside = any(each.plan is not None and not each.unmapped for each in held)
                    found[item.price_id].add(item, alone=not beside)
    return [each.finding(price) for price, each in sorted(found.items())]


@dataclass(slots=True)
class _Unmapped:
    """A price that nothing lists, and what it gives in the subscriptions that have it."""

    count: int = 0
    alone: int = 0
    kept: Offer | None = None

    def add(self, item: HeldItem, *, alone: bool) -> None:
        self.count += 1
        self.alone += alone
        self.kept = self.kept or item.offer

    def finding(self, price: str) -> Finding:
        if self.kept is not None:
            effect = f"keeps {self.kept.id} for who had it before"
        else:
            effect = "grants no plan" if self.alone else "adds nothing to the plan"
        # Beside a plan it may be a fee or a meter, which is to grant nothing.
        level: Level = "error" if self.alone or self.kept is not None else "warning"
        what = f"The price {price} is in no plan and no add-on, and {effect}"
        return Finding(
            level, f"{what}, in {counted(self.count, 'subscription')}.", line_to_add(price, self.kept)
        )


async def _live_subscriptions(
    installation: Installation,
) -> AsyncIterator[tuple[list[Any], dict[str, KnownPrice]]]:
    """Pages of live subscriptions, each with what was seen of their prices."""
    columns = (Subscription.id, Subscription.items, Subscription.item_history, Subscription.plan_id)
    live = sql_select(*map(col, columns)).where(col(Subscription.status).in_(LIVE))
    last = None
    while True:
        query = in_key_order(live, [col(Subscription.id)], last).limit(PAGE)
        async with installation.database.reading() as session:
            connection = await session.connection()
            rows = list(await connection.execute(query))
            known = await read_prices(connection, rows)
        yield rows, known
        if len(rows) < PAGE:
            return
        last = [rows[-1].id]


async def users_have_one_subscription(installation: Installation) -> list[Finding]:
    user_id = case(
        (col(Subscription.links).is_(None), col(Customer.user_id)), else_=col(Subscription.user_id)
    )
    query = (
        select(user_id)
        .select_from(Subscription)
        .join(Customer, col(Subscription.customer_id) == col(Customer.id), isouter=True)
        .where(col(Subscription.status).in_(LIVE), user_id.is_not(None))
        .group_by(user_id)
        .having(func.count() > 1)
        .order_by(user_id)
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
    unlinked = unlinked_customers(
        col(Subscription.status).in_(LIVE), func.coalesce(col(Subscription.start_date), 0) <= before
    ).subquery()
    query = (
        select(unlinked.c.customer_id)
        .join(Customer, col(Customer.id) == unlinked.c.customer_id, isouter=True)
        .where(unlinked.c.customer_id.is_not(None), col(Customer.deleted).is_not(True))
        .order_by(unlinked.c.customer_id)
    )
    async with installation.database.reading() as session:
        customers = [str(customer_id) for customer_id in await session.exec(query)]
    if not customers:
        return []
    return [
        Finding(
            "error",
            f"{counted(len(customers), 'customer')} with a live subscription that is linked to no user: "
            f"{named(customers)}. They pay and get nothing.",
            'PUT /internal/customers/{customer_id} with {"user_id": "…"}; for those to come, set '
            f"metadata.{installation.settings.link_metadata_keys[0]} of the subscription, or "
            "client_reference_id in the checkout session.",
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
    found = [] if installation.stripe is not None else await _cut_records(installation)
    remedy = "The running service reads them again; start it, or see its log for why it cannot."
    if installation.stripe is None:
        remedy = "Set STRIPE_API_KEY, with which the service reads them again."
    what = "whose events do not settle what is true now (needs_refresh)"
    return [*found, Finding("warning", f"{counted(len(ids), 'record')} {what}: {named(ids)}.", remedy)]


async def _cut_records(installation: Installation) -> list[Finding]:
    """Subscriptions of which Stripe sent a part: only a key gets the rest."""
    query = (
        select(Subscription).where(col(Subscription.needs_refresh).is_(True)).order_by(col(Subscription.id))
    )
    async with installation.database.reading() as session:
        rows = await session.exec(query)
        ids = [row.id for row in rows if row.cut_invoices or (row.item_history or {}).get("cut")]
    if not ids:
        return []
    return [
        Finding(
            "error",
            f"{counted(len(ids), 'subscription')} of which Stripe sent the first ten items or invoice lines "
            f"alone: {named(ids)}. What is not known of them is left as it was.",
            "Set STRIPE_API_KEY, with which the service fetches the rest.",
        )
    ]


CHECKS = (
    Check("events-mode", "The latest events are of this mode.", events_are_of_the_mode, ("records",)),
    Check("records-mode", "No subscription is of the other mode.", records_are_of_the_mode, ("records",)),
    Check(
        "prices-in-use",
        "Every price in use is in a plan, or ignored.",
        prices_have_plans,
        ("records", "catalogue"),
    ),
    Check(
        "two-subscriptions",
        "No user has two live subscriptions.",
        users_have_one_subscription,
        ("records",),
    ),
    Check("unlinked-customers", "Everybody who pays is linked to a user.", payers_are_linked, ("records",)),
    Check("needs-refresh", "The events settle every record.", records_are_settled, ("records",)),
)
