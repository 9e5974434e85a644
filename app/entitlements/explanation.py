"""What made a limit what it is: for people who ask why, and for programs that show it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..plans import HeldItem, Kind, Value
from .access import AccessLevel, AccessReason
from .features import Part
from .granted import Grant
from .holdings import Holdings
from .subscriptions import JudgedSubscription

_WHY_NOTHING: dict[AccessReason, str] = {
    "status": "the access policy grants nothing for its status",
    "grace": "",
    "grace_over": "a payment is due, and its grace is over",
    "renewal_awaited": "",
    "expired": "it expired, and no renewal was seen",
    "cancel_at_reached": "it was set to cancel, and has reached its end",
    "pause_collection": "the collection of its payments is paused",
    "customer_deleted": "its customer is deleted in Stripe",
    "provisional": "it is known from an invoice alone",
    "unknown_status": "its status is not one that this service knows",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A limit, the parts it is made of, and the same in words, line by line."""

    feature: str
    kind: Kind
    value: Value
    limit: int | None
    """None is unlimited, 0 denies."""
    plan: str | None
    status: str | None
    access: AccessLevel
    parts: tuple[dict[str, Any], ...]
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)


_WHY_ACCESS: dict[AccessReason, str] = {
    "status": "the access policy grants {level} access for its status",
    "grace": "a payment is due, and there is time to make it",
    "renewal_awaited": "past its expiry, renewal awaited",
}


def explain_access(subscription: JudgedSubscription) -> str:
    """Why a subscription grants what it grants, in words."""
    granted = subscription.access
    if not subscription.entitles:
        return _WHY_NOTHING[granted.reason]
    why = _WHY_ACCESS[granted.reason].format(level=granted.level)
    return why if granted.grace_ends_at is None else f"{why}, until {_time(granted.grace_ends_at)}"


def explain(holdings: Holdings, feature: str) -> Explanation:
    entitlement = holdings.feature(feature)
    return Explanation(
        feature=feature,
        kind=entitlement.kind,
        value=entitlement.value,
        limit=entitlement.limit,
        plan=holdings.plan,
        status=holdings.status,
        access=holdings.access,
        parts=tuple(_described(part) for part in entitlement.parts),
        lines=tuple(_lines(holdings, feature)),
    )


def _described(part: Part) -> dict[str, Any]:
    subscription, override = part.subscription, part.override
    grant = part.grant or (subscription.grant if subscription else None)
    dated = override or grant
    return {
        "source": part.source,
        "id": part.id,
        "value": part.value,
        "counted": part.counted,
        "price_id": part.price_id,
        "units": part.units,
        "trial": part.trial,
        "subscription_id": subscription.id if subscription and not grant else None,
        "status": subscription.status if subscription else None,
        "access": subscription.access.level if subscription else None,
        "expires_at": dated.expires_at if dated else None,
        "reason": dated.reason if dated else None,
        "actor": dated.actor if dated else None,
        "grant_id": grant.id if grant else None,
    }


def _lines(holdings: Holdings, feature: str) -> Iterator[str]:
    entitlement = holdings.feature(feature)
    yield f"{feature} ({entitlement.kind}): {_shown(entitlement.value)}"
    yield from (f"  {_line(part)}" for part in entitlement.parts)
    if not any(part.source in ("plan", "default_plan") for part in entitlement.parts):
        plan = holdings.plan
        yield f"  not in plan {plan}" if plan else "  no subscription entitles, and there is no default plan"
    for each in holdings.subscriptions:
        if not each.entitles:
            yield f"  nothing from {each.id} ({each.status}): {_WHY_NOTHING[each.access.reason]}"
        else:
            yield from (f"  {_unmapped_line(each, item)}" for item in each.items if item.unmapped)


def _unmapped_line(subscription: JudgedSubscription, item: HeldItem) -> str:
    gives = f"keeps {item.offer.id}" if item.offer is not None else "gives nothing"
    return f"{subscription.id} {gives}: price {item.price_id} is in no plan; add it to the plans file"


def _line(part: Part) -> str:
    if part.source == "override":
        return _override_line(part)
    if part.grant is not None:
        return _grant_line(part, part.grant)
    if part.source == "default_plan":
        return f"default plan {part.id}: {_shown(part.value)}"
    noun = "plan" if part.source == "plan" else "+ add-on"
    outdone = "" if part.counted else f", {part.problem or 'outdone by a better plan'}"
    trial = ", in its trial" if part.trial else ""
    return f"{noun} {part.id}: {_shown(part.value)}{_units(part)}{trial}{_origin(part)}{outdone}"


def _units(part: Part) -> str:
    per_unit = part.source == "addon" or (part.limit is not None and part.limit.per_unit)
    return f" ({_shown(part.limit.value)} × {part.units})" if part.limit is not None and per_unit else ""


def _origin(part: Part) -> str:
    subscription: JudgedSubscription | None = part.subscription
    if subscription is None:
        return ""
    if subscription.grant is not None:
        return f", {_granted(subscription.grant)}"
    return f", price {part.price_id} of {subscription.id} ({_standing(subscription)})"


def _grant_line(part: Part, grant: Grant) -> str:
    if part.problem is not None:
        return f"grant {grant.id} adds nothing: {part.problem}"
    return f"+ {_granted(grant)}: {_shown(part.value)}{_balance(grant)}"


def _granted(grant: Grant) -> str:
    """Who gave it, until when and why."""
    came = f"bought as {grant.offer}" if grant.source == "purchase" else f"by {grant.actor or grant.source}"
    until = "" if grant.expires_at is None else f", until {_time(grant.expires_at)}"
    reason = f" ({grant.reason})" if grant.reason else ""
    return f"grant {grant.id} {came}{until}{reason}"


def _balance(grant: Grant) -> str:
    if not grant.drawn.taken and not grant.clawed_back:
        return ""
    drawn = f"{grant.left} left of {grant.amount}, {grant.drawn.in_period} drawn in this period"
    taken_back = f", {grant.clawed_back} clawed back" if grant.clawed_back else ""
    return f" ({drawn}{taken_back})"


def _standing(subscription: JudgedSubscription) -> str:
    granted = subscription.access
    text = f"{subscription.status}, access {granted.level}"
    if granted.reason == "renewal_awaited":
        text += ", past its expiry, renewal awaited"
    return text if granted.grace_ends_at is None else f"{text} until {_time(granted.grace_ends_at)}"


def _override_line(part: Part) -> str:
    override = part.override
    assert override is not None
    if part.problem is not None:
        return f"override {override.op} ignored: {part.problem}"
    value = "" if override.value is None else f" {_shown(part.value)}"
    until = "" if override.expires_at is None else f", until {_time(override.expires_at)}"
    actor, reason = override.actor or "unknown", override.reason or "no reason given"
    return f"override {override.op}{value}, by {actor}{until}: {reason}"


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "included" if value else "not included"
    return "unlimited" if value is None else str(value) or "nothing"


def _time(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
