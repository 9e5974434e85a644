"""May this user do that? The answer, and on denial why, and what would help."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import InvalidRequest
from ..plans import HeldItem, Plan
from .features import FeatureEntitlement, entitle_feature
from .standing import Act, Block
from .subscriptions import JudgedSubscription, bought

if TYPE_CHECKING:
    from .snapshot import Entitlements

Reason = Literal[
    "ok",
    "ok_soft",  # over a soft limit: allowed, and worth reporting
    "ok_grace",  # allowed while a payment is due
    "not_in_plan",
    "limit_reached",
    "over_limit",  # more is used than the limit, as after a downgrade
    "no_subscription",
    "payment_required",  # the user's own plan would allow it, once its invoice is paid
    "paused",  # the user's own plan would allow it, once it is resumed
]


class Decision(NamedTuple):
    """The answer to one question. True when allowed. Times are Unix seconds.

    A tuple, as one is made for every check, and a frozen dataclass costs five times as much.
    """

    allowed: bool
    reason: Reason
    feature: str
    limit: int | None
    """None is unlimited."""
    used: int
    """Before what is requested."""
    remaining: int | None
    """What may be taken within the limit, before what is requested. None is unlimited."""
    requested: int
    resets_at: int | None
    plan: str | None
    status: str | None
    grace_ends_at: int | None
    upgrade_to: tuple[str, ...]
    """On denial, the plans that would allow it, in the order of the catalogue."""
    as_of: int
    act: Act | None = None
    """On denial for `payment_required` or `paused`, what the user can do."""
    pay_url: str | None = None
    """Stripe's page for the open invoice, where the act is to pay it."""

    def __bool__(self) -> bool:
        return self.allowed


class Alternatives(NamedTuple):
    """What a feature's usage might reach, were things otherwise."""

    restored: tuple[tuple[Block, int], ...]
    """With the user's blocked subscriptions restored."""
    plans: tuple[tuple[str, int], ...]
    """On each other plan."""


def decide(entitlements: Entitlements, feature: str, used: int, requested: int, now: int) -> Decision:
    """Whether `requested` more may be used of a feature. Denial is an answer, not an error.

    Raises:
        NotFound: when the catalogue has no such feature.
        InvalidRequest: when an amount is negative.
    """
    entitlement = entitlements.feature(feature)
    if used < 0 or requested < 0:
        raise InvalidRequest(f"used ({used}) and requested ({requested}) must be 0 or more.", feature=feature)
    total = used + requested
    allowed = total <= entitlement.ceiling
    limit = entitlement.limit
    reason = (
        granted_reason(entitlement, total) if allowed else _denial(entitlements, entitlement, used, total)
    )
    blocked = None if allowed else blocked_subscription(entitlements.subscriptions, reason)
    return Decision(
        allowed=allowed,
        reason=reason,
        feature=feature,
        limit=limit,
        used=used,
        remaining=None if limit is None else max(limit - used, 0),
        requested=requested,
        resets_at=entitlements.resets_at(feature, now),
        plan=entitlements.plan,
        status=entitlements.status,
        grace_ends_at=grace_ends_at(entitlements, entitlement),
        upgrade_to=() if allowed else _upgrades(entitlements, feature, total),
        as_of=now,
        act=blocked.access.act if blocked else None,
        pay_url=blocked.access.pay_url if blocked else None,
    )


def blocked_subscription(
    subscriptions: Iterable[JudgedSubscription], *blocks: str
) -> JudgedSubscription | None:
    """Of those that are blocked so, the one to restore: what a payment restores first, then the best plan."""
    blocked = [each for each in subscriptions if each.access.blocked_by in blocks]

    def rank(each: JudgedSubscription) -> tuple[bool, int, str]:
        position = each.plan.position if each.plan else -1
        return each.access.blocked_by == "payment_required", position, each.id

    return max(blocked, key=rank, default=None)


def granted_reason(entitlement: FeatureEntitlement, total: int) -> Reason:
    if total > entitlement.hard_ceiling:
        return "ok_soft"
    return "ok_grace" if entitlement.access == "grace" else "ok"


def grace_ends_at(entitlements: Entitlements, entitlement: FeatureEntitlement) -> int | None:
    """When the grace ends that the answer depends on."""
    return entitlement.grace_ends_at if entitlement.access == "grace" else entitlements.grace_ends_at


def _denial(entitlements: Entitlements, entitlement: FeatureEntitlement, used: int, total: int) -> Reason:
    for block, ceiling in entitlements.alternatives(entitlement.feature).restored:
        if total <= ceiling:
            return block
    if entitlement.limit == 0:
        return "no_subscription" if entitlements.plan is None else "not_in_plan"
    return "over_limit" if entitlement.limit is not None and used > entitlement.limit else "limit_reached"


def _upgrades(entitlements: Entitlements, feature: str, total: int) -> tuple[str, ...]:
    plans = entitlements.alternatives(feature).plans
    return tuple([plan for plan, ceiling in plans if total <= ceiling])


def find_alternatives(entitlements: Entitlements, feature: str) -> Alternatives:
    others = [plan for plan in entitlements.catalogue.plans.values() if plan.id != entitlements.plan]
    return Alternatives(
        restored=tuple(_restored(entitlements, feature)),
        plans=tuple(
            (plan.id, _ceiling(entitlements, feature, with_plan(entitlements, plan))) for plan in others
        ),
    )


def _restored(entitlements: Entitlements, feature: str) -> list[tuple[Block, int]]:
    """Paying comes first: it is what the user can do at once."""
    ceilings: list[tuple[Block, int]] = []
    blocks: tuple[Block, ...] = ("payment_required", "paused")
    for count, block in enumerate(blocks, 1):
        if any(each.access.blocked_by == block for each in entitlements.subscriptions):
            lifted = blocks[:count]
            subscriptions = [
                each
                for each in entitlements.subscriptions
                if each.entitles or each.access.blocked_by in lifted
            ]
            ceilings.append((block, _ceiling(entitlements, feature, subscriptions)))
    return ceilings


def _ceiling(entitlements: Entitlements, feature: str, subscriptions: Sequence[JudgedSubscription]) -> int:
    catalogue = entitlements.catalogue
    return entitle_feature(
        catalogue.features[feature], subscriptions, catalogue.default_plan, entitlements.overrides
    ).ceiling


def with_plan(
    entitlements: Entitlements, plan: Plan, price_id: str | None = None, quantity: int | None = None
) -> list[JudgedSubscription]:
    """The entitling subscriptions, were the user's main one on another plan; its add-ons stay."""
    entitling = [each for each in entitlements.subscriptions if each.entitles]
    main = entitlements.subscription
    if main is None or not main.entitles:
        return [*entitling, bought(HeldItem("", price_id, plan, quantity))]
    if quantity is None and main.plan is not None and main.main is not None:
        quantity = main.main.units if main.main.quantity is not None else None
    changed = main.with_main(HeldItem("", price_id, plan, quantity))
    return [changed if each.id == main.id else each for each in entitling]
