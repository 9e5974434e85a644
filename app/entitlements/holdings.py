"""What a user has, as data: plan, status, access, features, subscriptions, overrides and the catalogue."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import NotFound
from ..plans import Catalogue, PriceList, Value
from .access import AccessLevel, Block
from .features import FeatureEntitlement, Override
from .granted import Grant
from .periods import Period, resets_at, usage_period
from .subscriptions import JudgedSubscription, granted_plan


class OwnPlan(NamedTuple):
    """The plan that a user would have, were the subscription not blocked."""

    plan: str
    subscription_id: str
    status: str | None
    blocked_by: Block


class Alternatives(NamedTuple):
    """What a feature's usage might reach, were things otherwise."""

    restored: tuple[tuple[Block, int], ...]
    """With the user's blocked subscriptions restored."""
    plans: tuple[tuple[str, int], ...]
    """On each other plan."""


def plans_of(grants: Iterable[Grant], catalogue: Catalogue) -> list[JudgedSubscription]:
    """The plans of these grants that are in force."""
    return [
        granted_plan(each, catalogue.plans[each.plan])
        for each in grants
        if each.in_force and each.plan is not None and each.plan in catalogue.plans
    ]


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a user has at one moment, without what is used of it. Times are Unix seconds."""

    user_id: str
    plan: str | None
    """The plan in force; None when there is not even a default plan."""
    status: str | None
    """Of the subscription that `plan` comes from; else of the one that would entitle, or that did last."""
    access: AccessLevel
    """What that subscription's status grants; `none` leaves the default plan."""
    grace_ends_at: int | None
    own_plan: OwnPlan | None
    """The plan that paying or resuming would restore."""
    features: Mapping[str, FeatureEntitlement]
    subscription: JudgedSubscription | None
    """The main one: `plan`, `status` and `access` are its."""
    subscriptions: tuple[JudgedSubscription, ...]
    overrides: tuple[Override, ...]
    grants: tuple[Grant, ...]
    """Those of features and plans of the catalogue, whether in force or not, in the order of drawing."""
    valid_until: int | None
    """The earliest moment at which any of this changes by time alone. Resets are not among them."""
    catalogue: Catalogue = field(repr=False, compare=False)
    prices: PriceList = field(repr=False, compare=False)
    as_of: int = field(compare=False)
    known_alternatives: dict[str, Alternatives] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    """A memory of `decisions.find_alternatives`, by feature."""

    @property
    def entitling(self) -> list[JudgedSubscription]:
        """The subscriptions with access, and the plans that were granted."""
        return [each for each in self.subscriptions if each.entitles] + self.granted_plans

    @property
    def granted_plans(self) -> list[JudgedSubscription]:
        """The plans of grants that are in force."""
        return plans_of(self.grants, self.catalogue)

    def feature(self, feature: str) -> FeatureEntitlement:
        """
        Raises:
            NotFound: when the catalogue has no such feature.
        """
        try:
            return self.features[feature]
        except KeyError:
            raise self._unknown(feature) from None

    def limit(self, feature: str) -> int | None:
        """The most that may be used; None is unlimited, 0 denies."""
        return self.feature(feature).limit

    def value(self, feature: str) -> Value:
        """The value of a static feature, whether a boolean one is included, the limit of a counted one."""
        return self.feature(feature).value

    def period_of(self, feature: str, now: int) -> Period:
        """The period that usage at `now` counts in; one without an end for what does not reset."""
        entitlement = self.feature(feature)
        return usage_period(
            entitlement.reset, entitlement.cycles, now, billing_anchor=entitlement.billing_anchor
        )

    def resets_at(self, feature: str, now: int) -> int | None:
        """When usage starts again; None for what does not reset. See `periods`."""
        return resets_at(self.period_of(feature, now), now)

    def _unknown(self, feature: str) -> NotFound:
        try:
            self.catalogue.feature(feature)
        except NotFound as error:
            return error
        raise AssertionError("every feature of the catalogue has an entitlement")
