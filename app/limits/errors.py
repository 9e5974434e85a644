"""Denials, as exceptions that carry the whole decision."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from ..entitlements import Act, Decision
from ..errors import Denied
from ..plans import Catalogue

ACTS: Final[dict[Act, str]] = {
    "pay": "Paying the open invoice restores access.",
    "update_payment_method": "A working payment method restores access: add one in the billing portal.",
    "resume": "Resuming the subscription restores access.",
}


NO_TITLES: Final[Mapping[str, str]] = MappingProxyType({})


class DeniedByDecision(Denied):
    """A denial. `decision` says why, and what would help."""

    def __init__(self, decision: Decision, titles: Mapping[str, str] = NO_TITLES) -> None:
        super().__init__(_sentence(decision, titles), **_facts(decision))
        self.decision = decision


class LimitExceeded(DeniedByDecision):
    """What is used and what was asked for are more than the limit that holds now."""

    title = "Limit exceeded"


class FeatureNotIncluded(DeniedByDecision):
    """The user has nothing at all of the feature."""

    title = "Feature not included"


def denial(decision: Decision, catalogue: Catalogue | None = None) -> DeniedByDecision:
    """The exception for a decision that denies; with the catalogue its advice names plans as people do."""
    titles = {plan.id: plan.title for plan in catalogue.plans.values()} if catalogue else NO_TITLES
    kind = FeatureNotIncluded if decision.limit == 0 else LimitExceeded
    return kind(decision, titles)


def _facts(decision: Decision) -> dict[str, Any]:
    """The decision's members; `status` alone is HTTP's in a problem (RFC 9457)."""
    facts = decision._asdict()
    return facts | {"subscription_status": facts.pop("status")}


def _sentence(decision: Decision, titles: Mapping[str, str]) -> str:
    what = f"{decision.feature}: {decision.requested} requested, {decision.used} used"
    of = "nothing included" if decision.limit == 0 else f"limit {decision.limit}"
    help_ = f" {ACTS[decision.act]}" if decision.act else ""
    if not help_ and decision.upgrade_to:
        help_ = f" Allowed on {', '.join(titles.get(plan, plan) for plan in decision.upgrade_to)}."
    return f"{what}, {of} ({decision.reason}).{help_}"
