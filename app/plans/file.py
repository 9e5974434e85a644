"""`plans.toml`: read and checked at start. Every error names file, plan and key, and the remedy."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import ConfigurationError
from .catalogue import Addon, Catalogue, Feature, Ignored, Limit, Plan
from .schema import (
    BY_CAUSE,
    PRICE_KEYS,
    AccessTable,
    CatalogueFile,
    FeatureTable,
    IgnoredTable,
    LimitTable,
    ProductTable,
)
from .values import Type, Value, read_static, type_of

Problem = tuple[str, str]
"""Where in the file, and what is wrong and what to do."""

_TABLES: dict[str, tuple[str, type[BaseModel]]] = {
    "features": ("feature", FeatureTable),
    "plans": ("plan", LimitTable),
    "addons": ("addon", LimitTable),
}


def load_catalogue(path: str | Path) -> Catalogue:
    """Read the plan catalogue.

    Raises:
        ConfigurationError: listing everything that is wrong with the file.
    """
    try:
        tables = CatalogueFile.model_validate(_parse(path))
    except ValidationError as error:
        raise _unusable(path, [_explain(problem) for problem in error.errors(include_url=False)]) from None
    features = _features(tables)
    problems = [*_problems(tables, features), *_problems_of_prices(tables)]
    if problems:
        raise _unusable(path, problems)
    return _catalogue(tables, features)


def _parse(path: str | Path) -> dict[str, Any]:
    try:
        text = Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise _unusable(path, [("encoding", "is not UTF-8: save the file as UTF-8")]) from None
    except OSError as error:
        remedy = "set PLANS_FILE to the plan catalogue (an example, plans.toml, ships with this service)"
        raise _unusable(path, [("file", f"cannot be read ({error.strerror}): {remedy}")]) from None
    try:
        return tomllib.loads(text)
    except ValueError as error:  # a number of thousands of digits is not a TOMLDecodeError
        end = f"at line {text.count(chr(10)) + 1}, the end of the document"
        reason = str(error).replace("at end of document", end)
        raise _unusable(path, [("TOML", f"{reason}: correct the syntax there")]) from None


def _features(tables: CatalogueFile) -> dict[str, Feature]:
    return {
        key: Feature(key, table.kind, table.reset, _type(key, table, tables), table.anchor)
        for key, table in tables.features.items()
    }


def _type(key: str, table: FeatureTable, tables: CatalogueFile) -> Type:
    """Of a static feature: the type of the first value that a plan writes and that is not "unlimited"."""
    if table.kind != "static":
        return "flag" if table.kind == "boolean" else "number"
    for _, product in _products(tables):
        if key in product.limits:
            try:
                value = read_static(product.limits[key].limit)
            except ValueError:
                continue
            if value is not None:
                return type_of(value)
    return "number"


def _products(tables: CatalogueFile) -> Iterator[tuple[str, ProductTable]]:
    yield from ((f"plan {name!r}", plan) for name, plan in tables.plans.items())
    yield from ((f"addon {name!r}", addon) for name, addon in tables.addons.items())


def _problems(tables: CatalogueFile, features: Mapping[str, Feature]) -> Iterator[Problem]:
    """What is wrong between tables, each of which is right by itself."""
    default = tables.default_plan
    if default is not None and default not in tables.plans:
        names = ", ".join(tables.plans)
        yield "key 'default_plan'", f"there is no plan {default!r}: name one of {names}, or leave it out"
    for name, product in _products(tables):
        for key, limit in product.limits.items():
            where = f"{name}, key {key!r}"
            if key not in features:
                known = ", ".join(features) or "none"
                yield where, f"is no feature: add it to [features], or use one of {known}"
            else:
                yield from ((where, problem) for problem in _problems_of_limit(features[key], limit))
    for name, addon in tables.addons.items():
        yield from _problems_of_addon(name, addon, features)


def _problems_of_limit(feature: Feature, table: LimitTable) -> Iterator[str]:
    try:
        value = feature.read(table.limit)
    except ValueError as error:
        yield str(error)
        return
    counted = feature.kind in ("allocated", "consumable")
    for option in ("per_unit", "soft", "warn_at"):
        if getattr(table, option) and not counted:
            yield f"{option} is for allocated and consumable features, this one is {feature.kind}: remove it"
    if counted and table.soft and value == 0:
        yield "0 denies, so soft has no effect: give a limit of at least 1, or remove soft"


def _problems_of_addon(name: str, addon: ProductTable, features: Mapping[str, Feature]) -> Iterator[Problem]:
    if not (addon.prices or addon.lookup_keys or addon.products):
        yield f"addon {name!r}, key 'prices'", "is missing: list the Stripe price ids that buy this add-on"
    for key, limit in addon.limits.items():
        where = f"addon {name!r}, key {key!r}"
        if limit.per_unit:
            yield where, "an add-on always counts times its quantity: remove per_unit"
        if key in features and features[key].type == "text":
            yield where, "a text cannot add to another: give each text in a plan of its own"


def _problems_of_prices(tables: CatalogueFile) -> Iterator[Problem]:
    """Each price, lookup key and product has one owner: else the file's order would decide what it buys."""
    for key in PRICE_KEYS:
        owners: dict[str, str] = {}
        for name, table in [*_products(tables), ("[ignored]", tables.ignored)]:
            for price in getattr(table, key):
                if price in owners:
                    yield (
                        f"{name}, key {key!r}",
                        f"{price} is in {owners[price]} already: leave it in one place",
                    )
                owners.setdefault(price, name)


def _catalogue(tables: CatalogueFile, features: Mapping[str, Feature]) -> Catalogue:
    plans = {
        name: Plan(name, limits=_limits(table, features), position=position, **_bought_with(table))
        for position, (name, table) in enumerate(tables.plans.items())
    }
    addons = {
        name: Addon(name, limits=_limits(table, features), **_bought_with(table))
        for name, table in tables.addons.items()
    }
    return Catalogue(
        features=MappingProxyType(dict(features)),
        plans=MappingProxyType(plans),
        addons=MappingProxyType(addons),
        default_plan=plans[tables.default_plan] if tables.default_plan is not None else None,
        access=tables.access.policy(),
        ignored=Ignored(**_bought_with(tables.ignored)),
        over_limit_days=tables.over_limit.days,
    )


def _bought_with(table: ProductTable | IgnoredTable) -> dict[str, tuple[str, ...]]:
    """The prices, lookup keys and products of a table."""
    return {key: tuple(getattr(table, key)) for key in PRICE_KEYS}


def _limits(product: ProductTable, features: Mapping[str, Feature]) -> Mapping[str, Limit]:
    return MappingProxyType({key: _limit(features[key], table) for key, table in product.limits.items()})


def _limit(feature: Feature, table: LimitTable) -> Limit:
    value: Value = feature.read(table.limit)
    return Limit(value, table.per_unit, table.soft, tuple(sorted(set(table.warn_at))))


def _explain(problem: Any) -> Problem:
    """Where and what, in the words of the file."""
    location = [str(part) for part in problem["loc"] if part != "[key]"]
    what = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        what = f"is not known: correct its name, or remove it (known here: {_known_keys(location)})"
    elif problem["type"] == "missing":
        what = "is missing: add it"
    elif problem["type"] == "string_pattern_mismatch":
        what = "is no usable name: write letters, digits and _ . - only (a price id: no spaces)"
    elif problem["type"] == "literal_error":
        what = f"{what.replace('Input should be', 'is to be exactly one of')}: write that"
    return _place(location), what


def _place(location: list[str]) -> str:
    table, *rest = location
    if table in _TABLES and rest:
        noun, name = _TABLES[table][0], rest.pop(0)
        return f"{noun} {name!r}, key {'.'.join(rest)!r}" if rest else f"{noun} {name!r}"
    return f"[{table}], key {'.'.join(rest)!r}" if rest else f"key {table!r}"


def _known_keys(location: list[str]) -> str:
    if len(location) == 1:
        return ", ".join(CatalogueFile.model_fields)
    model: type[BaseModel] = AccessTable if location[0] == "access" else _TABLES[location[0]][1]
    if len(location) > 2 and (inner := BY_CAUSE.get(location[1])) is not None:
        model = inner
    return ", ".join(model.model_fields)


def _unusable(path: str | Path, problems: list[Problem]) -> ConfigurationError:
    lines = [f"  {path}: {where}: {what}." for where, what in problems]
    return ConfigurationError("\n".join(["The plan catalogue cannot be used:", *lines]))
