"""How much of a purchase's money went back. Times are Unix seconds, amounts minor currency units.

A charge says how much of it was refunded in all, and a refund says what became of it: one that failed or was
canceled later left the money with the seller ("Refunds", failed refunds). Whether a charge counts a failed
refund any more makes no difference here, and neither does an event of a refund that never arrived.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

ENDED_IN_VAIN = frozenset({"failed", "canceled"})
"""The statuses of a refund that gave nothing back. Both are final."""


class Refunded(NamedTuple):
    """What was charged (0: not known), how much of it went back, and when."""

    charged: int
    back: int
    moments: tuple[int, ...]


def refunded(refunds: Mapping[str, Any]) -> Refunded:
    """What the refunds of a stored purchase amount to: see `Purchase.refunds`.

    The most that the charges ever counted is made of refunds that are known one by one, and of others.
    """
    charges = [each for each in refunds.values() if isinstance(each, list)]
    known = [each for each in refunds.values() if not isinstance(each, list)]
    kept = [each for each in known if each["failed_at"] is None]
    counted = sum(refunded for _, refunded, _ in charges)
    unseen = max(counted - sum(each["amount"] for each in known), 0)
    moments = [each["at"] for each in kept] + ([at for _, _, at in charges] if unseen else [])
    back = sum(each["amount"] for each in kept) + unseen
    return Refunded(sum(amount for amount, _, _ in charges), back, tuple(moments))
