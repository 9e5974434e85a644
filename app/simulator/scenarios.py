"""Stories that a subscription may live through. Each plays on an account, for one new customer."""

import random
from collections.abc import Callable

from .account import DAY, PRICES, Account
from .model import Customer, Subscription

Scenario = Callable[[Account, Customer], Subscription]

MONTH = 30 * DAY


def sign_up(account: Account, customer: Customer) -> Subscription:
    return account.create_subscription(customer, "price_team")


def trial(account: Account, customer: Customer) -> Subscription:
    subscription = account.create_subscription(customer, "price_team", trial_days=14)
    account.advance(11 * DAY)
    account.warn_of_trial_end(subscription)
    account.advance(3 * DAY)
    account.renew(subscription)
    return subscription


def renewal(account: Account, customer: Customer) -> Subscription:
    subscription = account.create_subscription(customer, "price_starter")
    for _ in range(2):
        account.advance(MONTH)
        account.renew(subscription)
    return subscription


def failed_payment_recovered(account: Account, customer: Customer) -> Subscription:
    subscription, invoice = _failed_renewal(account, customer)
    account.advance(3 * DAY)
    account.recover(account.invoices[invoice])
    return subscription


def failed_payment(account: Account, customer: Customer) -> Subscription:
    """Past due: the payment failed, and will be tried again."""
    return _failed_renewal(account, customer)[0]


def failed_payment_lost(account: Account, customer: Customer) -> Subscription:
    subscription, invoice = _failed_renewal(account, customer)
    account.advance(3 * DAY)
    account.fail_payment(account.invoices[invoice], action_required=True)
    account.advance(3 * DAY)
    account.give_up(account.invoices[invoice])
    account.mark_uncollectible(account.invoices[invoice])
    return subscription


def plan_change(account: Account, customer: Customer) -> Subscription:
    subscription = account.create_subscription(customer, "price_starter")
    account.advance(5 * DAY)
    account.change_price(subscription, "price_team")
    account.add_item(subscription, "price_more_projects")
    return subscription


def seats(account: Account, customer: Customer) -> Subscription:
    subscription = account.create_subscription(customer, "price_team", quantity=2)
    account.advance(DAY)
    for quantity in (3, 5, 3, 4):  # clicked within one second
        account.change_quantity(subscription, quantity)
    return subscription


def pause_resume(account: Account, customer: Customer) -> Subscription:
    subscription = account.create_subscription(customer, "price_team", trial_days=7)
    account.advance(7 * DAY)
    account.pause(subscription)
    account.advance(2 * DAY)
    account.resume(subscription)
    account.pause_collection(subscription)
    account.advance(DAY)
    account.resume_collection(subscription)
    return subscription


def cancel_at_period_end(account: Account, customer: Customer) -> Subscription:
    subscription = account.create_subscription(customer, "price_starter")
    account.advance(10 * DAY)
    account.cancel_at_period_end(subscription)
    account.advance(20 * DAY)
    account.cancel_now(subscription)
    return subscription


def un_cancel(account: Account, customer: Customer) -> Subscription:
    subscription = account.create_subscription(customer, "price_starter")
    account.advance(10 * DAY)
    account.cancel_at_period_end(subscription)
    account.un_cancel(subscription)
    return subscription


def cancel_now(account: Account, customer: Customer) -> Subscription:
    subscription = account.create_subscription(customer, "price_team")
    account.advance(3 * DAY)
    account.cancel_now(subscription)
    return subscription


def expired_sign_up(account: Account, customer: Customer) -> Subscription:
    subscription = account.create_subscription(customer, "price_team", paid=False)
    account.advance(DAY)
    account.expire_sign_up(subscription)
    return subscription


def checkout(account: Account, customer: Customer) -> Subscription:
    subscription = account.create_subscription(customer, "price_team_yearly", paid=None)
    account.advance(2)
    account.complete_sign_up(subscription)
    account.complete_checkout(subscription, client_reference_id=f"user_of_{customer.id[-4:]}")
    return subscription


def _failed_renewal(account: Account, customer: Customer) -> tuple[Subscription, str]:
    subscription = account.create_subscription(customer, "price_team")
    account.advance(MONTH)
    return subscription, account.renew(subscription, paid=False).id


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        sign_up,
        trial,
        renewal,
        failed_payment,
        failed_payment_recovered,
        failed_payment_lost,
        plan_change,
        seats,
        pause_resume,
        cancel_at_period_end,
        un_cancel,
        cancel_now,
        expired_sign_up,
        checkout,
    )
}


def play(account: Account, name: str, *, user_id: str | None = None) -> Subscription:
    """Play a scenario for a new customer, whose metadata names the user where one is given.

    Raises:
        KeyError: for a name that is not in SCENARIOS.
    """
    scenario = SCENARIOS[name]
    metadata = {"user_id": user_id} if user_id else {}
    return scenario(account, account.create_customer(f"{user_id or name}@example.com", **metadata))


def duration(name: str) -> int:
    """How long a scenario takes by the account's clock, in seconds."""
    account = Account(start=0)
    play(account, name)
    return account.now


def random_history(account: Account, rng: random.Random, *, customers: int = 1, steps: int = 10) -> None:
    """An arbitrary history that Stripe could have sent, with many changes within one second."""
    people = [account.create_customer(f"c{n}@example.com", user_id=f"user_{n}") for n in range(customers)]
    for customer in people:
        _random_sign_up(account, rng, customer)
    for _ in range(steps):
        if rng.random() < 0.4:
            account.advance(rng.choice((1, 60, DAY)))
        _random_step(account, rng)


def _random_sign_up(account: Account, rng: random.Random, customer: Customer) -> None:
    price, kind = rng.choice(list(PRICES)), rng.random()
    if kind < 0.2:
        account.create_subscription(customer, price, trial_days=7)
    elif kind < 0.4:
        account.create_subscription(customer, price, paid=None)
    else:
        account.create_subscription(customer, price, quantity=rng.randint(1, 3))


def _random_step(account: Account, rng: random.Random) -> None:
    subscription = rng.choice(list(account.subscriptions.values()))
    customer = account.customers[subscription.customer]
    if subscription.ended_at is not None:
        if not customer.deleted:
            account.update_customer(customer, email=f"{rng.randint(1, 3)}@example.com")
    elif subscription.status == "incomplete":
        rng.choice((account.complete_sign_up, account.complete_sign_up, account.expire_sign_up))(subscription)
    else:
        _random_change(account, rng, subscription, customer)


def _random_change(
    account: Account, rng: random.Random, subscription: Subscription, customer: Customer
) -> None:
    last = account.invoices.get(subscription.latest_invoice or "")
    match rng.randrange(14):
        case 0 | 1 | 2:
            account.change_quantity(subscription, rng.randint(1, 3))
        case 3 | 4:
            account.set_metadata(subscription, tier=rng.choice("ab"))
        case 5:
            account.change_price(subscription, rng.choice(list(PRICES)))
        case 6 if subscription.cancel_at is None:
            account.cancel_at_period_end(subscription)
        case 6:
            account.un_cancel(subscription)
        case 7 if subscription.pause_collection is None:
            account.pause_collection(subscription)
        case 7:
            account.resume_collection(subscription)
        case 8 if last is not None and last.status == "open":
            rng.choice((account.recover, account.fail_payment, account.mark_uncollectible))(last)
        case 8:
            account.renew(subscription, paid=rng.random() < 0.6)
        case 9 if len(subscription.items) < 2:
            account.add_item(subscription, "price_more_projects", rng.randint(1, 2))
        case 9:
            account.remove_item(subscription)
        case 10:
            account.complete_checkout(subscription, client_reference_id=f"buyer_{rng.randint(1, 3)}")
        case 11:
            account.update_customer(customer, user_id=f"user_{rng.randint(1, 3)}")
        case 12 if rng.random() < 0.3:
            account.cancel_now(subscription)
        case 13 if rng.random() < 0.15:
            account.delete_customer(customer)
