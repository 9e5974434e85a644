"""The check of prices that live subscriptions have and nothing in the catalogue lists, not even [ignored]."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy import select as sql_select
from sqlmodel import col

from ..db import Database
from ..db.keyset import in_key_order
from ..db.models import Subscription
from ..limits.prices import known_prices, price_ids_of
from ..plans import Catalogue, HeldItem, KnownPrice, Offer, PriceList, held_items, line_to_add
from .finding import LIVE, MOST, Check, Context, Finding, Level, Scope, counted

PAGE = 1000
IN_USE = {
    "sqlite": text(
        "SELECT DISTINCT json_extract(item.value, '$.price_id') AS price_id, "
        "json_extract(item.value, '$.product_id') AS product_id "
        "FROM billing_subscription AS owner, json_each(owner.items) AS item WHERE owner.status IN :live"
    ),
    "postgresql": text(
        "SELECT DISTINCT item.value ->> 'price_id' AS price_id, item.value ->> 'product_id' AS product_id "
        "FROM billing_subscription AS owner, jsonb_array_elements(owner.items) AS item(value) "
        "WHERE owner.status IN :live"
    ),
}
"""The prices and products of the items of live subscriptions, by the database's dialect."""


@dataclass(slots=True)
class UnmappedPrice:
    """A price that nothing lists, and what it gives in the live subscriptions that have it."""

    id: str
    subscriptions: list[str] = field(default_factory=list)
    alone: int = 0
    """In how many of them no other item gives a plan."""
    kept: Offer | None = None
    """What it still gives to those who had that before it."""

    def add(self, subscription_id: str, item: HeldItem, *, alone: bool) -> None:
        self.subscriptions.append(subscription_id)
        self.alone += alone
        self.kept = self.kept or item.offer

    @property
    def gives(self) -> str:
        return self.kept.id if self.kept is not None else "nothing"

    @property
    def remedy(self) -> str:
        return line_to_add(self.id, self.kept)

    def finding(self) -> Finding:
        if self.kept is not None:
            effect = f"keeps {self.kept.id} for who had it before"
        else:
            effect = "grants no plan" if self.alone else "adds nothing to the plan"
        # Beside a plan it may be a fee or a meter, which is to grant nothing.
        level: Level = "error" if self.alone or self.kept is not None else "warning"
        what = f"The price {self.id} is in no plan and no add-on, and {effect}"
        where = counted(len(self.subscriptions), "subscription")
        title = "A price is in no plan"
        return Finding(level, f"{what}, in {where}.", self.remedy, title, self.subscriptions[:MOST])


async def prices_have_plans(context: Context, scope: Scope | None) -> list[Finding]:
    """One finding for each price, in the order of their ids."""
    assert context.catalogue is not None
    only = None if scope is None else scope.subscriptions
    found = await unmapped_in_use(context.database, context.catalogue, only)
    return [each.finding() for each in found]


async def unmapped_in_use(
    database: Database, catalogue: Catalogue, only: Collection[str] | None = None
) -> list[UnmappedPrice]:
    """The prices of live subscriptions (of those with the ids `only`, if given) that nothing lists."""
    (found,) = await unmapped_in_each(database, [catalogue], only)
    return found


async def unmapped_in_each(
    database: Database, catalogues: Sequence[Catalogue], only: Collection[str] | None = None
) -> list[list[UnmappedPrice]]:
    """What `unmapped_in_use` finds by each of the catalogues, while the subscriptions are read once."""
    found: list[dict[str, UnmappedPrice]] = [{} for _ in catalogues]
    asked = [
        (catalogue, unmapped)
        for catalogue, unmapped in zip(catalogues, found, strict=True)
        if only is not None or await _any_unmapped(database, catalogue)
    ]
    if asked:
        async for rows, known in _live_subscriptions(database, only):
            for catalogue, unmapped in asked:
                _add_unmapped(unmapped, rows, PriceList(catalogue, known))
    return [[unmapped[price] for price in sorted(unmapped)] for unmapped in found]


def _add_unmapped(found: dict[str, UnmappedPrice], rows: Iterable[Any], prices: PriceList) -> None:
    for row in rows:
        held = held_items(row.items, row.item_history, prices)
        alone = not any(each.plan is not None and not each.unmapped for each in held)
        for item in held:
            if item.unmapped and item.price_id:
                found.setdefault(item.price_id, UnmappedPrice(item.price_id)).add(row.id, item, alone=alone)


async def _any_unmapped(database: Database, catalogue: Catalogue) -> bool:
    """Whether there is one: the database lists the prices in use, so that no subscription is read in vain."""
    async with database.reading() as session:
        connection = await session.connection()
        in_use = IN_USE[connection.dialect.name].bindparams(bindparam("live", LIVE, expanding=True))
        rows = list(await connection.execute(in_use))
        prices = PriceList(catalogue)
        missing = {row.price_id for row in rows if prices.is_unmapped(row.price_id, row.product_id)}
        prices = PriceList(catalogue, await known_prices(connection, missing))
    return any(prices.is_unmapped(row.price_id, row.product_id) for row in rows if row.price_id in missing)


async def _live_subscriptions(
    database: Database, only: Collection[str] | None
) -> AsyncIterator[tuple[list[Any], dict[str, KnownPrice]]]:
    """Pages of live subscriptions, each with what was seen of their prices."""
    columns = (
        Subscription.id,
        Subscription.items,
        Subscription.item_history,
        Subscription.plan_id,
        Subscription.schedules,
    )
    live = sql_select(*map(col, columns)).where(col(Subscription.status).in_(LIVE))
    if only is not None:
        live = live.where(col(Subscription.id).in_(only))
    last = None
    while True:
        query = in_key_order(live, [col(Subscription.id)], last).limit(PAGE)
        async with database.reading() as session:
            connection = await session.connection()
            rows = list(await connection.execute(query))
            known = await known_prices(connection, price_ids_of(rows))
        yield rows, known
        if len(rows) < PAGE:
            return
        last = [rows[-1].id]


CHECKS = (
    Check(
        "prices-in-use",
        "Every price in use is in a plan, or ignored.",
        prices_have_plans,
        of_account=True,
        slow=True,
    ),
)
