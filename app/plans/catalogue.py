"""The catalogue as the rest of the service reads it: immutable, and indexed by price."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from ..errors import InvalidRequest, NotFound
from .access import DEFAULT_POLICY, AccessPolicy
from .values import Type, Value, read_amount, read_flag, read_static, type_of

Kind = Literal["boolean", "static", "allocated", "consumable"]
Reset = Literal["period", "day", "month", "year"]
Anchor = Literal["billing"]
OverrideOp = Literal["set", "add", "remove"]


@dataclass(frozen=True, slots=True)
class Feature:
    """*Allocated* usage stays until it is released, *consumable* usage starts anew each `reset`."""

    key: str
    kind: Kind
    reset: Reset | None = None
    type: Type = "number"
    """What its value is; of a static feature the type that all plans write."""
    anchor: Anchor | None = None
    """`billing`: a month is counted from the subscription's billing day, not from the calendar's first."""

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
class Plan:
    id: str
    prices: tuple[str, ...]
    limits: Mapping[str, Limit]
    position: int = 0
    """Its place in the file."""


@dataclass(frozen=True, slots=True)
class Addon:
    """Its limits add to the plan's, times the quantity of its item."""

    id: str
    prices: tuple[str, ...]
    limits: Mapping[str, Limit]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that `plans.toml` says, checked."""

    features: Mapping[str, Feature]
    plans: Mapping[str, Plan]
    addons: Mapping[str, Addon]
    default_plan: Plan | None = None
    access: AccessPolicy = DEFAULT_POLICY
    _plan_of_price: Mapping[str, Plan] = field(init=False, repr=False, compare=False)
    _addon_of_price: Mapping[str, Addon] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        plans = {price: plan for plan in self.plans.values() for price in plan.prices}
        addons = {price: addon for addon in self.addons.values() for price in addon.prices}
        object.__setattr__(self, "_plan_of_price", MappingProxyType(plans))
        object.__setattr__(self, "_addon_of_price", MappingProxyType(addons))

    def plan_of_price(self, price_id: str | None) -> Plan | None:
        return self._plan_of_price.get(price_id) if price_id else None

    def addon_of_price(self, price_id: str | None) -> Addon | None:
        return self._addon_of_price.get(price_id) if price_id else None

    def plan_item(self, items: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """The subscription's item that its plan and quantity come from.

        The first item whose price is a plan's, else the first item; None where there is no item.
        """
        own = (item for item in items if item.get("price_id") in self._plan_of_price)
        return next(own, items[0] if items else None)

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


def _unknown(noun: str, key: str, known: Iterable[str], table: str) -> NotFound:
    names = ", ".join(known) or "none"
    return NotFound(
        f"No {noun} {key!r} is in the plan catalogue: use one of its {noun}s ({names}), "
        f"or add it under {table} in the plans file."
    )
