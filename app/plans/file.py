"""`plans.toml`: read and checked at start. Every error names file, plan and key, and the remedy."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import ConfigurationError
from .access import LIMITED, AccessPolicy
from .catalogue import Addon, Catalogue, ChangePolicy, Feature, Ignored, Limit, Plan
from .credits import CreditsTable, read_pack
from .problems import Problem, find_problems, offers
from .schema import (
    BY_CAUSE,
    PRICE_KEYS,
    AccessTable,
    CatalogueFile,
    ChangesTable,
    FeatureTable,
    IgnoredTable,
    LimitTable,
    OfferTable,
    OverLimitTable,
    PriceTable,
)
from .values import Type, Value, read_static, type_of

_TABLES: dict[str, tuple[str, type[BaseModel]]] = {
    "features": ("feature", FeatureTable),
    "plans": ("plan", LimitTable),
    "addons": ("addon", LimitTable),
    "credits": ("credits", CreditsTable),
}
_SECTIONS: dict[str, type[BaseModel]] = {
    "access": AccessTable,
    "ignored": IgnoredTable,
    "over_limit": OverLimitTable,
    "changes": ChangesTable,
}
_SHOWN = ("name", "description", "order")
"""What a pricing page shows of features, plans and add-ons alike."""


def load_catalogue(path: str | Path) -> Catalogue:
    """Read the plan catalogue.

    Raises:
        ConfigurationError: listing everything that is wrong with the file.
    """
    return parse_catalogue(_read(path), path)


def parse_catalogue(text: str, name: str | Path) -> Catalogue:
    """Read a plan catalogue from the text of its file; `name` is what errors call it.

    Raises:
        ConfigurationError: listing everything that is wrong with it.
    """
    path = name
    try:
        tables = CatalogueFile.model_validate(_parse(text, path))
    except ValidationError as error:
        raise _unusable(path, [_explain(problem) for problem in error.errors(include_url=False)]) from None
    features = _features(tables)
    problems = list(find_problems(tables, features))
    if problems:
        raise _unusable(path, problems)
    return replace(_catalogue(tables, features), source=text)


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise _unusable(path, [("encoding", "is not UTF-8: save the file as UTF-8")]) from None
    except OSError as error:
        remedy = "set PLANS_FILE to the plan catalogue (an example, plans.toml, ships with this service)"
        raise _unusable(path, [("file", f"cannot be read ({error.strerror}): {remedy}")]) from None


def _parse(text: str, path: str | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # a number of thousands of digits is not a TOMLDecodeError
        end = f"at line {text.count(chr(10)) + 1}, the end of the document"
        reason = str(error).replace("at end of document", end)
        raise _unusable(path, [("TOML", f"{reason}: correct the syntax there")]) from None


def _features(tables: CatalogueFile) -> dict[str, Feature]:
    return {
        key: Feature(
            key,
            table.kind,
            table.reset,
            _type(key, table, tables),
            table.anchor,
            unit=table.unit,
            position=position,
            **_shown(table),
        )
        for position, (key, table) in enumerate(tables.features.items())
    }


def _shown(table: FeatureTable | OfferTable) -> dict[str, Any]:
    return {key: getattr(table, key) for key in _SHOWN}


def _type(key: str, table: FeatureTable, tables: CatalogueFile) -> Type:
    """Of a static feature: the type of the first value that a plan writes and that is not "unlimited"."""
    if table.kind != "static":
        return "flag" if table.kind == "boolean" else "number"
    written = [
        limit for _, offer in offers(tables) for _, feature, limit in offer.written_limits() if feature == key
    ]
    for limit in written:
        try:
            value = read_static(limit.limit)
        except ValueError:
            continue
        if value is not None:
            return type_of(value)
    return "number"


def _catalogue(tables: CatalogueFile, features: Mapping[str, Feature]) -> Catalogue:
    plans = {
        name: Plan(
            name,
            position=position,
            trial_days=table.trial_days,
            once=table.once.read() if table.once is not None else None,
            **_bought_with(table),
            **_sale(table, features),
        )
        for position, (name, table) in enumerate(tables.plans.items())
    }
    addons = {
        name: Addon(name, position=position, **_bought_with(table), **_sale(table, features))
        for position, (name, table) in enumerate(tables.addons.items())
    }
    return Catalogue(
        features=MappingProxyType(dict(features)),
        plans=MappingProxyType(plans),
        addons=MappingProxyType(addons),
        default_plan=plans[tables.default_plan] if tables.default_plan is not None else None,
        access=_access(tables),
        ignored=Ignored(**_bought_with(tables.ignored)),
        credits=MappingProxyType(
            {name: table.read(name, _amounts(table)) for name, table in tables.credits.items()}
        ),
        changes=ChangePolicy(tables.changes.upgrade, tables.changes.downgrade),
        over_limit_days=tables.over_limit.days,
    )


def _amounts(table: CreditsTable) -> Mapping[str, int]:
    return MappingProxyType({key: read_pack(raw) for key, raw in table.amounts.items()})


def _access(tables: CatalogueFile) -> AccessPolicy:
    """The policy; trials are limited by default where anything has limits for them."""
    policy = tables.access.policy()
    if "trialing" in tables.access.model_fields_set or not any(offer.trial for _, offer in offers(tables)):
        return policy
    return replace(policy, trialing=LIMITED)


def _bought_with(table: OfferTable | IgnoredTable) -> dict[str, Any]:
    """The prices, lookup keys and products of a table."""
    found = {key: tuple(getattr(table, key)) for key in PRICE_KEYS}
    return found | ({"lookup_keys": tuple(table.all_lookup_keys)} if isinstance(table, OfferTable) else {})


def _sale(table: OfferTable, features: Mapping[str, Feature]) -> dict[str, Any]:
    """What is sold, to whom, in which quantity, and what it gives."""
    return _shown(table) | {
        "limits": _limits(table.limits, features),
        "trial": _limits(table.trial, features),
        "unsold_prices": tuple(table.unsold_prices),
        "sold": table.sold,
        "min_quantity": table.min_quantity,
        "max_quantity": table.max_quantity,
    }


def _limits(tables: Mapping[str, LimitTable], features: Mapping[str, Feature]) -> Mapping[str, Limit]:
    return MappingProxyType({key: _limit(features[key], table) for key, table in tables.items()})


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
    model = _SECTIONS.get(location[0]) or _TABLES[location[0]][1]
    if location[0] in ("plans", "addons") and location[2:3] == ["price"]:
        model = PriceTable
    if len(location) > 2 and (inner := BY_CAUSE.get(location[1])) is not None:
        model = inner
    return ", ".join(model.model_fields)


def _unusable(path: str | Path, problems: list[Problem]) -> ConfigurationError:
    lines = [f"  {path}: {where}: {what}." for where, what in problems]
    return ConfigurationError("\n".join(["The plan catalogue cannot be used:", *lines]))
