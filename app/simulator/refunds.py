"""Refunds of the charges of invoices and of checkout sessions."""

from collections.abc import Mapping

from .checkout import Checkouts
from .model import Charge, Record, frozen
from .payments import refund_of


class Refunds(Checkouts):
    """What an account does with charges whose money goes back."""

    def refund_charge(
        self,
        charge: Charge,
        amount: int | None = None,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Record:
        """Refund what is left of a charge, or `amount` in minor units of it. See `fail_refund`."""
        before = frozen(charge)
        amount = charge.amount - charge.amount_refunded if amount is None else amount
        refund = refund_of(charge, amount, self.new_id("re"), self.now)
        refund.content |= {"reason": reason, "metadata": dict(metadata or {})}
        self.add_record(refund, "refund")
        charge.amount_refunded += amount
        self._emit("charge.refunded", charge, before)
        return refund

    def fail_refund(self, refund: Record, *, status: str = "failed") -> None:
        """The bank sends a refund's money back: "Refunds", failed refunds. Or it is `canceled`.

        The charge no longer counts it, and no event says so of the charge.
        """
        members = {"status": status, "failure_reason": "lost_or_stolen_card" if status == "failed" else None}
        before = frozen(refund)
        self.change_record(refund, members, "refund")
        self._emit("charge.refund.updated", refund, before)
        if status == "failed":
            self._emit("refund.failed", refund)
        for charge in self.charges.values():
            if charge.id == refund.content["charge"]:
                charge.amount_refunded -= refund.content["amount"]
