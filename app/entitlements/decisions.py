"""May this user do that? The answer, and on denial why, and what would help."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from ..errors import InvalidRequest
from ..plans import HeldItem, Plan
from .access import Act, Block
from .balances import entitle_as
from .features import FeatureEntitlement
from .holdings import Alternatives, Holdings
from .subscriptions import JudgedSubscription, bought

Reason = Literal[
    "ok",
    "ok_soft",
    "ok_grace",
    "over_released",
    "not_in_plan",
    "limit_reached",
    "over_limit",
    "no_subscription",
    "payment_required",
    "paused",
]
REASONS: Final[Mapping[Reason, str]] = {
    "ok": "Within the limit.",
    "ok_soft": "Over a soft limit. It is allowed, and worth reporting.",
    "ok_grace": "Allowed while a payment is due.",
    "over_released": "More was released than was used then: 0 is left. Release with proof of deletion.",
    "not_in_plan": "The user's plan does not have the feature.",
    "limit_reached": "The request would exceed the limit.",
    "over_limit": "More is in use than the limit, as after a downgrade. A release works, a consume does not.",
    "no_subscription": "The user has no subscription with access, and there is no default plan.",
    "payment_required": "The user's own plan would allow it, once its open invoice is paid.",
    "paused": "The user's own plan would allow it, once its subscription is resumed.",
}
"""What each reason means; the reference pages show it."""


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
    """Before what is requested; in what `consume` and `release` return, after it."""
    remaining: int | None
    """What may be taken within the limit: `limit` less `used`, never below 0. None is unlimited."""
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


def decide(holdings: Holdings, feature: str, used: int, requested: int, now: int) -> Decision:
    """Whether `requested` more may be used of a feature. Denial is an answer, not an error.

    Raises:
        NotFound: when the catalogue has no such feature.
        InvalidRequest: when an amount is negative.
    """
    entitlement = holdings.feature(feature)
    if used < 0 or requested < 0:
        raise InvalidRequest(f"used ({used}) and requested ({requested}) must be 0 or more.", feature=feature)
    total = used + requested
    allowed = total <= entitlement.ceiling
    limit = entitlement.limit
    reason = granted_reason(entitlement, total) if allowed else _denial(holdings, entitlement, used, total)
    blocked = None if allowed else blocked_subscription(holdings.subscriptions, reason)
    return Decision(
        allowed=allowed,
        reason=reason,
        feature=feature,
        limit=limit,
        used=used,
        remaining=None if limit is None else max(limit - used, 0),
        requested=requested,
        resets_at=holdings.resets_at(feature, now),
        plan=holdings.plan,
        status=holdings.status,
        grace_ends_at=grace_ends_at(holdings, entitlement),
        upgrade_to=() if allowed else _upgrades(holdings, entitlement, used, requested),
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


def grace_ends_at(holdings: Holdings, entitlement: FeatureEntitlement) -> int | None:
    """When the grace ends that the answer depends on."""
    return entitlement.grace_ends_at if entitlement.access == "grace" else holdings.grace_ends_at


def _denial(holdings: Holdings, entitlement: FeatureEntitlement, used: int, total: int) -> Reason:
    for block, ceiling in find_alternatives(holdings, entitlement.feature).restored:
        if total <= ceiling:
            return block
    if entitlement.limit == 0:
        return "no_subscription" if holdings.plan is None else "not_in_plan"
    return "over_limit" if entitlement.limit is not None and used > entitlement.limit else "limit_reached"


def _upgrades(
    holdings: Holdings, entitlement: FeatureEntitlement, used: int, requested: int
) -> tuple[str, ...]:
    if first_subscription_resets(holdings, entitlement.feature):
        # What was drawn from grants is part of the ceilings, and drawn for good.
        used = min(used, sum(each.drawn.in_period for each in entitlement.grants))
    plans = find_alternatives(holdings, entitlement.feature).plans
    return tuple([plan for plan, ceiling in plans if used + requested <= ceiling])


def first_subscription_resets(holdings: Holdings, feature: str) -> bool:
    """Whether a purchase would open a period of its own, in which nothing is used yet."""
    known = holdings.catalogue.features[feature]
    follows_the_subscription = known.reset == "period" or known.anchor == "billing"
    return follows_the_subscription and not holdings.entitling


def find_alternatives(holdings: Holdings, feature: str) -> Alternatives:
    """What the feature's usage might reach with blocked subscriptions restored, and on other plans."""
    known = holdings.known_alternatives.get(feature)
    if known is None:
        known = holdings.known_alternatives[feature] = _alternatives(holdings, feature)
    return known


def _alternatives(holdings: Holdings, feature: str) -> Alternatives:
    others = [plan for plan in holdings.catalogue.plans.values() if plan.sold and plan.id != holdings.plan]
    return Alternatives(
        restored=tuple(_restored(holdings, feature)),
        plans=tuple((plan.id, _ceiling(holdings, feature, with_plan(holdings, plan))) for plan in others),
    )


def _restored(holdings: Holdings, feature: str) -> list[tuple[Block, int]]:
    """Paying comes first: it is what the user can do at once."""
    ceilings: list[tuple[Block, int]] = []
    blocks: tuple[Block, ...] = ("payment_required", "paused")
    for count, block in enumerate(blocks, 1):
        if any(each.access.blocked_by == block for each in holdings.subscriptions):
            lifted = blocks[:count]
            restored = [each for each in holdings.subscriptions if each.access.blocked_by in lifted]
            subscriptions = [*holdings.entitling, *(each for each in restored if not each.entitles)]
            ceilings.append((block, _ceiling(holdings, feature, subscriptions)))
    return ceilings


def _ceiling(holdings: Holdings, feature: str, subscriptions: Sequence[JudgedSubscription]) -> int:
    return entitle_as(holdings, feature, subscriptions).ceiling


def with_plan(
    holdings: Holdings, plan: Plan, price_id: str | None = None, quantity: int | None = None
) -> list[JudgedSubscription]:
    """The entitling subscriptions, were the user's main one on another plan; its add-ons stay."""
    entitling = holdings.entitling
    main = holdings.subscription
    if main is None or not main.entitles:
        return [*entitling, bought(HeldItem("", price_id, plan, quantity))]
    if quantity is None and main.plan is not None and main.main is not None:
        quantity = main.main.units if main.main.quantity is not None else None
    changed = main.with_main(HeldItem("", price_id, plan, quantity))
    return [changed if each.id == main.id else each for each in entitling]
