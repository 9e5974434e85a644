"""Read what was seen of prices: with it, the catalogue finds the plan of a price."""

from collections.abc import Collection, Iterable
from types import MappingProxyType
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from ..db.models import Price, Product, table_of
from ..plans import Catalogue, KnownPrice, Offer, PriceList, PriceTerms, Pricing, price_ids
from ..stripe.schedules import scheduled_prices


async def read_prices(connection: AsyncConnection, subscriptions: Iterable[Any]) -> dict[str, KnownPrice]:
    """What was seen of the prices that these subscriptions' records name."""
    return await known_prices(connection, prices_named_by(subscriptions))


def prices_named_by(subscriptions: Iterable[Any]) -> set[str]:
    """The prices of these subscriptions' records, those that they had before and those that are scheduled
    included."""
    rows = list(subscriptions)
    return price_ids_of(rows) | {price for row in rows for price in scheduled_prices(row.schedules)}


def price_ids_of(subscriptions: Iterable[Any]) -> set[str]:
    """The prices that these subscriptions' records have or had: what they give depends on no other."""
    return {price for row in subscriptions for price in price_ids(row.items, row.item_history, row.plan_id)}


async def unmapped_prices(connection: AsyncConnection, catalogue: Catalogue) -> list[str]:
    """The prices that live subscriptions were seen with, and that the catalogue still does not list."""
    query = select(table_of(Price)).where(col(Price.unmapped_at).is_not(None)).order_by(col(Price.id))
    rows = list(await connection.execute(query))
    prices = PriceList(catalogue, {row.id: KnownPrice.of(row.product_id, row.lookup_keys) for row in rows})
    return [row.id for row in rows if prices.is_unmapped(row.id)]


async def read_pricing(
    connection: AsyncConnection, catalogue: Catalogue, held: Collection[str] = ()
) -> Pricing:
    """What the catalogue's plans cost and what Stripe calls them, as far as it is stored.

    `held`: the ids of further prices, such as those that a user pays.
    """
    offers: list[Offer] = [*catalogue.plans.values(), *catalogue.addons.values()]
    ids = {price for offer in offers for price in (*offer.prices, *offer.unsold_prices)} | set(held)
    keys = {key for offer in offers for key in offer.lookup_keys}
    products = {product for offer in offers for product in offer.products}
    listed = or_(col(Price.id).in_(ids), col(Price.lookup_key).in_(keys), col(Price.product_id).in_(products))
    query = select(table_of(Price)).where(listed, col(Price.shown_at).is_not(None))
    terms = {
        row.id: PriceTerms.of(
            row.id, row.shown or {}, row.currencies, product_id=row.product_id, lookup_key=row.lookup_key
        )
        for row in await connection.execute(query)
    }
    named = {*products, *(each.product_id for each in terms.values() if each.product_id)}
    table = table_of(Product)
    names = select(table).where(table.c.id.in_(named), table.c.name.is_not(None))
    found = {row.id: row.name for row in await connection.execute(names)} if named else {}
    return Pricing(catalogue, MappingProxyType(terms), MappingProxyType(found))


async def known_prices(connection: AsyncConnection, ids: Collection[str]) -> dict[str, KnownPrice]:
    """What was seen of these prices."""
    if not ids:
        return {}
    query = select(table_of(Price)).where(col(Price.id).in_(ids))
    return {row.id: KnownPrice.of(row.product_id, row.lookup_keys) for row in await connection.execute(query)}
