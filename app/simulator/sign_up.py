"""How a customer and a subscription come to be."""

from collections.abc import Mapping, Sequence

from .ledger import DAY, Ledger
from .model import Customer, Item, Subscription


class SignUps(Ledger):
    """New customers, and new subscriptions up to their first payment."""

    def add_customer(
        self, email: str | None, metadata: Mapping[str, str], *, name: str | None = None
    ) -> Customer:
        """As `create_customer`, with metadata of any key."""
        customer = Customer(self.new_id("cus"), self.now, email, dict(metadata), name)
        self.customers[customer.id] = customer
        self._emit("customer.created", customer)
        return customer

    def subscribe(
        self,
        customer: Customer,
        items: Sequence[tuple[str, int]],
        metadata: Mapping[str, str],
        *,
        trial_days: int = 0,
        paid: bool | None = True,
    ) -> Subscription:
        """As `create_subscription`, for items of (price id, quantity) and metadata of any key."""
        start = self.now
        made = [self._item(name, quantity, start, trial_days) for name, quantity in items]
        status = "trialing" if trial_days else "incomplete"
        subscription = Subscription(
            self.new_id("sub"), customer.id, status, start, start, made, dict(metadata)
        )
        if trial_days:
            subscription.trial_start, subscription.trial_end = start, start + trial_days * DAY
        self.subscriptions[subscription.id] = subscription
        invoice = None if trial_days else self._invoice(subscription, "subscription_create")
        self._emit("customer.subscription.created", subscription)
        if invoice is not None:
            self._finalize(invoice)
            if paid:
                self.complete_sign_up(subscription)
            elif paid is False:
                self._fail(invoice, retry=False)
        return subscription

    def _item(self, price: str, quantity: int, start: int, trial_days: int) -> Item:
        chosen = self.prices[price]
        end = start + (trial_days * DAY if trial_days else chosen.seconds)
        return Item(self.new_id("si"), chosen, quantity, start, start, end)

    def complete_sign_up(self, subscription: Subscription) -> None:
        """The first payment goes through."""
        self._pay(self._open_invoice(subscription))
        with self._update("customer.subscription.updated", subscription):
            subscription.status = "active"
            subscription.default_payment_method = self.new_id("pm")
