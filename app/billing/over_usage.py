"""Refuses what the usage does not fit, unless it is confirmed."""

from collections.abc import Mapping

from ..entitlements import FeaturePreview
from ..errors import Conflict


def refuse_over(over: Mapping[str, FeaturePreview]) -> None:
    """
    Raises:
        Conflict: with `over`, by feature, unless nothing is over.
    """
    if not over:
        return
    listed = ", ".join(f"{key} ({each.used} used, limit {each.limit_then})" for key, each in over.items())
    raise Conflict(
        f'It would be over: {listed}. Nothing was changed. With "confirm": true it is done all the same: '
        "nothing is deleted, but growth is denied.",
        over={key: shown_preview(each) for key, each in over.items()},
    )


def shown_preview(each: FeaturePreview) -> dict[str, int | None]:
    """What answers say of a feature before and after a change."""
    return {
        "limit_now": each.limit_now,
        "limit_then": each.limit_then,
        "used": each.used,
        "over": each.over,
    }
