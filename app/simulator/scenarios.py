"""Stories that a subscription may live through. Each plays on an account, for one new customer."""

from collections.abc import Callable

from .account import DAY, Account
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
