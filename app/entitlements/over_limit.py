"""What is more than its limit, as after a downgrade: since when, until when, and what of it stays within."""

from typing import NamedTuple

from ..errors import InvalidRequest
from .snapshot import Entitlements


class OverLimit(NamedTuple):
    """An allocated feature of which more is used than the limit. Times are Unix seconds."""

    feature: str
    used: int
    limit: int
    since: int
    """When it was first seen to be over."""
    until: int | None
    """Until when all of it may stay in use, by `[over_limit] days`; None: no deadline is set."""


def over_limit(entitlements: Entitlements, feature: str) -> OverLimit | None:
    """How a feature is over its limit, with the usage that was loaded; None where it is not.

    A soft limit may be passed, and what a consumable has used is over with its period.

    Raises:
        NotFound: when the catalogue has no such feature.
        InvalidRequest: when the usage was not loaded.
    """
    entitlement = entitlements.feature(feature)
    if entitlement.kind != "allocated" or entitlement.limit is None:
        return None
    used = entitlements.look(feature).used
    if used <= max(entitlement.ceiling, 0):
        return None
    since = (entitlements.over_since or {}).get(feature, entitlements.as_of)
    days = entitlements.catalogue.over_limit_days
    return OverLimit(feature, used, entitlement.limit, since, None if days is None else since + days * 86_400)


def is_within(entitlements: Entitlements, feature: str, rank: int, now: int) -> bool:
    """Whether the user's thing of that rank (the oldest is 1) may stay in use at `now` (Unix seconds).

    All may while usage is within the limit, and until the deadline, where `[over_limit] days` sets one.

    Raises:
        NotFound: when the catalogue has no such feature.
        InvalidRequest: when the rank is no whole number from 1, or the feature is not allocated.
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise InvalidRequest("rank: a whole number from 1, which is the oldest.")
    entitlement = entitlements.feature(feature)
    if entitlement.kind != "allocated":
        raise InvalidRequest(f"Feature {feature} is {entitlement.kind}: nothing of it has a rank.")
    over = over_limit(entitlements, feature)
    if over is not None and over.until is not None and now < over.until:
        return True
    return rank <= entitlement.ceiling
