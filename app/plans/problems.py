"""What is wrong between the tables of `plans.toml`, each of which is right by itself."""

from collections.abc import Iterator, Mapping

from .catalogue import Feature
from .credits import CreditsTable, read_pack
from .schema import PRICE_KEYS, AccessTable, CatalogueFile, IgnoredTable, LimitTable, OfferTable

Problem = tuple[str, str]
"""Where in the file, and what is wrong and what to do."""


def find_problems(tables: CatalogueFile, features: Mapping[str, Feature]) -> Iterator[Problem]:
    """All of them, each with its remedy."""
    yield from _problems_of_default(tables)
    for name, offer in offers(tables):
        yield from _problems_of_limits(name, offer, features)
        yield from _problems_of_sale(name, offer, tables.access)
    for name, plan in tables.plans.items():
        yield from _problems_of_quantity(name, plan)
    for name, addon in tables.addons.items():
        yield from _problems_of_addon(name, addon, features)
    for name, credits in tables.credits.items():
        yield from _problems_of_credits(name, credits, features)
    for name, addon in tables.addons.items():
        if addon.once is not None:
            yield f"addon {name!r}, key 'once'", "is for plans; what is bought once beside one is [credits]"
    yield from _problems_of_prices(tables)


def _problems_of_credits(
    name: str, credits: CreditsTable, features: Mapping[str, Feature]
) -> Iterator[Problem]:
    if not credits.amounts:
        yield f"credits {name!r}", "gives nothing: write a feature and its amount, such as api_calls = 100"
    if not (credits.prices or credits.lookup_keys):
        yield f"credits {name!r}, key 'prices'", "is missing: list the one-time Stripe price that buys it"
    for key, raw in credits.amounts.items():
        where = f"credits {name!r}, key {key!r}"
        if key not in features:
            known = ", ".join(features) or "none"
            yield where, f"is no feature: add it to [features], or use one of {known}"
        elif features[key].kind not in ("allocated", "consumable"):
            yield where, f"is {features[key].kind}: credits are of allocated and consumable features"
        else:
            try:
                read_pack(raw)
            except ValueError as error:
                yield where, str(error)


def _problems_of_default(tables: CatalogueFile) -> Iterator[Problem]:
    default = tables.default_plan
    if default is not None and default not in tables.plans:
        names = ", ".join(tables.plans)
        yield "key 'default_plan'", f"there is no plan {default!r}: name one of {names}, or leave it out"


def _problems_of_quantity(name: str, plan: OfferTable) -> Iterator[Problem]:
    if (plan.min_quantity or 1) > 1 and not any(limit.per_unit for limit in plan.limits.values()):
        yield (
            f"plan {name!r}, key 'min_quantity'",
            "would be paid for what one gives: set per_unit for a limit, or remove min_quantity",
        )


def offers(tables: CatalogueFile) -> Iterator[tuple[str, OfferTable]]:
    """Plans and add-ons, each with what messages call it."""
    yield from ((f"plan {name!r}", plan) for name, plan in tables.plans.items())
    yield from ((f"addon {name!r}", addon) for name, addon in tables.addons.items())


def _problems_of_limits(name: str, offer: OfferTable, features: Mapping[str, Feature]) -> Iterator[Problem]:
    for written, key, limit in offer.written_limits():
        where = f"{name}, key {written!r}"
        if key not in features:
            known = ", ".join(features) or "none"
            yield where, f"is no feature: add it to [features], or use one of {known}"
        else:
            yield from ((where, problem) for problem in _problems_of_limit(features[key], limit))


def _problems_of_sale(name: str, offer: OfferTable, access: AccessTable) -> Iterator[Problem]:
    least, most = offer.min_quantity, offer.max_quantity
    if least is not None and most is not None and least > most:
        yield f"{name}, key 'min_quantity'", f"is greater than max_quantity ({most}): correct one of them"
    if offer.trial and "trialing" in access.model_fields_set and access.trialing.level != "limited":
        yield (
            f"{name}, key 'trial'",
            f'has no effect while [access] has trialing = "{access.trialing.level}": '
            'write "limited" there, or remove this table',
        )


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


def _problems_of_addon(name: str, addon: OfferTable, features: Mapping[str, Feature]) -> Iterator[Problem]:
    if addon.trial_days is not None:
        yield (
            f"addon {name!r}, key 'trial_days'",
            "is for plans, as whole subscriptions have trials: remove it",
        )
    if not (addon.prices or addon.all_lookup_keys or addon.products or addon.unsold_prices):
        yield f"addon {name!r}, key 'prices'", "is missing: list the Stripe price ids that buy this add-on"
    for written, key, limit in addon.written_limits():
        where = f"addon {name!r}, key {written!r}"
        if limit.per_unit:
            yield where, "an add-on always counts times its quantity: remove per_unit"
        if key in features and features[key].type == "text":
            yield where, "a text cannot add to another: give each text in a plan of its own"


def _problems_of_prices(tables: CatalogueFile) -> Iterator[Problem]:
    """Each price, lookup key and product has one owner: else the file's order would decide what it buys."""
    for key in PRICE_KEYS:
        owners: dict[str, str] = {}
        listing: list[tuple[str, OfferTable | IgnoredTable | CreditsTable]] = [
            *offers(tables),
            *((f"credits {name!r}", credits) for name, credits in tables.credits.items()),
            ("[ignored]", tables.ignored),
        ]
        for name, table in listing:
            for listed, price in _listed(table, key):
                if price in owners:
                    yield (
                        f"{name}, key {listed!r}",
                        f"{price} is in {owners[price]} already: leave it in one place",
                    )
                owners.setdefault(price, name)


def _listed(table: OfferTable | IgnoredTable | CreditsTable, key: str) -> Iterator[tuple[str, str]]:
    """What the table lists under the key; prices that are sold and those that are not are one kind."""
    yield from ((key, price) for price in getattr(table, key, ()))
    if key == "lookup_keys" and isinstance(table, OfferTable):
        yield from (("price", price.lookup_key) for price in table.price)
    if key == "prices" and isinstance(table, OfferTable):
        yield from (("unsold_prices", price) for price in table.unsold_prices)
