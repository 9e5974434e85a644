"""How a customer and a subscription come to be."""

from collections.abc import Mapping, Sequence

from .model import DAY, Customer, Discount, Item, Subscription
from .schedules import Schedules
from .shapes import Json


class SignUps(Schedules):
    """New customers, and new subscriptions up to their first payment."""

    def add_customer(
        self, email: str | None, metadata: Mapping[str, str], *, name: str | None = None
    ) -> Customer:
        """As `create_customer`, with metadata of any key."""
        return self.keep_customer(self.new_customer(email, metadata, name=name))

    def new_customer(
        self,
        email: str | None,
        metadata: Mapping[str, str],
        *,
        name: str | None = None,
        details: Json | None = None,
    ) -> Customer:
        """A customer that `keep_customer` has yet to announce; `details` are shown as they are."""
        customer = Customer(self.new_id("cus"), self.now, email, dict(metadata), name)
        customer.details = dict(details or {})
        self.customers[customer.id] = customer
        return customer

    def keep_customer(self, customer: Customer) -> Customer:
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
        discounts: Sequence[Discount] = (),
        default_payment_method: str | None = None,
        details: Json | None = None,
    ) -> Subscription:
        """As `create_subscription`, for items of (price id, quantity) and metadata of any key.

        `details` are members that are kept and shown as they are.
        """
        start = self.now
        made = [self._item(name, quantity, start, trial_days) for name, quantity in items]
        status = "trialing" if trial_days else "incomplete"
        subscription = Subscription(
            self.new_id("sub"), customer.id, status, start, start, made, dict(metadata)
        )
        subscription.discounts, subscription.details = list(discounts), dict(details or {})
        subscription.default_payment_method = default_payment_method
        for discount in discounts:
            discount.subscription = subscription.id
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
            if not self._has_payment_method(subscription):
                subscription.default_payment_method = self.new_id("pm")

    def activate_unpaid(self, subscription: Subscription, days_until_due: int) -> None:
        """A subscription whose invoices are sent is active before the first one is paid."""
        invoice = self._open_invoice(subscription)
        invoice.collection_method, invoice.due_date = "send_invoice", self.now + days_until_due * DAY
        self._set_status(subscription, "active", only_from=("incomplete",))

    def _has_payment_method(self, subscription: Subscription) -> bool:
        """Whether a card is known; otherwise the buyer types one in, of which only the id is known."""
        own, customer = subscription.default_payment_method, self.customers[subscription.customer]
        return own is not None or customer.default_payment_method is not None
