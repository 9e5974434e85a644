"""How much of a purchase's money went back. Times are Unix seconds, amounts minor currency units.

A charge says how much of it was refunded in all, and a refund says what became of it: one that failed or was
canceled later left the money with the seller ("Refunds", failed refunds). Stripe lowers `amount_refunded` of
the charge when a refund fails, and sends no event of the charge then. So what a charge says counts the
refunds that had not failed at that time. Where a refund is known by the charge alone, because its own event
never arrived, it is what the charge counts beyond the refunds that are known.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

ENDED_IN_VAIN = frozenset({"failed", "canceled"})
"""The statuses of a refund that gave nothing back. Both are final."""


class Refunded(NamedTuple):
    """What was charged (0: not known), how much of it went back, and when."""

    charged: int
    back: int
    moments: tuple[int, ...]


class Stated(NamedTuple):
    """What the events of a charge say of its refunds, merged in any order. See `Purchase.refunds`."""

    charged: int
    most: int
    """The most that any event says was refunded."""
    at: int
    """When: the earliest `created` of the events that say the most."""
    newest_at: int
    newest: int
    """What the newest event says was refunded; of two of the same second, the greater amount."""

    @classmethod
    def of(cls, stored: Sequence[int]) -> "Stated":
        """Read it as it is stored. Older rows have the first three alone: the most is the newest."""
        charged, most, at, *rest = stored
        newest_at, newest = rest or (at, most)
        return cls(charged, most, at, newest_at, newest)

    def merged(self, other: "Stated") -> "Stated":
        """Both together; the same in any order."""
        most = max(self, other, key=lambda each: (each.most, -each.at, each.charged))
        newest = max(self, other, key=lambda each: (each.newest_at, each.newest))
        return Stated(most.charged, most.most, most.at, newest.newest_at, newest.newest)


def refunded(refunds: Mapping[str, Any]) -> Refunded:
    """What the refunds of a stored purchase amount to: see `Purchase.refunds`.

    What the charges count is made of refunds that are known one by one, and of others: those are found in the
    most that was ever counted, less all known refunds, and in the newest count, less those that had not
    failed before it. One that failed in the same second is still counted. A refund that is known, but newer
    than the newest count, can hide one of the others until the charge is heard of again.
    """
    charges = [Stated.of(each) for each in refunds.values() if isinstance(each, list)]
    known = [each for each in refunds.values() if not isinstance(each, list)]
    kept = [each for each in known if each["failed_at"] is None]
    # A payment intent has one charge that succeeded. Of more than one the earliest takes the least back.
    newest_at = min((each.newest_at for each in charges), default=0)
    counted = [each for each in known if each["failed_at"] is None or each["failed_at"] >= newest_at]
    in_most = sum(each.most for each in charges) - _sum(known)
    in_newest = sum(each.newest for each in charges) - _sum(counted)
    unseen = max(in_most, in_newest, 0)
    moments = [each["at"] for each in kept]
    if unseen:
        moments += [each.newest_at if in_newest > in_most else each.at for each in charges]
    return Refunded(sum(each.charged for each in charges), _sum(kept) + unseen, tuple(moments))


def last_failed(refunds: Mapping[str, Any], before: int) -> str | None:
    """The id of the refund that failed or was canceled last before `before` (Unix seconds), if any."""
    failed = [
        (each["failed_at"], id)
        for id, each in refunds.items()
        if not isinstance(each, list) and each["failed_at"] is not None and each["failed_at"] < before
    ]
    return max(failed)[1] if failed else None


def _sum(refunds: list[Mapping[str, Any]]) -> int:
    return sum(each["amount"] for each in refunds)
