"""What a user has of one feature, and the parts that made it so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..errors import InvalidRequest
from ..plans import (
    MAX_AMOUNT,
    Addon,
    Feature,
    HeldItem,
    Kind,
    Limit,
    OverrideOp,
    Plan,
    Reset,
    Value,
    read_override,
)
from ..plans.values import EMPTY, limit_of, minus, plus, strength, times
from .access import AccessLevel
from .cycles import BillingCycle
from .granted import Grant
from .records import OverrideRecord
from .subscriptions import JudgedSubscription


@dataclass(frozen=True, slots=True)
class Override:
    """An override in force. `value` as in the catalogue; `expires_at` in Unix seconds."""

    feature: str
    op: OverrideOp
    value: Any
    expires_at: int | None = None
    reason: str | None = None
    actor: str | None = None

    @classmethod
    def of(cls, record: OverrideRecord) -> "Override":
        return cls(record.feature, record.op, record.value, record.expires_at, record.reason, record.actor)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a limit was made of, or could have been."""

    source: Literal["plan", "default_plan", "addon", "override", "grant"]
    id: str
    """Of the plan, the add-on or the grant; of an override its op."""
    value: Value
    """What it contributes; None is unlimited."""
    counted: bool = True
    """False for what another plan or item outdid, and for an override that does not fit the feature."""
    limit: Limit | None = None
    price_id: str | None = None
    units: int = 1
    subscription: JudgedSubscription | None = None
    item: HeldItem | None = None
    override: Override | None = None
    problem: str | None = None
    trial: bool = False
    """Whether `limit` is one for trials, in the place of the plan's or add-on's own."""
    grant: Grant | None = None

    @property
    def soft(self) -> bool:
        return self.limit is not None and self.limit.soft and self.value != 0


@dataclass(frozen=True, slots=True)
class FeatureEntitlement:
    """What a user has of one feature. Sizes are bytes; times Unix seconds."""

    feature: str
    kind: Kind
    value: Value
    """The limit, the static value, or whether it is included. None is unlimited."""
    limit: int | None
    """The value as a count: None is unlimited, 0 denies."""
    soft: bool = False
    warn_at: tuple[float, ...] = ()
    reset: Reset | None = None
    access: AccessLevel = "full"
    """`grace` when any of it comes from a subscription in its grace."""
    grace_ends_at: int | None = None
    parts: tuple[Part, ...] = ()
    billing_anchor: bool = False
    """Whether a month is one of the subscription's, not of the calendar."""
    cycles: tuple[BillingCycle, ...] = field(default=(), repr=False)
    """Those that its periods come from, the one that counts first. See `periods`."""
    allowance: int | None = 0
    """The limit without grants. None is unlimited."""
    grants: tuple[Grant, ...] = ()
    """Those that raise the limit, or that this period has drawn from; the first is drawn down first."""

    @property
    def granted(self) -> int:
        """What of the limit comes from grants."""
        return sum(
            part.value for part in self.parts if part.grant and part.counted and isinstance(part.value, int)
        )

    @property
    def hard_ceiling(self) -> int:
        """The most that usage may reach within the limit; -1 when even nothing is too much."""
        if self.limit is None:
            return MAX_AMOUNT
        return self.limit or -1

    @property
    def ceiling(self) -> int:
        """The most that usage may reach: a soft limit may be passed, but for 0, which denies."""
        return MAX_AMOUNT if self.soft and self.limit != 0 else self.hard_ceiling


def entitle_feature(
    feature: Feature,
    subscriptions: Sequence[JudgedSubscription],
    default_plan: Plan | None,
    overrides: Iterable[Override],
) -> FeatureEntitlement:
    """What these subscriptions together give of a feature, all of them taken to entitle.

    Every item of every subscription counts. The best plan wins, and quantities of one plan add up; add-ons
    add to that; overrides come last. The default plan counts where no item has a plan, and beside
    subscriptions that only add their limits.
    """
    plans = _plan_parts(feature, subscriptions, default_plan)
    addons = [part for each in subscriptions for part in _addon_parts(feature, each)]
    sources = [*(part for part in plans if part.counted), *addons]
    value = EMPTY[feature.type]
    for part in sources:
        value = plus(value, part.value)
    overridden, changes = _override(feature, value, overrides)
    limits = [part.limit for part in sources if part.limit is not None]
    replaced = any(part.counted and part.id == "set" for part in changes)
    graces = [] if replaced else _graces(sources)
    return FeatureEntitlement(
        feature=feature.key,
        kind=feature.kind,
        value=overridden,
        limit=limit_of(overridden),
        # Somebody who sets a limit for one user means it, however soft the plan's is.
        soft=not replaced and any(part.soft for part in (*plans, *addons)),
        warn_at=tuple(sorted({share for limit in limits for share in limit.warn_at})),
        reset=feature.reset,
        access="grace" if graces else "full",
        grace_ends_at=min((ends for ends in graces if ends is not None), default=None),
        parts=(*plans, *addons, *changes),
        billing_anchor=feature.anchor == "billing",
        allowance=limit_of(overridden),
    )


def _plan_parts(
    feature: Feature, subscriptions: Sequence[JudgedSubscription], default_plan: Plan | None
) -> list[Part]:
    """What each item of a plan gives: those of the best plan first, and of them those that count."""
    owned = [(each, item) for each in subscriptions for item in each.items if item.plan is not None]
    by_plan: dict[str, list[Part]] = {}
    for subscription, item in owned:
        if part := _plan_part(feature, subscription, item):
            by_plan.setdefault(part.id, []).append(part)
    given = [_together(parts) for parts in by_plan.values()]
    if all(each.secondary for each, _ in owned) and default_plan is not None:
        limit = default_plan.limits.get(feature.key)
        given += [[Part("default_plan", default_plan.id, limit.value, limit=limit)]] if limit else []
    plans = sorted(given, key=_rank_of_plan, reverse=True)
    outdone = [replace(part, counted=False) for parts in plans[1:] for part in parts]
    return [*(part for parts in plans[:1] for part in parts), *outdone]


def _plan_part(feature: Feature, subscription: JudgedSubscription, item: HeldItem) -> Part | None:
    plan = item.plan
    limit = subscription.limit_of(item, feature.key)
    if plan is None or limit is None:
        return None
    units = item.units if limit.per_unit else 1
    value = times(limit.value, units)
    trial = subscription.limited and feature.key in plan.trial
    return Part("plan", plan.id, value, True, limit, item.price_id, units, subscription, item, trial=trial)


def _together(parts: Iterable[Part]) -> list[Part]:
    """The items of one plan: their quantities add up where the limit is per unit, else one of them counts.

    A metered item adds no units beside a licensed one: its usage is billed, it is no seat. A trial's limit
    may be per unit where the plan's is not, or not per unit where it is: the better of both counts.
    """
    ranked = sorted(parts, key=_rank_of_part, reverse=True)
    per_unit = [part for part in ranked if part.limit is not None and part.limit.per_unit]
    licensed = [part for part in per_unit if part.item is not None and not part.item.metered]
    alone = [part for part in ranked if part.limit is not None and not part.limit.per_unit]
    candidates = [each for each in (licensed or per_unit[:1], alone[:1]) if each]
    counted = max(candidates, key=lambda each: strength(_sum(each)))
    ids = {id(part) for part in counted}
    uncounted = [
        replace(part, counted=False, problem=f"another item of {part.id} counts")
        for part in ranked
        if id(part) not in ids
    ]
    return [*counted, *uncounted]


def _rank_of_part(part: Part) -> tuple[Any, ...]:
    """Which item of a plan is the better source. Never the order of items: ids decide at last."""
    assert part.subscription is not None and part.item is not None
    full = part.subscription.access.level == "full"
    whole = not part.subscription.limited
    return (full, whole, part.item.rank, part.subscription.id)


def _rank_of_plan(parts: Sequence[Part]) -> tuple[Any, ...]:
    """What makes a plan the better one for a feature."""
    counted = [part for part in parts if part.counted]
    value = _sum(counted)
    full = not _graces(counted)
    position = counted[0].item.plan.position if counted[0].item and counted[0].item.plan else -1
    return (strength(value), full, counted[0].soft, position)


def _sum(parts: Iterable[Part]) -> Value:
    values = [part.value for part in parts]
    total = values[0]
    for value in values[1:]:
        total = plus(total, value)
    return total


def _addon_parts(feature: Feature, subscription: JudgedSubscription) -> Iterable[Part]:
    for item in subscription.items:
        limit = subscription.limit_of(item, feature.key) if isinstance(item.offer, Addon) else None
        if limit is not None and item.offer is not None:
            value = times(limit.value, item.units)
            trial = subscription.limited and feature.key in item.offer.trial
            yield Part(
                "addon",
                item.offer.id,
                value,
                True,
                limit,
                item.price_id,
                item.units,
                subscription,
                item,
                trial=trial,
            )


_OPS: tuple[OverrideOp, ...] = ("set", "add", "remove")


def _override(feature: Feature, value: Value, overrides: Iterable[Override]) -> tuple[Value, list[Part]]:
    parts = []
    own = [override for override in overrides if override.feature == feature.key]
    for override in sorted(own, key=lambda each: _OPS.index(each.op)):
        try:
            amount = read_override(feature, override.op, override.value)
        except InvalidRequest as error:
            # The feature was another one when this was stored. Guessing could grant too much.
            parts.append(Part("override", override.op, None, False, override=override, problem=error.detail))
            continue
        value = _applied(override.op, value, amount)
        parts.append(Part("override", override.op, amount, override=override))
    return value, parts


def _applied(op: OverrideOp, value: Value, amount: Value) -> Value:
    if op == "set":
        return amount
    return plus(value, amount) if op == "add" else minus(value, amount)


def _graces(parts: Iterable[Part]) -> list[int | None]:
    """When the graces end that the parts depend on."""
    subscriptions = [part.subscription for part in parts if part.subscription is not None]
    return [each.access.grace_ends_at for each in subscriptions if each.access.level == "grace"]


def usage_cycles(
    feature: Feature, parts: Sequence[Part], subscriptions: Sequence[JudgedSubscription]
) -> tuple[BillingCycle, ...]:
    """What the feature's usage periods come from: of the subscriptions that give it, the first to begin.

    Those without access count where none has it: periods go on while a subscription is unpaid. Those that
    are over come last: a period that they left open still runs until its end.
    """
    if feature.reset != "period" and feature.anchor != "billing":
        return ()
    own = [each for each in subscriptions if not each.secondary] or subscriptions
    theirs = [each for each in own if each.billing is not None]
    giving = [each for each in theirs if each.gives(feature.key)] or theirs
    renewing = [each for each in giving if each.billing and each.billing.ended is None]
    counting = [each for each in renewing if each.entitles] or renewing
    over = [each for each in giving if each.billing and each.billing.ended is not None]
    sources = [part.subscription.id for part in parts if part.counted and part.subscription is not None]

    def order(each: JudgedSubscription) -> tuple[Any, ...]:
        assert each.billing is not None
        return (each.billing.began, each.id not in sources, each.id)

    chosen = (*sorted(counting, key=order), *sorted(over, key=order))
    return tuple(each.billing for each in chosen if each.billing is not None)
