"""Customers and subscriptions at the simulator for plans of the catalogue."""

from collections.abc import Sequence
from dataclasses import replace

from ..errors import ConfigurationError
from ..plans import Catalogue, Offer
from ..simulator import Account, Customer, Subscription
from ..simulator.model import Price

AMOUNT = 1000
"""What a price costs that the account does not have yet, in minor currency units."""


def has_price(offer: Offer) -> bool:
    """Whether the plan can be subscribed to, or the add-on bought."""
    return bool(offer.prices or offer.lookup_keys or offer.products)


def price_of(account: Account, plan: Offer) -> str:
    """The id of a price at the simulator that buys the plan; made where there is none. Monthly, if new.

    Raises:
        ConfigurationError: when the catalogue gives the plan no price.
    """
    if not has_price(plan):
        raise ConfigurationError(
            f"Nobody can subscribe to the plan {plan.id}: it has no prices, lookup_keys or products."
        )
    if plan.prices:
        price = Price(plan.prices[0], AMOUNT)
    else:
        key, product = next(iter(plan.lookup_keys), None), next(iter(plan.products), None)
        price = Price(f"price_test_{plan.id}", AMOUNT, lookup_key=key, product_id=product)
    if price.id not in account.prices:
        account.add_price(replace(price, created=account.now))
    return price.id


def make_prices(account: Account, catalogue: Catalogue) -> None:
    """Have every price at the simulator by which the catalogue sells something. Monthly, if new."""
    for offer in (*catalogue.plans.values(), *catalogue.addons.values()):
        if not has_price(offer):
            continue
        price_of(account, offer)
        keys = offer.lookup_keys if offer.prices else offer.lookup_keys[1:]
        others = [Price(id, AMOUNT) for id in offer.prices[1:]]
        others += [Price(f"price_test_{key}", AMOUNT, lookup_key=key) for key in keys]
        for price in others:
            if price.id not in account.prices:
                account.add_price(replace(price, created=account.now))


def customer_of(
    account: Account, user: str, link_keys: Sequence[str], *, email: str | None = None
) -> Customer:
    """The user's customer at the simulator, linked by metadata; made where there is none."""
    for customer in account.customers.values():
        if customer.metadata.get(link_keys[0]) == user and not customer.deleted:
            return customer
    return account.create_customer(email or f"{user}@example.com", **{link_keys[0]: user})


def subscribe(
    account: Account,
    catalogue: Catalogue,
    customer: Customer,
    plan: str,
    *,
    quantity: int = 1,
    trial_days: int = 0,
    paid: bool | None = True,
) -> Subscription:
    """A new subscription of the customer to a plan, as `Account.create_subscription` makes it.

    Raises:
        NotFound: when the catalogue has no such plan.
        ConfigurationError: when it has no price.
    """
    price = price_of(account, catalogue.plan(plan))
    return account.create_subscription(customer, price, quantity=quantity, trial_days=trial_days, paid=paid)
