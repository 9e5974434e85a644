"""Checkout sessions: opened by the application, completed by the buyer, or expired after a day."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .model import CheckoutSession, Customer, Discount, Price, Record, Subscription
from .shapes import Json
from .sign_up import SignUps


class Checkouts(SignUps):
    """What an account does with checkout sessions. Opening one is no event, as at Stripe."""

    def open_checkout(
        self,
        items: Sequence[tuple[str, int]],
        *,
        customer: str | None = None,
        customer_email: str | None = None,
        client_reference_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
        subscription_metadata: Mapping[str, str] | None = None,
        trial_days: int = 0,
        success_url: str = "https://app.example/welcome",
        cancel_url: str | None = None,
        discounts: Sequence[Discount] = (),
        currency: str | None = None,
        subscription_details: Json | None = None,
    ) -> CheckoutSession:
        """A session that sells a subscription of items (price id, quantity), open for a day.

        `subscription_details` are members of the subscription that are kept and shown as they are.

        Raises:
            KeyError: for a price that the account does not have, or not in the currency.
        """
        lines = [(self._in_currency(self.prices[price], currency), quantity) for price, quantity in items]
        total = 0 if trial_days else sum(price.unit_amount * quantity for price, quantity in lines)
        session = CheckoutSession(
            self.new_id("cs_test" if not self.livemode else "cs_live"),
            self.now,
            customer,
            None,
            None,
            client_reference_id,
            dict(metadata or {}),
            total,
            lines[0][0].currency,
            "open",
            success_url,
            cancel_url,
            customer_email=customer_email,
            line_items=lines,
            trial_days=trial_days,
            subscription_metadata=dict(subscription_metadata or {}),
            discounts=list(discounts),
            subscription_details=dict(subscription_details or {}),
        )
        for discount in discounts:
            discount.checkout_session = session.id
        session.amount_total = total - session.amount_discount
        self.sessions[session.id] = session
        return session

    def _in_currency(self, price: Price, currency: str | None) -> Price:
        amount = price.amount_in(currency) if currency is not None else price.unit_amount
        if amount is None:
            raise KeyError(currency)
        return replace(price, unit_amount=amount, currency=currency or price.currency)

    def pay_checkout(self, session: CheckoutSession) -> Subscription:
        """The buyer fills in the page: customer, subscription and first invoice, and all their events.

        A session that is complete stays as it is.

        Raises:
            ValueError: for a session that has expired.
        """
        if session.subscription is not None:
            return self.subscriptions[session.subscription]
        if session.status == "expired" or self.now >= session.expires_at:
            raise ValueError(f"The checkout session {session.id} has expired.")
        known = self.customers.get(session.customer or "")
        subscription = self.subscribe(
            known or self.add_customer(session.customer_email or "buyer@example.com", {}),
            [(price.id, quantity) for price, quantity in session.line_items],
            session.subscription_metadata,
            trial_days=session.trial_days,
            paid=None,
            discounts=session.discounts,
            default_payment_method=self._given_card(session, known),
            details=session.subscription_details,
        )
        for discount in session.discounts:
            self.count_redemption(discount)
        if not session.trial_days:
            self.complete_sign_up(subscription)
        session.customer, session.subscription = subscription.customer, subscription.id
        session.invoice, session.status, session.url = subscription.latest_invoice, "complete", None
        self._emit("checkout.session.completed", session)
        return subscription

    def _given_card(self, session: CheckoutSession, known: Customer | None) -> str | None:
        """The card that the buyer types in for a trial; without a trial the first payment brings one."""
        asked = session.details.get("payment_method_collection") != "if_required"
        has_card = known is not None and known.default_payment_method is not None
        return self.new_id("pm") if session.trial_days and asked and not has_card else None

    def discount_checkout(self, session: CheckoutSession, coupon: Record, code: Record | None = None) -> None:
        """Apply a coupon to an open session, as a buyer does with a promotion code."""
        discount = Discount(
            self.new_id("di"),
            dict(coupon.content),
            self.now,
            promotion_code=code.id if code is not None else None,
            checkout_session=session.id,
        )
        subtotal = session.amount_subtotal
        session.discounts = [discount]
        if subtotal is not None:
            session.amount_total = subtotal - session.amount_discount

    def fail_async_payment(self, session: CheckoutSession) -> None:
        """A bank debit that was begun at checkout did not go through."""
        self._emit("checkout.session.async_payment_failed", session)

    def succeed_async_payment(self, session: CheckoutSession) -> None:
        """A bank debit that was begun at checkout went through, days later."""
        self._emit("checkout.session.async_payment_succeeded", session)

    def expire_checkout(self, session: CheckoutSession) -> None:
        """Nobody bought.

        Raises:
            ValueError: for a session that is not open.
        """
        if session.status != "open":
            raise ValueError(f"The checkout session {session.id} is {session.status}, not open.")
        session.status, session.url = "expired", None
        self._emit("checkout.session.expired", session)
