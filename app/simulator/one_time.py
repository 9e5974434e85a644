"""Checkout sessions of the mode `payment`: something is bought once, perhaps by a payment that takes days."""

from collections.abc import Mapping, Sequence

from .checkout import Checkouts
from .ids import derived_id
from .model import Charge, CheckoutSession, Dispute, Record, frozen
from .payments import payment_intent_id, refund_of


class OneTimePurchases(Checkouts):
    """What an account does with purchases that no subscription follows from."""

    def open_once(
        self,
        items: Sequence[tuple[str, int]],
        *,
        customer: str | None = None,
        client_reference_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
        success_url: str = "https://app.example/welcome",
        cancel_url: str | None = None,
    ) -> CheckoutSession:
        """A session that sells items (price id, quantity) once, open for a day.

        Raises:
            KeyError: for a price that the account does not have.
        """
        session = self.open_checkout(
            items,
            customer=customer,
            client_reference_id=client_reference_id,
            metadata=metadata,
            success_url=success_url,
            cancel_url=cancel_url,
        )
        session.mode = "payment"
        return session

    def pay_once(self, session: CheckoutSession, *, delayed: bool = False) -> CheckoutSession:
        """The buyer fills in the page. `delayed`: by a bank debit; see `complete_delayed_payment`.

        A session that is complete stays as it is.

        Raises:
            ValueError: for a session that has expired.
        """
        if session.status == "complete":
            return session
        if session.status == "expired" or self.now >= session.expires_at:
            raise ValueError(f"The checkout session {session.id} has expired.")
        if session.amount_total:
            session.payment_intent = payment_intent_id(session.id)
        session.status, session.url, session.is_delayed = "complete", None, delayed
        self._emit("checkout.session.completed", session)
        return session

    def complete_delayed_payment(self, session: CheckoutSession) -> None:
        """The delayed payment of a session went through."""
        session.is_delayed = False
        self.succeed_async_payment(session)

    def charge_of_session(self, session: CheckoutSession) -> Charge:
        """The charge that paid a session."""
        if session.id not in self.charges:
            self.charges[session.id] = Charge(
                derived_id("ch", session.id),
                self.now,
                session.customer or "",
                session.id,
                session.amount_total or 0,
                session.currency,
            )
        return self.charges[session.id]

    def refund_once(self, session: CheckoutSession, amount: int | None = None) -> Charge:
        """Refund a session's charge, wholly or by `amount` in minor units. See `fail_refund`."""
        charge = self.charge_of_session(session)
        before = frozen(charge)
        amount = charge.amount - charge.amount_refunded if amount is None else amount
        self.add_record(refund_of(charge, amount, self.new_id("re"), self.now), "refund")
        charge.amount_refunded += amount
        self._emit("charge.refunded", charge, before)
        return charge

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

    def dispute_once(self, session: CheckoutSession) -> Dispute:
        """The buyer's bank takes the payment back for now; `close_dispute` ends it."""
        charge = self.charge_of_session(session)
        charge.disputed = True
        intent = payment_intent_id(session.id)
        dispute = Dispute(
            self.new_id("dp"), self.now, charge.id, charge.amount, charge.currency, payment_intent=intent
        )
        self.disputes[dispute.id] = dispute
        self._emit("charge.dispute.created", dispute)
        return dispute
