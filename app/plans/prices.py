"""Which plan or add-on a price buys: the catalogue, asked with all that is known of the price.

A price is found by its id, else by its lookup keys, else by its product. Lookup keys are transferred from an
old price to a new one ("Manage products and prices", transfer lookup keys); a price keeps every key that it
was ever seen with, so that those who pay it keep their plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .catalogue import Addon, Catalogue, Ignored, Offer, Plan


class KnownPrice(NamedTuple):
    """What was seen of a price beside its id."""

    product_id: str | None = None
    lookup_keys: tuple[str, ...] = ()
    """The one that it was given last comes first."""

    @classmethod
    def of(cls, product_id: str | None, lookup_keys: Mapping[str, int]) -> "KnownPrice":
        """From the keys that it was seen with, and when (Unix seconds) it was first."""
        newest = sorted(lookup_keys, key=lambda key: (lookup_keys[key], key), reverse=True)
        return cls(product_id, tuple(newest))


UNKNOWN = KnownPrice()


@dataclass(frozen=True, slots=True)
class PriceList:
    """The catalogue and the known prices. A price that is not among `known` is found by its id alone."""

    catalogue: Catalogue
    known: Mapping[str, KnownPrice] = field(default_factory=dict)

    def offer(self, price_id: str | None, product_id: str | None = None) -> Offer | None:
        """What the price buys; None for one that nothing lists, or that is ignored."""
        found = self.owner(price_id, product_id)
        return None if isinstance(found, Ignored) else found

    def plan(self, price_id: str | None) -> Plan | None:
        """The plan that the price buys."""
        found = self.offer(price_id)
        return found if isinstance(found, Plan) else None

    def addon(self, price_id: str | None) -> Addon | None:
        """The add-on that the price buys."""
        found = self.offer(price_id)
        return found if isinstance(found, Addon) else None

    def is_unmapped(self, price_id: str | None, product_id: str | None = None) -> bool:
        """Whether nothing in the catalogue lists the price, not even `[ignored]`."""
        return price_id is not None and self.owner(price_id, product_id) is None

    def is_sold(self, price_id: str | None, product_id: str | None = None) -> bool:
        """Whether the price can be bought, as far as the catalogue says; Stripe may have archived it."""
        offer = self.offer(price_id, product_id)
        return offer is not None and offer.sells(price_id)

    def owner(self, price_id: str | None, product_id: str | None = None) -> Offer | Ignored | None:
        """What lists the price, `[ignored]` included."""
        if (listed := self.catalogue.owner_of(price_id)) is not None:
            return listed  # most prices are listed by their id
        known = self.known.get(price_id, UNKNOWN) if price_id else UNKNOWN
        return self.catalogue.owner_of(price_id, known.lookup_keys, product_id or known.product_id)


def line_to_add(price_id: str, offer: Offer | None = None) -> str:
    """What to write into the plans file for a price that it does not list; `offer` is what it still gives."""
    if offer is None:
        add = f'Add "{price_id}" to the `prices` of the plan or add-on that it buys'
    else:
        table = "plans" if isinstance(offer, Plan) else "addons"
        prices = ", ".join(f'"{each}"' for each in (*offer.prices, price_id))
        add = f"If it buys {offer.id}, write `prices = [{prices}]` under [{table}.{offer.id}]"
    ignore = f'or, if it is to grant nothing, `prices = ["{price_id}"]` under [ignored]'
    return f"{add}, {ignore}, in the file of PLANS_FILE, and restart."
