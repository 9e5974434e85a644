"""The catalogue as the rest of the service reads it: immutable, and indexed by price."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from ..errors import InvalidRequest, NotFound
from .access import DEFAULT_POLICY, AccessPolicy
from .credits import Credits, Once
from .values import Type, Value, read_amount, read_flag, read_static, type_of

Kind = Literal["boolean", "static", "allocated", "consumable"]
Reset = Literal["period", "day", "month", "year"]
Anchor = Literal["billing"]
OverrideOp = Literal["set", "add", "remove"]


@dataclass(frozen=True, slots=True)
class Feature:
    """*Allocated* usage stays until it is released, *consumable* usage resets each `reset`."""

    key: str
    kind: Kind
    reset: Reset | None = None
    type: Type = "number"
    """What its value is; of a static feature the type that all plans write."""
    anchor: Anchor | None = None
    """`billing`: a month is counted from the subscription's billing day, not from the calendar's first."""
    name: str | None = None
    description: str | None = None
    unit: str | None = None
    """What is counted, as it stands after the number: "projects", "calls a month"; "bytes" for sizes."""
    order: int | None = None
    position: int = 0

    @property
    def title(self) -> str:
        """What people call it: its name, else its key."""
        return self.name or self.key

    def read(self, raw: object) -> Value:
        """The value that `raw`, as written in the catalogue or in an override, stands for.

        Raises:
            ValueError: saying what is wrong and what to write.
        """
        if self.kind == "boolean":
            return read_flag(raw)
        if self.kind != "static":
            return read_amount(raw)
        value = read_static(raw)
        if type_of(value) != self.type:
            raise ValueError(f"is a {self.type} in other plans and a {type_of(value)} here: write one type")
        return value


@dataclass(frozen=True, slots=True)
class Limit:
    """What a plan or an add-on gives of one feature. None is unlimited; bytes where a size was written."""

    value: Value
    per_unit: bool = False
    """Times the quantity of the price's own item."""
    soft: bool = False
    """Going over is allowed and reported."""
    warn_at: tuple[float, ...] = ()
    """Shares of the limit at which to warn, ascending."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a price can buy: a plan or an add-on.

    A Stripe price is found by its id, else a lookup key, else its product.
    """

    id: str
    prices: tuple[str, ...]
    limits: Mapping[str, Limit]
    position: int = 0
    """Its place in the file: a later plan is the higher one."""
    lookup_keys: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    unsold_prices: tuple[str, ...] = ()
    """Prices that nobody can buy any more; whoever pays one keeps it."""
    name: str | None = None
    description: str | None = None
    sold: bool = True
    """False: kept for those who have it, and offered to nobody else."""
    order: int | None = None
    """Its place where plans are shown. It says nothing about the rank."""
    min_quantity: int | None = None
    max_quantity: int | None = None
    trial: Mapping[str, Limit] = field(default_factory=lambda: MappingProxyType({}))
    """The limits that differ while the subscription is trialing."""

    @property
    def title(self) -> str:
        """What people call it: its name, else its id."""
        return self.name or self.id

    @property
    def is_sold(self) -> bool:
        """Whether it can be bought: it has prices that are sold, and the file does not say `sold = false`."""
        return self.sold and bool(self.prices or self.lookup_keys or self.products)

    def sells(self, price_id: str | None) -> bool:
        """Whether this price of it can be bought."""
        return self.sold and price_id not in self.unsold_prices

    def limit(self, feature: str, *, trialing: bool = False) -> Limit | None:
        """What it gives of a feature; None where it does not name it. `trialing`: with the trial's limits."""
        own = self.trial.get(feature) if trialing else None
        return own or self.limits.get(feature)


@dataclass(frozen=True, slots=True)
class Plan(Offer):
    """A plan. Of several plans that a user has the best gives each limit."""

    trial_days: int | None = None
    """The trial that checkout offers by itself; None: no trial."""
    once: Once | None = None
    """What a refund takes back of a plan that is bought once; None: it is subscribed to."""


@dataclass(frozen=True, slots=True)
class Addon(Offer):
    """Its limits add to the plan's, times the quantity of its item."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Prices that grant nothing on purpose, such as fees and meters."""

    prices: tuple[str, ...] = ()
    lookup_keys: tuple[str, ...] = ()
    products: tuple[str, ...] = ()


When = Literal["now", "period_end"]


@dataclass(frozen=True, slots=True)
class ChangePolicy:
    """When a change of plan takes effect, where whoever asks for it does not say."""

    upgrade: When = "now"
    downgrade: When = "period_end"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that `plans.toml` says, checked."""

    features: Mapping[str, Feature]
    plans: Mapping[str, Plan]
    addons: Mapping[str, Addon]
    default_plan: Plan | None = None
    access: AccessPolicy = DEFAULT_POLICY
    ignored: Ignored = Ignored()
    changes: ChangePolicy = ChangePolicy()
    credits: Mapping[str, Credits] = field(default_factory=lambda: MappingProxyType({}))
    """Packs that are bought once."""
    over_limit_days: int | None = None
    """So long what is over its limit after a downgrade may stay in use; None: no deadline is set."""
    source: str = field(default="", repr=False, compare=False)
    """The text of the plans file."""
    _by_price: Mapping[str, Offer | Ignored] = field(init=False, repr=False, compare=False)
    _by_lookup_key: Mapping[str, Offer | Ignored] = field(init=False, repr=False, compare=False)
    _by_product: Mapping[str, Offer | Ignored] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        owners = (*self.plans.values(), *self.addons.values(), self.ignored)
        for index, keys in (
            ("_by_price", ("prices", "unsold_prices")),
            ("_by_lookup_key", ("lookup_keys",)),
            ("_by_product", ("products",)),
        ):
            owned = {name: owner for owner in owners for key in keys for name in getattr(owner, key, ())}
            object.__setattr__(self, index, MappingProxyType(owned))

    def owner_of(
        self, price_id: str | None, lookup_keys: Iterable[str] = (), product_id: str | None = None
    ) -> Offer | Ignored | None:
        """What lists the price: its id, else the first of its lookup keys that is listed, or its product."""
        found = self._by_price.get(price_id) if price_id else None
        for key in lookup_keys:
            if found is not None:
                break
            found = self._by_lookup_key.get(key)
        return found or (self._by_product.get(product_id) if product_id else None)

    def offers_once(self) -> Iterator[tuple[str, Credits | Plan]]:
        """What is bought once: the name of each offer, such as `credits.top_up_100`, and the offer."""
        yield from ((each.offer, each) for each in self.credits.values())
        yield from ((f"plans.{each.id}", each) for each in self.plans.values() if each.once is not None)

    def offer_once_of(self, price_id: str | None, lookup_key: str | None) -> str | None:
        """The name of what is bought once by this price: by its id, else by its lookup key."""
        offers = list(self.offers_once())
        by_id = [name for name, each in offers if price_id in each.prices]
        return next(iter(by_id or [name for name, each in offers if lookup_key in each.lookup_keys]), None)

    def shown_plans(self) -> tuple[Plan, ...]:
        """What a pricing page shows, in its order: all but those with `sold = false`.

        The default plan is among them, and a plan without a price, which is sold by talking to people.
        """
        return tuple(plan for plan in sorted(self.plans.values(), key=_place) if plan.sold)

    def sold_plans(self) -> tuple[Plan, ...]:
        """The plans that can be bought, in the order of a pricing page."""
        return tuple(plan for plan in self.shown_plans() if plan.is_sold)

    def sold_addons(self) -> tuple[Addon, ...]:
        """The add-ons that can be bought, in the order of a pricing page."""
        return tuple(addon for addon in sorted(self.addons.values(), key=_place) if addon.is_sold)

    def shown_features(self) -> tuple[Feature, ...]:
        """All features, in the order of a pricing page."""
        return tuple(sorted(self.features.values(), key=_place))

    def plan_of_price(self, price_id: str | None) -> Plan | None:
        """The plan that lists the price by its id."""
        found = self.owner_of(price_id)
        return found if isinstance(found, Plan) else None

    def addon_of_price(self, price_id: str | None) -> Addon | None:
        """The add-on that lists the price by its id."""
        found = self.owner_of(price_id)
        return found if isinstance(found, Addon) else None

    def feature(self, key: str) -> Feature:
        """
        Raises:
            NotFound: when the catalogue has no such feature.
        """
        try:
            return self.features[key]
        except KeyError:
            raise _unknown("feature", key, self.features, "[features]") from None

    def plan(self, plan_id: str) -> Plan:
        """
        Raises:
            NotFound: when the catalogue has no such plan.
        """
        try:
            return self.plans[plan_id]
        except KeyError:
            raise _unknown("plan", plan_id, self.plans, "[plans]") from None


def read_override(feature: Feature, op: OverrideOp, raw: object) -> Value:
    """The value of an override, written as in the catalogue: 5, "10 GiB", "unlimited", true.

    Nothing (null) is no value for `set` and `add`: whoever leaves it out does not mean "unlimited". A
    boolean needs none for `add` and `remove`; without one, `remove` takes the whole feature away, which
    reads as unlimited here, being what is taken.

    Raises:
        InvalidRequest: naming the feature, what is wrong and what to write.
    """
    if op == "remove" and raw is None:
        return True if feature.type == "flag" else None
    if feature.type == "flag" and op == "add" and raw is None:
        return True
    if feature.type == "text" and op != "set":
        raise InvalidRequest(f"Feature {feature.key} is a text: `set` it, or `remove` it without a value.")
    try:
        return feature.read(raw)
    except ValueError as error:
        raise InvalidRequest(f"Feature {feature.key} {error}.", feature=feature.key) from None


def _place(each: Offer | Feature) -> tuple[int, bool, int]:
    """Its `order`, else its place in the file, counted from 1; where two are alike, `order` is first."""
    order = each.position + 1 if each.order is None else each.order
    return order, each.order is None, each.position


def _unknown(noun: str, key: str, known: Iterable[str], table: str) -> NotFound:
    names = ", ".join(known) or "none"
    return NotFound(
        f"No {noun} {key!r} is in the plan catalogue: use one of its {noun}s ({names}), "
        f"or add it under {table} in the plans file."
    )
