"""Denials, as exceptions that carry the whole decision."""

from typing import Any

from ..entitlements import Decision
from ..errors import Denied


class DeniedByDecision(Denied):
    """A denial. `decision` says why, and what would help."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(_sentence(decision), **_facts(decision))
        self.decision = decision


class LimitExceeded(DeniedByDecision):
    """What is used and what was asked for are more than the limit that holds now."""

    title = "Limit exceeded"


class FeatureNotIncluded(DeniedByDecision):
    """The user has nothing at all of the feature."""

    title = "Feature not included"


def denial(decision: Decision) -> DeniedByDecision:
    """The exception for a decision that denies."""
    return FeatureNotIncluded(decision) if decision.limit == 0 else LimitExceeded(decision)


def _facts(decision: Decision) -> dict[str, Any]:
    """The decision's members; `status` alone is HTTP's in a problem (RFC 9457)."""
    facts = decision._asdict()
    return facts | {"subscription_status": facts.pop("status")}


def _sentence(decision: Decision) -> str:
    what = f"{decision.feature}: {decision.requested} requested, {decision.used} used"
    of = "nothing included" if decision.limit == 0 else f"limit {decision.limit}"
    help_ = {
        "payment_required": " Paying the open invoice restores access.",
        "paused": " Resuming the subscription restores access.",
    }.get(decision.reason, "")
    if not help_ and decision.upgrade_to:
        help_ = f" Allowed on {', '.join(decision.upgrade_to)}."
    return f"{what}, {of} ({decision.reason}).{help_}"
