"""How a plans file stands at Stripe: each plan or add-on a product, its limits the product's metadata.

Ids differ between test mode, sandboxes and live mode, so nothing is found by them: a product by its metadata
(`plan = "team"`), a price by its lookup key. Pure: no I/O.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ..errors import InvalidRequest

Json = dict[str, Any]

TABLES: Final = {"plans": "plan", "addons": "addon"}
"""The tables of the file, and the metadata key by which a product says what it is."""
RANK, DEFAULT, FEATURE = "rank", "default_plan", "feature:"
PLACE, REPLACES = "place", "replaces"
OWN_KEYS = frozenset({*TABLES.values(), RANK, DEFAULT})
IDS = ("lookup_keys", "prices", "products", "unsold_prices")
LISTED_APART = frozenset({"name", "description", "price", *IDS})
"""The keys of a plan that are no metadata: members of the product, prices, and ids of one account."""
SETTINGS = frozenset({"sold", "order", "min_quantity", "max_quantity", "trial_days", "trial"})
MAX_KEYS, MAX_KEY_LENGTH, MAX_VALUE_LENGTH = 50, 40, 500
"""Stripe's bounds of metadata ("Metadata")."""
SIZE = re.compile(r"[0-9]+(\.[0-9]+)? ?[kKMGTPE]?i?B")


class WantedPrice(NamedTuple):
    """A price of the file. `amount` in minor currency units."""

    lookup_key: str
    amount: int
    currency: str
    interval: str
    interval_count: int
    place: int


class Wanted(NamedTuple):
    """A plan or an add-on as it is to stand at Stripe."""

    kind: str
    """`plan` or `addon`."""
    id: str
    name: str | None
    description: str | None
    metadata: dict[str, str]
    prices: tuple[WantedPrice, ...]
    known_by: frozenset[str]
    """Lookup keys, price ids and product ids of the file, by which an older product is found."""


def encode(value: Any) -> str:
    """A value of the file as metadata: as people would write it, and unambiguous."""
    if isinstance(value, str) and decode(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> Any:
    """What a value of the metadata stands for."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def wanted_offers(raw: Mapping[str, Any]) -> list[Wanted]:
    """Everything that a plans file wants at Stripe, in its order.

    Raises:
        InvalidRequest: when something does not fit into metadata.
    """
    features: Mapping[str, Json] = raw.get("features", {})
    reserved = sorted(OWN_KEYS & features.keys())
    if reserved:
        raise InvalidRequest(f"The feature {reserved[0]} has a name that the metadata needs: rename it.")
    shared = {
        f"{FEATURE}{key}": json.dumps(dict(table) | {PLACE: place})
        for place, (key, table) in enumerate(features.items())
    }
    found = [
        _wanted(kind, id, table, raw, rank)
        for name, kind in TABLES.items()
        for rank, (id, table) in enumerate(raw.get(name, {}).items())
    ]
    named = set().union(*(each.metadata for each in found))
    unnamed = {key: value for key, value in shared.items() if key.removeprefix(FEATURE) not in named}
    for number, each in enumerate(found):
        theirs = {key: value for key, value in shared.items() if key.removeprefix(FEATURE) in _features(each)}
        each.metadata.update(theirs | (unnamed if number == 0 else {}))
        _check_metadata(each)
    return found


def _features(offer: Wanted) -> set[str]:
    trial = decode(offer.metadata.get("trial", "{}"))
    return {*offer.metadata, *trial} - SETTINGS - OWN_KEYS


def _wanted(kind: str, id: str, table: Json, raw: Mapping[str, Any], rank: int) -> Wanted:
    metadata = {key: encode(value) for key, value in table.items() if key not in LISTED_APART}
    metadata |= {kind: id, RANK: str(rank)}
    if kind == "plan" and raw.get("default_plan") == id:
        metadata[DEFAULT] = "true"
    prices = tuple(
        WantedPrice(
            each["lookup_key"],
            each["amount"],
            each["currency"],
            each["interval"],
            each.get("interval_count", 1),
            place,
        )
        for place, each in enumerate(table.get("price", []))
    )
    known = (name for key in IDS for name in table.get(key, ()))
    keys = frozenset({*known, *(each.lookup_key for each in prices)})
    return Wanted(kind, id, table.get("name"), table.get("description"), metadata, prices, keys)


def _check_metadata(offer: Wanted) -> None:
    where = f"The {offer.kind} {offer.id}"
    if len(offer.metadata) > MAX_KEYS:
        raise InvalidRequest(f"{where} has more than {MAX_KEYS} keys: Stripe's metadata takes no more.")
    for key, value in offer.metadata.items():
        if len(key) > MAX_KEY_LENGTH or len(value) > MAX_VALUE_LENGTH:
            raise InvalidRequest(
                f"{where}, key {key!r}: Stripe takes keys of {MAX_KEY_LENGTH} characters and values "
                f"of {MAX_VALUE_LENGTH}. Shorten it."
            )


def pulled(products: Sequence[Json], prices: Iterable[Json]) -> Json:
    """A plans file's content from all products and prices of an account."""
    by_product: dict[str, list[Json]] = {}
    for price in prices:
        by_product.setdefault(str(price["product"]), []).append(price)
    chosen = [each for each in products if _is_offer(each, by_product.get(each["id"], []))]
    ordered = sorted(chosen, key=lambda each: _rank(each, by_product.get(each["id"], [])))
    content: Json = {"features": _pulled_features(ordered), "plans": {}, "addons": {}}
    for product in ordered:
        kind, id = _name_of(product, content)
        table = _pulled_offer(product, id, by_product.get(product["id"], []), content["features"])
        content["addons" if kind == "addon" else "plans"][id] = table
        if product["metadata"].get(DEFAULT) == "true":
            content = {"default_plan": id} | content
    return content


def _is_offer(product: Json, prices: Sequence[Json]) -> bool:
    """Whether the product is one of ours, or is sold by subscription."""
    marked = not product["metadata"].keys().isdisjoint(TABLES.values())
    return marked or (bool(product["active"]) and any(each.get("recurring") for each in prices))


def _rank(product: Json, prices: Sequence[Json]) -> tuple[Any, ...]:
    """As the file had them; products that no push has made by what they cost."""
    rank = product["metadata"].get(RANK, "")
    amounts = [each["unit_amount"] for each in prices if each["active"] and each["unit_amount"] is not None]
    return (0, int(rank)) if rank.isdecimal() else (1, min(amounts, default=0), product["id"])


def _name_of(product: Json, content: Json) -> tuple[str, str]:
    metadata = product["metadata"]
    for kind in TABLES.values():
        if metadata.get(kind):
            return kind, str(metadata[kind])
    slug = re.sub(r"[^a-z0-9]+", "_", str(product["name"]).lower()).strip("_") or "plan"
    taken = {*content["plans"], *content["addons"]}
    return "plan", next(name for name in _numbered(slug[:80]) if name not in taken)


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def _pulled_features(products: Iterable[Json]) -> Json:
    """The features that the metadata declares, else those that its values look like."""
    declared: dict[str, Json] = {}
    guessed: dict[str, Json] = {}
    for product in products:
        for key, text in product["metadata"].items():
            if key.startswith(FEATURE) and isinstance(decode(text), dict):
                declared[key.removeprefix(FEATURE)] = decode(text)
            elif _is_limit(key, decode(text)):
                kind = "boolean" if isinstance(decode(text), bool) else "allocated"
                guessed.setdefault(key, {"kind": kind})
    placed = sorted(declared, key=lambda key: declared[key].get(PLACE, 0))
    known = {key: {name: value for name, value in declared[key].items() if name != PLACE} for key in placed}
    return known | {key: table for key, table in guessed.items() if key not in known}


def _is_limit(key: str, value: Any) -> bool:
    """Whether an undeclared value is a limit: a number, a size, a flag or "unlimited", and no note."""
    if key in OWN_KEYS | SETTINGS or not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", key):
        return False
    return isinstance(value, bool | int) or (
        isinstance(value, str) and (value == "unlimited" or SIZE.fullmatch(value) is not None)
    )


def _pulled_offer(product: Json, id: str, prices: Sequence[Json], features: Json) -> Json:
    table: Json = {}
    if product["name"] != id:
        table["name"] = product["name"]
    if product.get("description"):
        table["description"] = product["description"]
    places = {price["id"]: str((price.get("metadata") or {}).get(PLACE, "")) for price in prices}
    ordered = sorted(
        (each for each in prices if each.get("recurring")),
        key=lambda each: (
            int(places[each["id"]]) if places[each["id"]].isdecimal() else 10**6,
            each["created"],
            each["id"],
        ),
    )
    by_amount = [each for each in ordered if each.get("lookup_key") and _is_plain(each)]
    table["price"] = [_pulled_price(each) for each in by_amount]
    keyed = [each["lookup_key"] for each in ordered if each.get("lookup_key") and not _is_plain(each)]
    ids = [each["id"] for each in ordered if not each.get("lookup_key") and each["active"]]
    table |= {"lookup_keys": keyed, "prices": ids}
    metadata = product["metadata"]
    table |= {key: decode(text) for key, text in metadata.items() if key in features or key in SETTINGS}
    return {key: value for key, value in table.items() if value != []}


def _is_plain(price: Json) -> bool:
    """Whether an amount says all of it: tiers and usage are set up at Stripe."""
    licensed = (price["recurring"] or {}).get("usage_type", "licensed") == "licensed"
    return bool(price["active"]) and price.get("unit_amount") is not None and licensed


def _pulled_price(price: Json) -> Json:
    recurring = price["recurring"]
    found = {
        "lookup_key": price["lookup_key"],
        "amount": price["unit_amount"],
        "currency": price["currency"],
        "interval": recurring["interval"],
    }
    count = recurring.get("interval_count", 1)
    return found if count == 1 else found | {"interval_count": count}
