"""Fetches what the plans of the catalogue cost, and what Stripe calls their products.

Events say what changes. A price that was there before the first event is fetched when somebody first asks for
it, and all are fetched again once an hour. What is known already is not written again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from ..backoff import has_come
from ..concurrency import run_all
from ..db import Database
from ..db.models import Price, Product
from ..errors import NotFound, ServiceError
from ..plans import Catalogue, Missing, Offer, Pricing
from ..stripe.client import Answer, StripeApi, promptly
from ..stripe.objects import as_id
from ..stripe.paths import PATHS, segment
from ..stripe.price_values import currency_values, current_lookup_key, price_values, product_values
from .objects import StripeObjects

log = structlog.get_logger(__name__)

HOUR = 3600
ASK_AGAIN_SECONDS = 300
"""How long Stripe is not asked again for what it does not have, or did not answer."""
KEYS_AT_ONCE = 10
"""Of lookup keys, by "List all prices"."""

CURRENCIES = "currency_options"
"""Shown only where it is asked for ("Expanding Responses")."""
LISTED = ["data.product", f"data.{CURRENCIES}"]

Json = dict[str, Any]


class PriceFetches:
    """Fetches prices and their products, and applies them. `clock` gives Unix seconds."""

    def __init__(
        self,
        database: Database,
        objects: StripeObjects,
        api: StripeApi,
        *,
        catalogue: Catalogue,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._objects = objects
        self._api = api
        self._catalogue = catalogue
        self._clock = clock
        self._asked: dict[str, float] = {}
        """When Stripe was asked last for what was missing."""
        self._fetched_at = clock()
        self._one_at_a_time = asyncio.Lock()

    async def fetch_missing(self, pricing: Pricing) -> bool:
        """Ask Stripe for what the catalogue lists and nothing is known of; whether anything was asked.

        Without an answer the amounts stay unknown, and are asked for again some minutes later.
        """
        async with self._one_at_a_time:
            wanted = self._not_asked(pricing.missing())
            if not any(wanted):
                return False
            try:
                await promptly(self._fetch(wanted))
            except ServiceError as error:
                log.warning("prices_not_fetched", error=error.detail)
            return True

    async def refresh_when_due(self) -> None:
        """Fetch all prices again where that was an hour ago.

        Raises:
            StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
        """
        if has_come(self._fetched_at + HOUR, self._clock(), within=2 * HOUR):
            await self.fetch_all()

    async def fetch_all(self) -> None:
        """Fetch every price that the catalogue lists.

        Raises:
            StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
        """
        self._fetched_at = self._clock()
        offers: list[Offer] = [*self._catalogue.plans.values(), *self._catalogue.addons.values()]
        await self._fetch(
            Missing(
                tuple(price for offer in offers for price in (*offer.prices, *offer.unsold_prices)),
                tuple(key for offer in offers for key in offer.lookup_keys),
                tuple(product for offer in offers for product in offer.products),
            )
        )

    def _not_asked(self, missing: Missing) -> Missing:
        now = self._clock()

        def fresh(names: Sequence[str]) -> tuple[str, ...]:
            return tuple(
                name
                for name in names
                if name not in self._asked
                or has_come(self._asked[name] + ASK_AGAIN_SECONDS, now, within=ASK_AGAIN_SECONDS)
            )

        wanted = Missing(*(fresh(names) for names in missing))
        self._asked |= dict.fromkeys((name for names in wanted for name in names), now)
        return wanted

    async def _fetch(self, wanted: Missing) -> None:
        work: list[Coroutine[Any, Any, None]] = [self._fetch_price(price) for price in wanted.prices]
        keys = wanted.lookup_keys
        work += [self._fetch_keys(keys[at : at + KEYS_AT_ONCE]) for at in range(0, len(keys), KEYS_AT_ONCE)]
        work += [self._fetch_product(product) for product in wanted.products]
        await run_all(work)

    async def _fetch_price(self, price_id: str) -> None:
        try:
            answer = await self._api.get(
                PATHS["price"].format(segment(price_id)), expand=["product", CURRENCIES]
            )
        except NotFound:
            return  # `doctor` says so
        await self._apply([answer])

    async def _fetch_keys(self, keys: Sequence[str]) -> None:
        listed = self._api.pages("/v1/prices", lookup_keys=list(keys), expand=LISTED)
        await self._apply([each async for each in _each(listed)])

    async def _fetch_product(self, product_id: str) -> None:
        listed = self._api.pages("/v1/prices", product=product_id, active=True, expand=LISTED)
        await self._apply([each async for each in _each(listed)])

    async def _apply(self, prices: Iterable[Answer]) -> None:
        """Apply prices, with their products expanded."""
        objects: dict[str, tuple[str, Answer]] = {}
        for answer in prices:
            product = answer.content.get("product")
            objects[str(answer.content["id"])] = ("price.updated", _bare(answer))
            if isinstance(product, dict) and (product_id := as_id(product)):
                step = "product.deleted" if product.get("deleted") is True else "product.updated"
                objects[product_id] = (step, replace(answer, content=product))
        changed = await self._changed(objects)
        await run_all(self._objects.apply_object(*objects[id]) for id in changed)

    async def _changed(self, objects: dict[str, tuple[str, Answer]]) -> list[str]:
        """Those that are not stored as Stripe shows them."""
        changed = []
        async with self._database.reading() as session:
            for id, (event_type, answer) in objects.items():
                if event_type.startswith("price."):
                    price = await session.get(Price, id)
                    same = price is not None and _is_known(price, answer.content)
                else:
                    product = await session.get(Product, id)
                    deleted = event_type == "product.deleted"
                    values = product_values(answer.content, deleted=deleted)
                    same = product is not None and all(
                        getattr(product, name) == value for name, value in values.items()
                    )
                if not same:
                    changed.append(id)
        return changed


def _is_known(price: Price, content: Json) -> bool:
    """Whether the price is stored as Stripe shows it."""
    known, currencies = (price.shown, price.lookup_key), currency_values(content)
    is_same = known == (price_values(content), current_lookup_key(content))
    return is_same and currencies in (None, price.currencies)


async def _each(pages: AsyncIterator[Answer]) -> AsyncIterator[Answer]:
    async for page in pages:
        for content in page.content["data"]:
            yield replace(page, content=content)


def _bare(answer: Answer) -> Answer:
    """The price with the id of its product, as events have it."""
    product = answer.content.get("product")
    return replace(answer, content=answer.content | {"product": as_id(product)})
