"""What grants add to a feature: an allocated limit is raised, a consumable's balance is drawn down.

A consumable's limit is its allowance, what is left of the grants, and what this period has drawn from them.
Drawing and releasing move units between the last two, so the limit stays as it is until a grant begins, ends
or is changed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..plans import MAX_AMOUNT
from .features import FeatureEntitlement, Part, entitle_feature
from .granted import Grant
from .holdings import Holdings
from .subscriptions import JudgedSubscription

GRANTED_KINDS = ("allocated", "consumable")


def entitle_as(
    holdings: Holdings, feature: str, subscriptions: Sequence[JudgedSubscription]
) -> FeatureEntitlement:
    """What the user would have of a feature with these subscriptions; overrides and grants stay."""
    catalogue = holdings.catalogue
    made = entitle_feature(
        catalogue.features[feature], subscriptions, catalogue.default_plan, holdings.overrides
    )
    return with_grants(made, holdings.grants)


def with_grants(
    entitlement: FeatureEntitlement, grants: Iterable[Grant], used: int | None = None
) -> FeatureEntitlement:
    """The same with what the user's grants add. `used`: what this period has used, holds apart; None: no more
    than the allowance and what was drawn from grants."""
    own = [
        each
        for each in grants
        if each.feature == entitlement.feature and (each.in_force or each.drawn.in_period)
    ]
    if entitlement.kind not in GRANTED_KINDS or not own:
        return entitlement
    parts = [part for part in entitlement.parts if part.source != "grant"]
    problem = _problem(entitlement, parts)
    adding = [] if problem else [each for each in own if _worth(entitlement, each)]
    shown = [_part(entitlement, each, problem) for each in own]
    limit = entitlement.allowance if problem else _limit(entitlement, adding, used)
    return replace(
        entitlement,
        limit=limit,
        value=entitlement.value if problem else limit,
        parts=(*parts, *shown),
        grants=tuple(adding),
    )


def _worth(entitlement: FeatureEntitlement, grant: Grant) -> int:
    """What a grant adds to the limit now."""
    if entitlement.kind == "allocated":
        return grant.amount if grant.in_force else 0
    return grant.left + grant.drawn.in_period


def _limit(entitlement: FeatureEntitlement, grants: Sequence[Grant], used: int | None) -> int:
    allowance = entitlement.allowance or 0
    if entitlement.kind == "allocated" or not grants:
        return min(allowance + sum(_worth(entitlement, each) for each in grants), MAX_AMOUNT)
    drawn = sum(each.drawn.in_period for each in grants)
    total = drawn if used is None else used
    # What was used beyond the allowance, as before a downgrade, leaves the grants as they are.
    of_allowance = max(total - drawn, 0)
    return min(total + max(allowance - of_allowance, 0) + sum(each.left for each in grants), MAX_AMOUNT)


def _part(entitlement: FeatureEntitlement, grant: Grant, problem: str | None) -> Part:
    worth = _worth(entitlement, grant)
    return Part("grant", grant.id, worth, problem is None and worth > 0, grant=grant, problem=problem)


def _problem(entitlement: FeatureEntitlement, parts: Iterable[Part]) -> str | None:
    """Why grants add nothing."""
    overrides = [part for part in parts if part.source == "override" and part.counted]
    if any(_denies(part) for part in overrides):
        return "an override denies the feature"
    return "the limit is unlimited anyway" if entitlement.allowance is None else None


def _denies(part: Part) -> bool:
    """Whether an override takes the whole feature away."""
    return part.value == 0 if part.id == "set" else part.id == "remove" and part.value is None
