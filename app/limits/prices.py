"""Read what was seen of prices: with it, the catalogue finds the plan of a price."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from ..db.models import Price, table_of
from ..plans import Catalogue, KnownPrice, PriceList, price_ids


async def read_prices(connection: AsyncConnection, subscriptions: Iterable[Any]) -> dict[str, KnownPrice]:
    """What was seen of the prices of these subscriptions' records, those that they had before included."""
    return await known_prices(connection, price_ids_of(subscriptions))


def price_ids_of(subscriptions: Iterable[Any]) -> set[str]:
    """The prices that these subscriptions' records have or had."""
    return {price for row in subscriptions for price in price_ids(row.items, row.item_history, row.plan_id)}


async def unmapped_prices(connection: AsyncConnection, catalogue: Catalogue) -> list[str]:
    """The prices that live subscriptions were seen with, and that the catalogue still does not list."""
    query = select(table_of(Price)).where(col(Price.unmapped_at).is_not(None)).order_by(col(Price.id))
    rows = list(await connection.execute(query))
    prices = PriceList(catalogue, {row.id: KnownPrice.of(row.product_id, row.lookup_keys) for row in rows})
    return [row.id for row in rows if prices.is_unmapped(row.id)]


async def known_prices(connection: AsyncConnection, ids: Collection[str]) -> dict[str, KnownPrice]:
    """What was seen of these prices."""
    if not ids:
        return {}
    query = select(table_of(Price)).where(col(Price.id).in_(ids))
    return {row.id: KnownPrice.of(row.product_id, row.lookup_keys) for row in await connection.execute(query)}
