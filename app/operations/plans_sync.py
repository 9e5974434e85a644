"""`plans pull` and `plans push`: one catalogue file for every Stripe account, through lookup keys.

Push creates what is missing and never changes an amount: a new price takes over the lookup key, and the old
one stays, for those who pay it, and is not sold any more. "Manage products and prices" and "Idempotent
requests" in Stripe's documentation. A push that was killed is run again: it goes on where it was.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tomlkit
from tomlkit.items import AoT, Table

from ..plans import parse_catalogue
from ..plans.at_stripe import (
    DEFAULT,
    FEATURE,
    PLACE,
    REPLACES,
    SETTINGS,
    Wanted,
    WantedPrice,
    pulled,
    wanted_offers,
)
from ..stripe.client import StripeApi

Json = dict[str, Any]
PRODUCTS, PRICES = "/v1/products", "/v1/prices"


@dataclass(frozen=True, slots=True)
class Write:
    """One call to Stripe that changes something, and why."""

    path: str
    params: Json
    why: str

    @property
    def key(self) -> str | None:
        """The idempotency key of a creation, which gives one object however often. A change needs none."""
        if self.path not in (PRODUCTS, PRICES):
            return None
        text = json.dumps([self.path, self.params], sort_keys=True)
        return f"plans-{hashlib.sha256(text.encode()).hexdigest()[:48]}"


@dataclass(slots=True)
class Account:
    """The products and prices of an account."""

    products: list[Json] = field(default_factory=list)
    prices: list[Json] = field(default_factory=list)

    def product_of(self, offer: Wanted) -> Json | None:
        """By its metadata, else by a price or an id that the file names."""
        for product in self.products:
            if product["metadata"].get(offer.kind) == offer.id:
                return product
        owned = {
            price["product"]
            for price in self.prices
            if offer.known_by & {price["id"], price.get("lookup_key") or ""}
        } | offer.known_by
        return next((each for each in self.products if each["id"] in owned), None)

    def price_of(self, lookup_key: str) -> Json | None:
        return next((each for each in self.prices if each.get("lookup_key") == lookup_key), None)

    def price(self, id: str | None) -> Json | None:
        return next((each for each in self.prices if each["id"] == id), None)


async def read_account(api: StripeApi) -> Account:
    """All products and prices, archived ones included.

    Raises:
        StripeRefused, StripeUnavailable: as `StripeApi.get`.
    """
    products = [each async for page in api.pages(PRODUCTS) for each in page.content["data"]]
    prices = [each async for page in api.pages(PRICES) for each in page.content["data"]]
    return Account(products, prices)


async def push(
    api: StripeApi, text: str, *, apply: bool, on_write: Callable[[Write], None] = lambda write: None
) -> int:
    """Make the account have what a plans file says; how many writes that takes. With `apply` they are made.

    `on_write` receives each before it is made.

    Raises:
        ConfigurationError: when the file is no catalogue.
        InvalidRequest: when something of it does not fit into Stripe's metadata.
        StripeRefused, StripeUnavailable: as `StripeApi.post`. What was written stays; run it again.
    """
    parse_catalogue(text, "the plans file")
    account, writes = await read_account(api), 0
    for offer in wanted_offers(tomlkit.parse(text).unwrap()):
        product = account.product_of(offer)
        for write in _writes_of_product(offer, product):
            on_write(write)
            writes += 1
            if apply:
                product = (await api.post(write.path, key=write.key, **write.params)).content
        product_id = product["id"] if product else f"the product of {offer.id}"
        for price in offer.prices:
            writes += await _push_price(api, account, offer, price, product_id, product, apply, on_write)
    return writes


async def _push_price(
    api: StripeApi,
    account: Account,
    offer: Wanted,
    wanted: WantedPrice,
    product_id: str,
    product: Json | None,
    apply: bool,
    on_write: Callable[[Write], None],
) -> int:
    made: Json | None = None
    writes = 0
    for build in _steps_of_price(account, offer, wanted, product_id, product):
        write = build(made)
        if write is None:
            continue
        on_write(write)
        writes += 1
        if apply:
            content = (await api.post(write.path, key=write.key, **write.params)).content
            made = content if write.path == PRICES else made
    return writes


def _writes_of_product(offer: Wanted, product: Json | None) -> Iterator[Write]:
    described = {"description": offer.description} if offer.description else {}
    if product is None:
        params = {"name": offer.name or offer.id, "metadata": offer.metadata} | described
        yield Write(PRODUCTS, params, f"create the product of {offer.kind} {offer.id}")
        return
    changes: Json = {}
    if offer.name and product["name"] != offer.name:
        changes["name"] = offer.name
    if offer.description and product.get("description") != offer.description:
        changes["description"] = offer.description
    metadata = _changed_metadata(offer.metadata, product["metadata"])
    if metadata:
        changes["metadata"] = metadata
    if changes:
        names = ", ".join(sorted({*changes} - {"metadata"} | metadata.keys()))
        yield Write(f"{PRODUCTS}/{product['id']}", changes, f"update {names} of {offer.kind} {offer.id}")


def _changed_metadata(wanted: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """What to set; and what an earlier push set and the file no longer has, which an empty text removes."""
    changed = {key: value for key, value in wanted.items() if known.get(key) != value}
    declared = {key for key in known if key.startswith(FEATURE)}
    ours = declared | {key.removeprefix(FEATURE) for key in declared} | SETTINGS | {DEFAULT}
    gone = {key: "" for key in ours if key in known and key not in wanted}
    return changed | gone


Step = Callable[[Json | None], Write | None]
"""Gives a write, from the price that an earlier step made, if any."""


def _steps_of_price(
    account: Account, offer: Wanted, wanted: WantedPrice, product_id: str, product: Json | None
) -> Sequence[Step]:
    current = account.price_of(wanted.lookup_key)
    if current is not None and _is_same(current, wanted):
        old = account.price((current.get("metadata") or {}).get(REPLACES))
        return [
            lambda _: _update(current, wanted),
            lambda _: _default(product, old, current),
            lambda _: _archive(old, wanted),
        ]
    return [
        lambda _: _create(offer, wanted, product_id, current),
        lambda made: _default(product, current, made),
        lambda _: _archive(current, wanted),
    ]


def _is_same(price: Json, wanted: WantedPrice) -> bool:
    recurring = price.get("recurring") or {}
    terms = (price.get("unit_amount"), price["currency"])
    every = (recurring.get("interval"), recurring.get("interval_count", 1))
    return terms == (wanted.amount, wanted.currency) and every == (wanted.interval, wanted.interval_count)


def _create(offer: Wanted, wanted: WantedPrice, product_id: str, current: Json | None) -> Write:
    metadata = {PLACE: str(wanted.place)}
    params: Json = {
        "product": product_id,
        "unit_amount": wanted.amount,
        "currency": wanted.currency,
        "recurring": {"interval": wanted.interval, "interval_count": wanted.interval_count},
        "lookup_key": wanted.lookup_key,
        "metadata": metadata,
    }
    why = f"create the price {wanted.lookup_key} of {offer.id}: {wanted.amount} {wanted.currency}"
    if current is not None:
        metadata[REPLACES] = current["id"]
        params["transfer_lookup_key"] = True
        why += f", which takes the lookup key over from {current['id']}"
    return Write(PRICES, params, why)


def _update(price: Json, wanted: WantedPrice) -> Write | None:
    changes: Json = {}
    if not price["active"]:
        changes["active"] = True
    if (price.get("metadata") or {}).get(PLACE) != str(wanted.place):
        changes["metadata"] = {PLACE: str(wanted.place)}
    if not changes:
        return None
    return Write(f"{PRICES}/{price['id']}", changes, f"update the price {wanted.lookup_key}")


def _default(product: Json | None, old: Json | None, new: Json | None) -> Write | None:
    """Stripe archives no price that is its product's default."""
    if product is None or old is None or product.get("default_price") != old["id"]:
        return None
    id = new["id"] if new is not None else "the new price"
    return Write(f"{PRODUCTS}/{product['id']}", {"default_price": id}, f"make {id} the default price")


def _archive(old: Json | None, wanted: WantedPrice) -> Write | None:
    if old is None or not old["active"]:
        return None
    return Write(
        f"{PRICES}/{old['id']}",
        {"active": False, "metadata": {"sold": "false"}},
        f"mark {old['id']} as not sold: it was {wanted.lookup_key}, and stays for those who pay it",
    )


async def pull(api: StripeApi, base: str | None) -> str:
    """A plans file from the account's products, prices and their metadata.

    `base`: a file that it goes into. What Stripe does not know, and what is the same, stays to the letter.

    Raises:
        ConfigurationError: when what comes of it is no catalogue.
        StripeRefused, StripeUnavailable: as `StripeApi.get`.
    """
    account = await read_account(api)
    content = pulled(account.products, account.prices)
    document = tomlkit.parse(base) if base is not None else tomlkit.document()
    if base is None:
        document.add(
            tomlkit.comment("From the products and prices at Stripe, by `plans pull`. Check the kinds.")
        )
    if "default_plan" in content and document.get("default_plan") != content["default_plan"]:
        document["default_plan"] = content["default_plan"]
    _merge_features(document, content["features"])
    for name in ("plans", "addons"):
        _merge_offers(document, name, content[name])
    text = tomlkit.dumps(document)
    parse_catalogue(text, "the pulled plans file")
    return text


def _merge_features(document: Any, features: Json) -> None:
    if "features" not in document:
        document["features"] = tomlkit.table()
    for key, table in features.items():
        if key not in document["features"]:
            document["features"][key] = _inline(table)


def _merge_offers(document: Any, name: str, offers: Json) -> None:
    if not offers and (name in document or name == "addons"):
        return
    if name not in document:
        document[name] = tomlkit.table(is_super_table=True)
    for id, table in offers.items():
        if id not in document[name]:
            document[name][id] = tomlkit.table()
        known: Table = document[name][id]
        for key, value in sorted(table.items(), key=lambda each: each[0] == "price"):
            if key in known and _plain(known[key]) == value:
                continue
            known[key] = _array_of_tables(value) if key == "price" else _item(value)


def _plain(item: Any) -> Any:
    return item.unwrap() if hasattr(item, "unwrap") else item


def _item(value: Any) -> Any:
    return _inline(value) if isinstance(value, dict) else value


def _inline(table: Json) -> Any:
    made = tomlkit.inline_table()
    made.update(table)
    return made


def _array_of_tables(prices: Sequence[Json]) -> AoT:
    made = tomlkit.aot()
    for price in prices:
        table = tomlkit.table()
        table.update(price)
        made.append(table)
    return made
