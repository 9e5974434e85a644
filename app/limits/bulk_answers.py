"""What many users have by one catalogue, computed once for all who hold the same."""

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from ..entitlements import Entitlements, FeatureEntitlement, JudgedSubscription, entitle
from ..entitlements.periods import usage_period
from ..entitlements.snapshot import entitle_features, judge_user, overrides_in_force, plan_in_force
from ..plans import Addon, Catalogue, HeldItem, KnownPrice, Plan, PriceList, Value
from .bulk import UserRecords
from .grants import lasting
from .loading import usage_in, used_since

MOST_REMEMBERED = 10_000
"""How many different holdings are remembered."""


class Given(NamedTuple):
    """What a user has of one feature."""

    value: Value
    soft: bool
    ceiling: int


Judged = Sequence[JudgedSubscription]


class Answers:
    """What users have by one catalogue at one moment; those who hold the same are computed once."""

    def __init__(self, catalogue: Catalogue, known: Mapping[str, KnownPrice], now: int) -> None:
        self.catalogue = catalogue
        self._known = known
        self._prices = PriceList(catalogue, known)
        self._now = now
        self._remembered: dict[Any, Mapping[str, Given]] = {}
        self._offer_names: dict[tuple[str, str | None], Any] = {}

    def judged(self, records: UserRecords) -> tuple[JudgedSubscription, ...]:
        if not records.subscriptions:
            return ()
        return judge_user(
            records.user_id,
            records.subscriptions,
            records.invoices,
            records.customers,
            self._prices,
            self._now,
        )

    def given(self, records: UserRecords, like: "Answers", judged: "Judged") -> Mapping[str, Given]:
        """What a user has, whose subscriptions the catalogue `like` judges so.

        They are judged again only where this catalogue may do so otherwise, or nobody had the same.
        """
        if records.grants:  # few have any; what they give depends on what was drawn from them
            return {name: _given(each) for name, each in self._entitlements(records).features.items()}
        overrides = overrides_in_force(records.overrides, self.catalogue, self._now)
        agrees = self is like or self._agrees(like, records)
        if not agrees:
            judged = self.judged(records)
        key = (tuple(_shape(each) for each in judged if each.entitles), repr(overrides))
        found = self._remembered.get(key)
        if found is None:
            judged = judged if self is like or not agrees else self.judged(records)
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            features = entitle_features(judged, overrides, self.catalogue)
            found = {name: _given(each) for name, each in features.items()}
            self._remembered[key] = found
        return found

    def _agrees(self, other: "Answers", records: UserRecords) -> bool:
        """Whether both catalogues judge these subscriptions alike: same policy, same owners of prices."""
        if self.catalogue.access != other.catalogue.access:
            return False
        return all(
            self._offer_name(*price) == other._offer_name(*price)
            for each in records.subscriptions
            for price in _prices_of(each)
        )

    def _offer_name(self, price_id: str, product_id: str | None) -> Any:
        name = self._offer_names.get((price_id, product_id))
        if name is None:
            owner = self._prices.owner(price_id, product_id)
            position = owner.position if isinstance(owner, Plan) else None
            name = (type(owner), position, getattr(owner, "id", None))
            self._offer_names[price_id, product_id] = name
        return name

    def used(self, records: UserRecords, row: Any, ceiling: int) -> int | None:
        """What is used of a feature now, where that is over the ceiling."""
        feature = self.catalogue.features.get(row.feature)
        if feature is None or feature.kind not in ("allocated", "consumable"):
            return None
        held = self._held(row)
        if held + row.used <= max(ceiling, 0):
            return None
        if feature.reset == "period" or feature.anchor == "billing":
            start = self._entitlements(records).period_of(feature.key, self._now).start
        else:
            start = usage_period(feature.reset, (), self._now).start
        used = int(held + used_since(row, start))
        return used if used > max(ceiling, 0) else None

    def plan(self, records: UserRecords) -> str | None:
        """The plan that a user is shown to have."""
        if records.grants:
            return self._entitlements(records).plan
        plan = plan_in_force(self.judged(records), self.catalogue)
        return None if plan is None else plan.id

    def _entitlements(self, records: UserRecords) -> Entitlements:
        made = entitle(
            records.user_id,
            records.subscriptions,
            records.invoices,
            records.customers,
            records.overrides,
            self.catalogue,
            self._now,
            known=self._known,
            grants=lasting(records.grants, self._now),
        )
        rows = [SimpleNamespace(**row._mapping, held=self._held(row)) for row in records.usage]
        return made.with_usage(*usage_in(rows, made))

    def _held(self, row: Any) -> int:
        return sum(each["amount"] for each in row.holds if each["expires_at"] > self._now)


def _prices_of(subscription: Any) -> Iterator[tuple[str, str | None]]:
    """The prices that a subscription has or had, each with its product."""
    for item in subscription.items:
        if item.get("price_id"):
            yield item["price_id"], item.get("product_id")
    if subscription.plan_id:
        yield subscription.plan_id, None
    for prices in ((subscription.item_history or {}).get("prices") or {}).values():
        for price_id, (_, _, _, product_id, _) in prices.items():
            yield price_id, product_id


def _given(entitlement: FeatureEntitlement) -> Given:
    return Given(entitlement.value, entitlement.soft and entitlement.limit != 0, entitlement.ceiling)


def _shape(judged: JudgedSubscription) -> tuple[Any, ...]:
    """All of an entitling subscription that its features' values depend on: no ids of its own, no times."""
    return (
        judged.secondary,
        judged.limited,
        judged.access.level,
        *(_shape_of_item(item) for item in judged.items),
    )


def _shape_of_item(item: HeldItem) -> tuple[Any, ...]:
    offer = item.offer
    owner = None if offer is None else (isinstance(offer, Addon), offer.id)
    return (owner, item.quantity, item.kept_quantity, item.metered, item.unmapped, item.interval_days)
