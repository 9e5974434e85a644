"""What the stored records say: modes, prices without a plan; and the catalogue's checks of records."""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select as sql_select
from sqlmodel import col, func, select

from ..checks.finding import LIVE, Finding, Level, counted
from ..db.keyset import in_key_order
from ..db.models import Subscription, WebhookEvent
from ..limits.prices import read_prices
from ..plans import HeldItem, KnownPrice, Offer, PriceList, held_items, line_to_add
from .checks import Check, of_catalogue
from .findings import mode_name
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


CHECKS = (
    Check("events-mode", "The latest events are of this mode.", events_are_of_the_mode, ("records",)),
    Check("records-mode", "No subscription is of the other mode.", records_are_of_the_mode, ("records",)),
    Check(
        "prices-in-use",
        "Every price in use is in a plan, or ignored.",
        prices_have_plans,
        ("records", "catalogue"),
    ),
    of_catalogue("two-subscriptions", "records"),
    of_catalogue("unlinked-customers", "records"),
    of_catalogue("needs-refresh", "records"),
    of_catalogue("outdated-rows", "records"),
)
