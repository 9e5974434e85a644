"""What a user has at one moment: computed once, then asked without I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import InvalidRequest
from ..observability.metrics import Tally, decision_tally
from ..plans import Catalogue, KnownPrice, Plan, PriceList
from .balances import with_grants
from .decisions import (
    Decision,
    Reason,
    blocked_subscription,
    decide,
    grace_ends_at,
    granted_reason,
)
from .explanation import Explanation, explain
from .features import FeatureEntitlement, Override, entitle_feature, usage_cycles
from .granted import Drawn, Grant, in_draw_order, with_drawn
from .holdings import Holdings, OwnPlan, plans_of
from .ownership import mark_secondary
from .records import CustomerRecord, InvoiceRecord, OverrideRecord, SubscriptionRecord
from .subscriptions import JudgedSubscription, judge_subscriptions

MAX_REMEMBERED = 256
"""Answers that a snapshot remembers beside the plain "ok"."""

_make = tuple.__new__


class Balance(NamedTuple):
    """What the open period of a feature has used, holds apart, and what was drawn from each grant."""

    used: int
    drawn: Mapping[str, Drawn]


class _Rule(NamedTuple):
    """All that an allowed check needs, worked out beforehand."""

    ceiling: int
    limit: int | None
    reason: Reason
    tail: tuple[int | None, str | None, str | None, int | None, tuple[str, ...], int, None, None]
    """From `resets_at` to the end."""
    tally: Tally
    """Counts these answers; in place, as it costs a tenth of a counter."""


@dataclass(frozen=True, slots=True)
class Entitlements(Holdings):
    """A user's holdings as of one moment, with usage, for checks without I/O. Times are Unix seconds.

    Two of them are equal when they give the same answers for the same reasons, whenever they were made.
    """

    usage: Mapping[str, int] | None = field(default=None, compare=False)
    """What is used of each feature as of then, where that was loaded."""
    over_since: Mapping[str, int] | None = field(default=None, compare=False)
    """Since when features are over their limits, in Unix seconds, where that was loaded and has been seen."""
    _allowed: dict[str, tuple[bool, Tally]] = field(init=False, repr=False, compare=False)
    _rules: dict[str, _Rule] = field(init=False, repr=False, compare=False)
    _remembered: dict[tuple[str, int, int], tuple[Decision, Tally]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", {})
        object.__setattr__(self, "_rules", {key: self._rule(each) for key, each in self.features.items()})
        object.__setattr__(self, "_remembered", {})

    def allows(self, feature: str) -> bool:
        """Whether the user has any of the feature at all, whatever is used of it.

        Raises:
            NotFound: when the catalogue has no such feature.
        """
        try:
            allowed, tally = self._allowed[feature]
        except KeyError:
            allowed, tally = self._allowed[feature] = self._first_asked(feature)
        tally[0] += 1
        return allowed

    def check(self, feature: str, used: int | None = None, requested: int = 1) -> Decision:
        """Whether `requested` more may be used of the feature, as of the snapshot.

        `used` is what the caller counted; without it, what was loaded with the snapshot. A boolean or static
        feature has no usage.

        Raises:
            NotFound: when the catalogue has no such feature.
            InvalidRequest: when an amount is negative, or the usage is not known.
        """
        try:
            ceiling, limit, reason, tail, tally = self._rules[feature]
        except KeyError:
            raise self._unknown(feature) from None
        if used is None:
            used = self._used(feature)
        if used >= 0 <= requested and used + requested <= ceiling:
            remaining = None if limit is None else limit - used
            tally[0] += 1
            return _make(Decision, (True, reason, feature, limit, used, remaining, requested) + tail)  # noqa: RUF005 # unpacking is slower
        # Who is denied asks the same again: a snapshot never changes, so neither does the answer.
        remembered = self._remembered.get((feature, used, requested))
        decision, tally = remembered if remembered is not None else self._decide(feature, used, requested)
        tally[0] += 1
        return decision

    def look(self, feature: str, used: int | None = None, requested: int = 0) -> Decision:
        """As `check`, for who only shows the answer: it is not counted as a decision."""
        self.feature(feature)
        return decide(self, feature, self._used(feature) if used is None else used, requested, self.as_of)

    def explain(self, feature: str) -> Explanation:
        """What made the feature's limit what it is. `str()` of it is for people."""
        return explain(self, feature)

    def with_usage(
        self,
        usage: Mapping[str, int],
        over_since: Mapping[str, int] | None = None,
        balances: Mapping[str, Balance] | None = None,
    ) -> "Entitlements":
        """The same, with what is used of each feature, so that `check` can be asked without it, and with what
        was drawn from grants."""
        made = replace(self, usage=MappingProxyType(dict(usage)), over_since=over_since)
        return made if balances is None or not self.grants else made._with_balances(balances)

    def _with_balances(self, balances: Mapping[str, Balance]) -> "Entitlements":
        grants = with_drawn(self.grants, {key: each.drawn for key, each in balances.items()})
        features = {
            key: with_grants(each, grants, balances[key].used if key in balances else 0)
            for key, each in self.features.items()
        }
        return replace(self, grants=grants, features=MappingProxyType(features))

    def _first_asked(self, feature: str) -> tuple[bool, Tally]:
        """What `allows` says, and why: the reason is worked out when it is asked for, as few features are."""
        allowed = self.feature(feature).limit != 0
        return allowed, decision_tally(feature, decide(self, feature, 0, 1, self.as_of).reason)

    def _decide(self, feature: str, used: int, requested: int) -> tuple[Decision, Tally]:
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        decision = decide(self, feature, used, requested, self.as_of)
        remembered = self._remembered[feature, used, requested] = (
            decision,
            decision_tally(feature, decision.reason),
        )
        return remembered

    def _rule(self, entitlement: FeatureEntitlement) -> _Rule:
        reset = self.resets_at(entitlement.feature, self.as_of)
        ends = grace_ends_at(self, entitlement)
        tail = (reset, self.plan, self.status, ends, (), self.as_of, None, None)
        reason = granted_reason(entitlement, 0)
        tally = decision_tally(entitlement.feature, reason)
        return _Rule(entitlement.hard_ceiling, entitlement.limit, reason, tail, tally)

    def _used(self, feature: str) -> int:
        if self.features[feature].kind in ("boolean", "static"):
            return 0
        if self.usage is None:
            raise InvalidRequest(
                f"The usage of {feature} was not loaded: pass what you counted as used=…", feature=feature
            )
        return self.usage.get(feature, 0)


def entitle(
    user_id: str,
    subscriptions: Iterable[SubscriptionRecord],
    invoices: Iterable[InvoiceRecord],
    customers: Iterable[CustomerRecord],
    overrides: Iterable[OverrideRecord],
    catalogue: Catalogue,
    now: int,
    usage: Mapping[str, int] | None = None,
    known: Mapping[str, KnownPrice] | None = None,
    grants: Iterable[Grant] = (),
) -> Entitlements:
    """What a user has at `now` (Unix seconds), from all that is stored of them, in whatever order.

    `known` is what was seen of the prices of their subscriptions. Of `grants` nothing is drawn yet: see
    `Entitlements.with_usage`.
    """
    prices = PriceList(catalogue, known or {})
    judged = judge_user(user_id, subscriptions, invoices, customers, prices, now)
    in_force = overrides_in_force(overrides, catalogue, now)
    granted = in_draw_order(grants, now)
    owned = plans_of(granted, catalogue)
    features = {
        key: with_grants(
            replace(each, cycles=usage_cycles(catalogue.features[key], each.parts, judged)), granted
        )
        for key, each in entitle_features([*judged, *owned], in_force, catalogue).items()
    }
    main = _main(judged)
    shown = _shown(main, owned)
    plan = (shown.plan if shown is not None else None) or catalogue.default_plan
    return Entitlements(
        user_id=user_id,
        plan=plan.id if plan else None,
        status=main.status if main else None,
        access=shown.access.level if shown else "none",
        grace_ends_at=shown.access.grace_ends_at if shown else None,
        own_plan=_own_plan(judged),
        features=MappingProxyType(features),
        subscription=main,
        subscriptions=judged,
        overrides=in_force,
        grants=granted,
        valid_until=_valid_until(judged, in_force, granted, now),
        catalogue=catalogue,
        prices=prices,
        as_of=now,
        usage=None if usage is None else MappingProxyType(dict(usage)),
    )


def judge_user(
    user_id: str,
    subscriptions: Iterable[SubscriptionRecord],
    invoices: Iterable[InvoiceRecord],
    customers: Iterable[CustomerRecord],
    prices: PriceList,
    now: int,
) -> tuple[JudgedSubscription, ...]:
    """A user's subscriptions at `now` (Unix seconds), those marked that only add their limits."""
    subscriptions, customers = list(subscriptions), list(customers)
    judged = judge_subscriptions(subscriptions, invoices, customers, prices, now)
    return mark_secondary(judged, subscriptions, [each for each in customers if each.user_id == user_id])


def entitle_features(
    judged: Sequence[JudgedSubscription], in_force: Sequence[Override], catalogue: Catalogue
) -> dict[str, FeatureEntitlement]:
    """What the judged subscriptions and the overrides give of each feature, without its usage periods."""
    entitling = [each for each in judged if each.entitles]
    return {
        key: entitle_feature(feature, entitling, catalogue.default_plan, in_force)
        for key, feature in catalogue.features.items()
    }


def plan_in_force(judged: Sequence[JudgedSubscription], catalogue: Catalogue) -> Plan | None:
    """The plan to show: that of the main subscription if it entitles, else the default plan."""
    main = _main(judged)
    return (main.plan if main is not None and main.entitles else None) or catalogue.default_plan


def overrides_in_force(
    overrides: Iterable[OverrideRecord], catalogue: Catalogue, now: int
) -> tuple[Override, ...]:
    """The overrides that hold at `now`, in one order. Those of features that are gone say nothing."""
    known = (Override.of(each) for each in overrides if each.feature in catalogue.features)
    in_force = [each for each in known if each.expires_at is None or now < each.expires_at]
    return tuple(sorted(in_force, key=repr))


def _main(judged: Sequence[JudgedSubscription]) -> JudgedSubscription | None:
    """The subscription to show: of those that entitle, the one with the main item of all.

    Where none entitles, the one that paying or resuming would restore, else the one that ended last.
    """

    def rank(each: JudgedSubscription) -> tuple[Any, ...]:
        full, blocked = each.access.level == "full", each.access.blocked_by is not None
        position = each.plan.position if each.plan else -1
        item = each.main.rank[1:] if each.main else ()
        deleted = each.access.reason == "customer_deleted"  # it ended before what its record says
        over = 0 if each.entitles or blocked or deleted else each.expiry_date or 0
        return (each.entitles, blocked, over, position, full, item, each.expiry_date or 0, each.id)

    return max((each for each in judged if not each.secondary), key=rank, default=None)


def _shown(main: JudgedSubscription | None, owned: Sequence[JudgedSubscription]) -> JudgedSubscription | None:
    """What the plan and the access come from: the main subscription, or a granted plan above its plan."""
    entitling = [*([main] if main is not None and main.entitles else []), *owned]
    return max(entitling, key=lambda each: each.plan.position if each.plan else -1, default=None)


def _own_plan(judged: Sequence[JudgedSubscription]) -> OwnPlan | None:
    """Of the blocked subscriptions, the one that paying restores; of several, the plan last in the file."""
    own = blocked_subscription(
        (each for each in judged if each.plan is not None), "payment_required", "paused"
    )
    if own is None:
        return None
    assert own.plan is not None and own.access.blocked_by is not None
    return OwnPlan(own.plan.id, own.id, own.status, own.access.blocked_by)


def _valid_until(
    judged: Iterable[JudgedSubscription], overrides: Iterable[Override], grants: Iterable[Grant], now: int
) -> int | None:
    moments = [
        *(each.access.changes_at for each in judged),
        *(override.expires_at for override in overrides),
        *(each.changes_after(now) for each in grants),
    ]
    return min((moment for moment in moments if moment is not None), default=None)
