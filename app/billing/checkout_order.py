"""What a user is to buy in a checkout session, and the bounds of an order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import InvalidRequest
from .return_urls import check_return_url

TrialWithoutCard = Literal["cancel", "pause", "create_invoice"]
UiMode = Literal["hosted", "embedded"]

MAX_ITEMS = 20
"""Recurring prices of one session ("Create a Checkout Session", `line_items`)."""
MAX_TRIAL_DAYS = 730
MAX_METADATA = 45
"""Keys of `metadata`. Stripe has 50 ("Metadata"); the others are for what says whose the subscription is."""
MAX_METADATA_KEY, MAX_METADATA_VALUE = 40, 500
"""Characters ("Metadata")."""


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One line of an order: a plan or an add-on by its name, or one of their prices.

    `quantity` None for a price that is metered.
    """

    plan: str | None = None
    addon: str | None = None
    price_id: str | None = None
    quantity: int | None = 1


@dataclass(frozen=True, slots=True)
class Order:
    """What a user is to buy: a plan or a price, or several `items`.

    A plan or an add-on by its name stands for its first price, or for the one of `interval` and `currency`.
    `key` makes a repeated order the same session for a day. `allow_second`: also for a user who subscribes
    already. `confirm`: also where the usage does not fit. `docs/checkout.md` describes each option.
    """

    user_id: str
    success_url: str | None = None
    cancel_url: str | None = None
    price_id: str | None = None
    plan: str | None = None
    quantity: int | None = 1
    """None for a price that is metered."""
    trial_days: int | None = None
    """None: what the plan offers; 0: no trial."""
    email: str | None = None
    """For the page, and for a customer that is made."""
    key: str | None = None
    allow_second: bool = False
    items: tuple[OrderItem, ...] = ()
    interval: str | None = None
    """`month`, `year`, `3 months`: as `offered_prices` names it."""
    currency: str | None = None
    confirm: bool = False
    ui_mode: UiMode = "hosted"
    return_url: str | None = None
    """Of an embedded page; without it the page does not redirect, and Stripe.js calls `onComplete`."""
    trial_without_card: TrialWithoutCard | None = None
    """What happens at the end of a trial for which no card was asked; None: a card is asked for."""
    allow_promotion_codes: bool = False
    promotion_code: str | None = None
    """Its id, or what a buyer would type."""
    coupon: str | None = None
    automatic_tax: bool = False
    tax_id_collection: bool = False
    billing_address_collection: Literal["auto", "required"] | None = None
    locale: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Of the session and of the subscription."""
    stripe_params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lines(self) -> tuple[OrderItem, ...]:
        """What is bought, written either way."""
        return self.items or (OrderItem(self.plan, None, self.price_id, self.quantity),)

    @property
    def back_url(self) -> str | None:
        """Where a user goes who does not buy."""
        return self.cancel_url or self.return_url


def check_order(order: Order, allowed_origins: tuple[str, ...]) -> None:
    """
    Raises:
        InvalidRequest: when the order contradicts itself or exceeds a bound, and when an address is not on
            one of the allowed origins.
    """
    _check_addresses(order, allowed_origins)
    _check_items(order)
    if order.trial_days is not None and not 0 <= order.trial_days <= MAX_TRIAL_DAYS:
        raise InvalidRequest(f"trial_days: a whole number from 0 to {MAX_TRIAL_DAYS}.")
    if sum((order.allow_promotion_codes, order.promotion_code is not None, order.coupon is not None)) > 1:
        raise InvalidRequest("Give one of allow_promotion_codes, promotion_code and coupon.")


def _check_addresses(order: Order, allowed: tuple[str, ...]) -> None:
    hosted = order.ui_mode == "hosted"
    given = {
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
        "return_url": order.return_url,
    }
    for name in ("return_url",) if hosted else ("success_url", "cancel_url"):
        if given[name] is not None:
            raise InvalidRequest(f"{name}: not with ui_mode {order.ui_mode!r}. Leave it out.")
    if hosted and order.success_url is None:
        raise InvalidRequest("success_url: needed, unless ui_mode is 'embedded'.")
    for name, url in given.items():
        if url is not None:
            check_return_url(url, allowed, name)


def _check_items(order: Order) -> None:
    if order.items and (order.plan, order.price_id, order.quantity) != (None, None, 1):
        raise InvalidRequest("Give either items, or a plan or a price_id with its quantity.")
    if len(order.items) > MAX_ITEMS:
        raise InvalidRequest(f"items: {MAX_ITEMS} at most.")
    for item in order.lines:
        if sum(each is not None for each in (item.plan, item.addon, item.price_id)) != 1:
            among = "a plan, an addon or a price_id" if order.items else "a plan or a price_id"
            raise InvalidRequest(f"Give either {among}.")
