"""Checkout sessions of the mode `payment`: something is bought once, perhaps by a payment that takes days."""

from collections.abc import Mapping, Sequence

from .ids import derived_id
from .model import Charge, CheckoutSession, Dispute
from .payments import payment_intent_id
from .refunds import Refunds


class OneTimePurchases(Refunds):
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
        if session.payment_status == "paid":
            self.charge_of_session(session)
        self._emit("checkout.session.completed", session)
        return session

    def complete_delayed_payment(self, session: CheckoutSession) -> None:
        """The delayed payment of a session went through."""
        session.is_delayed = False
        self.charge_of_session(session)
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
        self.refund_charge(charge, amount)
        return charge

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
