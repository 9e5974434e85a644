"""What plans are called and cost, in words: the catalogue beside what Stripe shows of prices and products.

Amounts in minor currency units.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ..formatting import decimals_of, money
from .catalogue import Catalogue, Offer, Plan

TIERED: Final = "a price that depends on the quantity"
CUSTOM: Final = "an amount of your choice"


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """What a price costs. `active`: Stripe sells it; None where that is not known."""

    price_id: str
    product_id: str | None = None
    lookup_key: str | None = None
    active: bool | None = None
    currency: str | None = None
    unit_amount: int | None = None
    unit_amount_decimal: str | None = None
    """The amount where it has a fraction of a minor unit."""
    interval: str | None = None
    interval_count: int | None = None
    metered: bool = False
    tiers: str | None = None
    """`graduated` or `volume`, where the amount depends on the quantity."""
    custom: bool = False
    """Whether the customer chooses the amount."""
    divide_by: int | None = None
    """The quantity that one amount pays for, where that is not 1 ("Package pricing")."""

    others: "tuple[PriceTerms, ...]" = ()
    """The same price in its other currencies."""

    @classmethod
    def of(
        cls,
        price_id: str,
        shown: Mapping[str, Any],
        currencies: Mapping[str, Mapping[str, Any]] | None = None,
        **rest: Any,
    ) -> "PriceTerms":
        """From what is kept of a price, or of an item of a subscription.

        `currencies`: the amounts in other currencies.
        """
        known = {name: shown[name] for name in SHOWN if shown.get(name) is not None}
        terms = cls(price_id, **known | rest)
        others = [replace(terms, currency=each, **amount) for each, amount in (currencies or {}).items()]
        return replace(terms, others=tuple(sorted(others, key=lambda other: other.currency or "")))

    @property
    def every(self) -> str | None:
        """How long it buys: `month`, `year`, `3 months`; None for what is paid once."""
        if self.interval is None:
            return None
        count = self.interval_count or 1
        return self.interval if count == 1 else f"{count} {self.interval}s"

    @property
    def text(self) -> str | None:
        """`29.00 EUR a month`; None where the amount is not known."""
        if self.custom:
            return CUSTOM
        if self.tiers:
            return TIERED
        amount = self._amount()
        if amount is None:
            return None
        if self.metered:
            return f"{amount} for each {_counted(self.divide_by, 'unit')} used"
        of = f" for each {self.divide_by}" if (self.divide_by or 1) > 1 else ""
        return f"{amount}{_each(self.interval, self.interval_count)}{of}"

    def _amount(self) -> str | None:
        if self.unit_amount is not None:
            return money(self.unit_amount, self.currency)
        return _fraction(self.unit_amount_decimal, self.currency)


SHOWN: Final = tuple(
    name
    for name in PriceTerms.__dataclass_fields__
    if name not in ("price_id", "product_id", "lookup_key", "others")
)


def _each(interval: str | None, count: int | None) -> str:
    if interval is None:
        return " once"
    return f" a {interval}" if (count or 1) == 1 else f" every {count} {interval}s"


def _counted(number: int | None, noun: str) -> str:
    return noun if (number or 1) == 1 else f"{number:,} {noun}s"


def _fraction(decimal: str | None, currency: str | None) -> str | None:
    """An amount with a fraction of a minor unit: 0.5 of eur as `0.005 EUR`."""
    try:
        minor = Decimal(decimal or "")
    except InvalidOperation:
        return None
    if not minor.is_finite() or abs(minor.adjusted()) > 20:
        return None
    major = minor.scaleb(-decimals_of(currency))
    return f"{major.normalize():,f} {(currency or '').upper()}".strip()


class Missing(NamedTuple):
    """What the catalogue lists and nothing is known of."""

    prices: tuple[str, ...]
    lookup_keys: tuple[str, ...]
    products: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pricing:
    """The catalogue's plans with their names and prices."""

    catalogue: Catalogue
    terms: Mapping[str, PriceTerms] = field(default_factory=lambda: MappingProxyType({}))
    """By the price's id."""
    products: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What Stripe calls them, by their ids."""

    def title(self, offer: Offer) -> str:
        """What people call it: its name in the catalogue, else its product's at Stripe, else its id."""
        if offer.name is not None:
            return offer.name
        listed = [terms.product_id or "" for terms in self._of(offer)]
        named = [self.products[id] for id in (*offer.products, *listed) if id in self.products]
        return named[0] if named else offer.id

    def plan_title(self, plan_id: str | None) -> str | None:
        """What people call the plan; None for none."""
        plan = self.catalogue.plans.get(plan_id) if plan_id is not None else None
        return plan_id if plan is None else self.title(plan)

    def sold_at(self, offer: Offer) -> tuple[PriceTerms, ...]:
        """What it can be bought at: of each interval and currency the first, in the order of the file.

        A price in several currencies is one of each.
        """
        if not offer.sold:
            return ()
        first: dict[tuple[str | None, str | None, bool], PriceTerms] = {}
        for terms in self._of(offer):
            if terms.active and offer.sells(terms.price_id):
                for each in (terms, *terms.others):
                    first.setdefault((each.every, each.currency, each.metered), each)
        return tuple(first.values())

    def _of(self, offer: Offer) -> Iterable[PriceTerms]:
        """Those that its table lists, by id, by lookup key, by product."""
        yield from (self.terms[price] for price in offer.prices if price in self.terms)
        known = sorted(self.terms.values(), key=lambda terms: terms.price_id)
        for key in offer.lookup_keys:
            yield from (terms for terms in known if terms.lookup_key == key)
        for product in offer.products:
            yield from (
                terms for terms in known if terms.product_id == product and self._is_free(terms, offer)
            )

    def _is_free(self, terms: PriceTerms, offer: Offer) -> bool:
        """Whether no other table lists the price by its id or lookup key, which come before its product."""
        keys = (terms.lookup_key,) if terms.lookup_key else ()
        return self.catalogue.owner_of(terms.price_id, keys, terms.product_id) is offer

    def text(self, offer: Offer | None, terms: PriceTerms, quantity: int | None = None) -> str:
        """`Team, 3 × 29.00 EUR a month`: the name alone where the amount is not known."""
        name = self.title(offer) if offer is not None else self.products.get(terms.product_id or "")
        times = f"{quantity:,} × " if quantity is not None and quantity > 1 else ""
        amount = f"{times}{terms.text}" if terms.text else times.removesuffix(" × ")
        return ", ".join(part for part in (name, amount) if part) or "a price without a name"

    def missing(self) -> Missing:
        """What to ask Stripe for."""
        offers: list[Offer] = [*self.catalogue.plans.values(), *self.catalogue.addons.values()]
        keys = {terms.lookup_key for terms in self.terms.values()}
        owned = {terms.product_id for terms in self.terms.values()}
        nameless = [terms for offer in offers if offer.name is None for terms in self._of(offer)]
        return Missing(
            (
                *(id for offer in offers for id in offer.prices if id not in self.terms),
                *(terms.price_id for terms in nameless if terms.product_id not in self.products),
            ),
            tuple(key for offer in offers for key in offer.lookup_keys if key not in keys),
            tuple(id for offer in offers for id in offer.products if id not in owned),
        )

    def from_price(self, plan: Plan, currency: str | None = None) -> PriceTerms | None:
        """What advice names: the first price of a plan, in the currency where one is asked for."""
        sold = self.sold_at(plan)
        own = [terms for terms in sold if currency is not None and terms.currency == currency]
        return next(iter(own or sold), None)
