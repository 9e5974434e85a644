"""What was bought once, as grants, less what refunds and lost disputes took back. Times are Unix seconds."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from ..plans.credits import MAX_AMOUNT_ONCE
from .granted import Grant
from .refunds import refunded

DAY = 86_400


class PurchaseRecord(Protocol):
    """A stored purchase; amounts of money in minor currency units."""

    @property
    def id(self) -> str: ...
    @property
    def offer(self) -> str | None: ...
    @property
    def quantity(self) -> int | None: ...
    @property
    def gives(self) -> Mapping[str, Any] | None: ...
    @property
    def paid_at(self) -> int | None: ...
    @property
    def amount(self) -> int | None: ...
    @property
    def refunds(self) -> Mapping[str, Any]: ...
    @property
    def disputes(self) -> Mapping[str, Any]: ...


def grants_of(purchase: PurchaseRecord) -> list[Grant]:
    """The grants that a purchase gives: none before it is paid."""
    paid_at, gives = purchase.paid_at, purchase.gives
    if paid_at is None or not gives:
        return []
    return [*_amounts(purchase, gives, paid_at), *_plan(purchase, gives, paid_at)]


def grant_id(purchase_id: str, feature: str) -> str:
    return f"{purchase_id}:{feature}"


def clawed_back(purchase: PurchaseRecord) -> dict[str, int]:
    """What was taken back of each feature."""
    return {each.feature: each.clawed_back for each in grants_of(purchase) if each.feature is not None}


def _amounts(purchase: PurchaseRecord, gives: Mapping[str, Any], paid_at: int) -> Iterator[Grant]:
    back, of = _went_back(purchase, gives)
    days = gives.get("expires_days")
    for feature, one in sorted((gives.get("amounts") or {}).items()):
        # Databases count to 2**63 - 1: so great a purchase leaves room for all others.
        amount = min(one * max(purchase.quantity or 1, 1), MAX_AMOUNT_ONCE)
        taken_back = amount if back >= of else amount * back // of
        yield Grant(
            id=grant_id(purchase.id, feature),
            source="purchase",
            feature=feature,
            amount=amount - taken_back,
            plan=None,
            starts_at=paid_at,
            expires_at=None if days is None else paid_at + days * DAY,
            created_at=paid_at,
            priority=gives.get("priority") or 0,
            offer=purchase.offer,
            clawed_back=taken_back,
        )


def _plan(purchase: PurchaseRecord, gives: Mapping[str, Any], paid_at: int) -> Iterator[Grant]:
    if (plan := gives.get("plan")) is None:
        return
    back, of = _went_back(purchase, gives)
    yield Grant(
        id=purchase.id,
        source="purchase",
        feature=None,
        amount=0,
        plan=plan,
        starts_at=paid_at,
        expires_at=max(_moments(purchase, gives), default=paid_at) if back >= of else None,
        created_at=paid_at,
        offer=purchase.offer,
    )


def _went_back(purchase: PurchaseRecord, gives: Mapping[str, Any]) -> tuple[int, int]:
    """How much of the money went back, by the offer's policy, and of how much."""
    found = refunded(purchase.refunds)
    paid = found.charged or purchase.amount or 0
    back = found.back if gives.get("refund") != "none" else 0
    if gives.get("dispute") != "none":
        back += sum(each["amount"] for each in purchase.disputes.values() if each["status"] == "lost")
    return (back, paid) if paid > 0 else (min(back, 1), 1)


def _moments(purchase: PurchaseRecord, gives: Mapping[str, Any]) -> list[int]:
    """When money went back that counts by the offer's policy."""
    found: list[int] = []
    if gives.get("refund") != "none":
        found += refunded(purchase.refunds).moments
    if gives.get("dispute") != "none":
        found += [each["created"] for each in purchase.disputes.values() if each["status"] == "lost"]
    return found
