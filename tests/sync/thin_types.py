"""Every thin type about objects of API v1 that the installed library knows, and what makes Stripe send it."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import stripe.events

from app.simulator import Account, Customer, Invoice, Subscription
from app.simulator.billing import Charge, Dispute
from app.simulator.model import Entity, Price, Record
from app.simulator.payments import payment_record


@cache
def all_thin_types() -> dict[str, str | None]:
    """By type: the library's name for the class of the object that it names; None where it names none."""
    found: dict[str, str | None] = {}
    for module in pkgutil.iter_modules(stripe.events.__path__):
        if not module.name.startswith("_v1_"):
            continue
        members = vars(importlib.import_module(f"stripe.events.{module.name}"))
        notifications: list[Any] = [
            each
            for name, each in members.items()
            if inspect.isclass(each) and name.startswith("V1") and name.endswith("EventNotification")
        ]
        [notification] = notifications
        fetch = getattr(notification, "fetch_related_object", None)
        found[notification.LOOKUP_TYPE] = fetch.__annotations__["return"] if fetch else None
    return found


@dataclass
class Life:
    """A user with a subscription that was paid for a month, and who lives on in `account`."""

    account: Account
    user_id: str
    customer: Customer = field(init=False)
    subscription: Subscription = field(init=False)
    invoice: Invoice = field(init=False)

    def __post_init__(self) -> None:
        account = self.account
        self.customer = account.create_customer(f"{self.user_id}@example.com", user_id=self.user_id)
        self.subscription = account.create_subscription(self.customer, ("price_team", "price_more_projects"))
        account.advance(3600)
        self.invoice = account.renew(self.subscription)
        account.advance(3600)

    @property
    def charge(self) -> Charge:
        return self.account.charge(self.invoice)

    def owe(self) -> Invoice:
        """An invoice whose first attempt failed."""
        return self.account.renew(self.subscription, paid=False)

    def draft(self) -> Invoice:
        return self.account.draft_invoice(self.customer, self.subscription.id)

    def dispute(self) -> Dispute:
        return self.account.dispute(self.invoice)

    def price(self) -> Price:
        return self.account.create_price(f"price_of_{self.user_id}", 900)

    def product(self) -> Record:
        return self.account.ensure_product("prod_simulated", self.account.now)

    def record(self, kind: str, **content: object) -> Record:
        """An object that is kept as it is."""
        id = f"{kind.replace('.', '_')}_{self.user_id}"
        named = {"id": id, "object": kind, "livemode": False, "created": self.account.now}
        return self.account.add_record(Record(id, self.account.now, kind, named | content))

    def credit_note(self) -> Record:
        return self.record("credit_note", invoice=self.owe().id, customer=self.customer.id, amount=100)

    def refund(self) -> Record:
        return self.record("refund", charge=self.charge.id, amount=100, status="succeeded")


Change = Callable[[Life], object]
Prepare = Callable[[Life], Entity]


@dataclass(frozen=True)
class Story:
    """`prepare`: what both services hear of before; it gives the object. `change`: what the event is about.

    Without a change the event alone is made, about the object as it is. `snapshot`: the type of the snapshot
    event about the same change, where it is not the thin one's.
    """

    prepare: Prepare
    change: Change | None = None
    snapshot: str | None = None


def _subscription(change: Change | None = None, snapshot: str | None = None) -> Story:
    return Story(lambda life: life.subscription, change, snapshot)


def _after(first: Change, change: Change, snapshot: str | None = None) -> Story:
    """A change of the subscription after another one."""

    def prepare(life: Life) -> Entity:
        first(life)
        life.account.advance(3600)
        return life.subscription

    return Story(prepare, change, snapshot)


UPDATED = "customer.subscription.updated"
CREATED = "customer.subscription.created"
SUBSCRIPTION: dict[str, Story] = {
    "created": _subscription(lambda life: life.account.create_subscription(life.customer, trial_days=3)),
    "updated": _subscription(lambda life: life.account.change_quantity(life.subscription, 4)),
    "deleted": _subscription(lambda life: life.account.cancel_now(life.subscription)),
    "paused": _subscription(lambda life: life.account.pause(life.subscription)),
    "resumed": _after(
        lambda life: life.account.pause(life.subscription),
        lambda life: life.account.resume(life.subscription),
    ),
    "trial_will_end": Story(
        lambda life: life.account.create_subscription(life.customer, trial_days=7),
        lambda life: life.account.warn_of_trial_end(list(life.account.subscriptions.values())[-1]),
    ),
    "pending_update_applied": _after(
        lambda life: life.account.propose_update(life.subscription, 5),
        lambda life: life.account.apply_pending_update(life.subscription, 5),
    ),
    "pending_update_expired": _after(
        lambda life: life.account.propose_update(life.subscription, 5),
        lambda life: life.account.expire_pending_update(life.subscription),
    ),
    "active": _after(
        lambda life: life.account.pause(life.subscription),
        lambda life: life.account.resume(life.subscription),
        UPDATED,
    ),
    "trialing": _subscription(
        lambda life: life.account.create_subscription(life.customer, trial_days=3), CREATED
    ),
    "incomplete": _subscription(
        lambda life: life.account.create_subscription(life.customer, paid=None), CREATED
    ),
    "incomplete_expired": Story(
        lambda life: life.account.create_subscription(life.customer, "price_team", paid=False),
        lambda life: life.account.expire_sign_up(list(life.account.subscriptions.values())[-1]),
        UPDATED,
    ),
    "past_due": _subscription(Life.owe, UPDATED),
    "unpaid": Story(
        lambda life: life.owe(),
        lambda life: life.account.give_up(list(life.account.invoices.values())[-1]),
        UPDATED,
    ),
    "cancel_at_changed": _subscription(
        lambda life: life.account.cancel_at_period_end(life.subscription), UPDATED
    ),
    "default_payment_method_changed": _subscription(
        lambda life: life.account.change_payment_method(life.subscription, "pm_other"), UPDATED
    ),
    "item_added": _subscription(
        lambda life: life.account.add_item(life.subscription, "price_starter"), UPDATED
    ),
    "item_removed": _subscription(lambda life: life.account.remove_item(life.subscription), UPDATED),
    "item_price_changed": _subscription(
        lambda life: life.account.change_price(life.subscription, "price_team_yearly"), UPDATED
    ),
    "item_quantity_changed": _subscription(
        lambda life: life.account.change_quantity(life.subscription, 7), UPDATED
    ),
    "item_tax_rates_changed": _subscription(
        lambda life: life.account.change_tax_rates(life.subscription, "txr_1"), UPDATED
    ),
}


def _draft_with(change: Callable[[Life, Invoice], object]) -> Story:
    """A change of an invoice that is not finalized."""
    return Story(Life.draft, lambda life: change(life, list(life.account.invoices.values())[-1]))


def _open_with(change: Callable[[Life, Invoice], object]) -> Story:
    """A change of an invoice that is owed."""
    return Story(Life.owe, lambda life: change(life, list(life.account.invoices.values())[-1]))


MORE_TIME = _open_with(lambda life, it: life.account.change_invoice(it, due_date=life.account.now + 99))
INVOICE: dict[str, Story] = {
    "created": Story(Life.draft),
    "updated": MORE_TIME,
    "deleted": _draft_with(lambda life, it: life.account.delete_invoice(it)),
    "finalized": Story(Life.owe),
    "finalization_failed": _draft_with(lambda life, it: life.account.fail_finalization(it)),
    "marked_uncollectible": _open_with(lambda life, it: life.account.mark_uncollectible(it)),
    "overdue": _open_with(lambda life, it: life.account.mark_overdue(it)),
    "paid": _open_with(lambda life, it: life.account.recover(it)),
    "payment_succeeded": _open_with(lambda life, it: life.account.recover(it)),
    "payment_action_required": Story(Life.owe),
    "payment_attempt_required": Story(Life.owe),
    "payment_failed": _open_with(lambda life, it: life.account.fail_payment(it)),
    "sent": Story(Life.owe),
    "upcoming": _subscription(lambda life: life.account.announce_upcoming(life.subscription)),
    "voided": _open_with(lambda life, it: life.account.void(it)),
    "will_be_due": Story(Life.owe),
    "overpaid": Story(lambda life: life.invoice),
    **{
        name: replace(MORE_TIME, snapshot="invoice.updated")
        for name in (
            "discount_added",
            "discount_removed",
            "line_item_added",
            "line_item_pricing_changed",
            "line_item_quantity_changed",
            "line_item_removed",
        )
    },
}
PRICE: dict[str, Story] = {
    "created": Story(Life.price),
    "updated": Story(
        Life.price, lambda life: life.account.update_price(f"price_of_{life.user_id}", active=False)
    ),
    "deleted": Story(Life.price, lambda life: life.account.delete_price(f"price_of_{life.user_id}")),
    "lookup_key_changed": Story(
        Life.price,
        lambda life: life.account.update_price(f"price_of_{life.user_id}", lookup_key=f"key_{life.user_id}"),
        "price.updated",
    ),
    **{
        name: Story(Life.price, snapshot="price.updated")
        for name in ("activated", "deactivated", "tax_behavior_changed")
    },
}
CHARGE = {
    name: Story(lambda life: life.charge)
    for name in ("captured", "expired", "failed", "pending", "succeeded", "updated")
} | {"refunded": Story(lambda life: life.charge, lambda life: life.account.refund(life.invoice, 500))}
DISPUTE = {
    name: Story(Life.dispute) for name in ("created", "updated", "funds_reinstated", "funds_withdrawn")
} | {
    "closed": Story(
        Life.dispute, lambda life: life.account.close_dispute(list(life.account.disputes.values())[-1])
    )
}
CUSTOMER = {
    "created": Story(lambda life: life.customer),
    "updated": Story(
        lambda life: life.customer,
        lambda life: life.account.update_customer(life.customer, email="new@example.com", user_id="else"),
    ),
    "deleted": Story(lambda life: life.customer, lambda life: life.account.delete_customer(life.customer)),
}


def _session(life: Life) -> Entity:
    return life.account.complete_checkout(life.subscription, life.user_id, user_id=life.user_id)


def _payment(life: Life) -> Entity:
    return payment_record(life.owe())


def _paid_payment(life: Life) -> Entity:
    return payment_record(life.invoice)


def _warning(life: Life) -> Entity:
    return life.account.warn_of_fraud(life.invoice)


STORIES: dict[str, Story] = {
    f"v1.{family}.{name}": story
    for family, stories in {
        "customer.subscription": SUBSCRIPTION,
        "customer": CUSTOMER,
        "invoice": INVOICE,
        "invoice_payment": {
            "open": Story(_payment),
            "canceled": Story(_payment),
            "paid": Story(_paid_payment),
        },
        "charge": CHARGE,
        "charge.dispute": DISPUTE,
        "charge.refund": {"updated": Story(Life.refund)},
        "refund": {name: Story(Life.refund) for name in ("created", "failed", "updated")},
        "checkout.session": {
            name: Story(_session)
            for name in ("completed", "expired", "async_payment_failed", "async_payment_succeeded")
        },
        "credit_note": {name: Story(Life.credit_note) for name in ("created", "updated", "voided")},
        "price": PRICE,
        "product": {
            name: Story(Life.product)
            for name in (
                "activated",
                "created",
                "deactivated",
                "default_price_changed",
                "deleted",
                "tax_code_changed",
                "updated",
            )
        },
        "radar.early_fraud_warning": {
            "created": Story(_warning),
            "updated": Story(_warning),
        },
    }.items()
    for name, story in stories.items()
}
"""By thin type. The families are those of objects that change a record here, or that a reaction is about."""
