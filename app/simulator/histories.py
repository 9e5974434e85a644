"""Random histories: whatever a customer may do, in any order, much of it within one second."""

import random
from collections import defaultdict

from .account import DAY, Account
from .model import Customer, Entity, Event, Subscription


def random_history(
    account: Account, rng: random.Random, *, customers: int = 1, steps: int = 10, twice: float = 0.0
) -> None:
    """An arbitrary history that Stripe could have sent, with many changes within one second.

    `twice` is the share (0 to 1) of changes sent as two event objects, where the end is still certain.
    """
    first = len(account.events)
    people = [account.create_customer(f"c{n}@example.com", user_id=f"user_{n}") for n in range(customers)]
    for customer in people:
        _sign_up(account, rng, customer)
    for _ in range(steps):
        if rng.random() < 0.4:
            account.advance(rng.choice((1, 60, DAY)))
        _step(account, rng)
    for event in _doubtless(account.events[first:]):
        if rng.random() < twice:
            account.send_twice(event)


def _sign_up(account: Account, rng: random.Random, customer: Customer) -> None:
    price, kind = rng.choice(list(account.prices)), rng.random()
    if kind < 0.2:
        account.create_subscription(customer, price, trial_days=7)
    elif kind < 0.4:
        account.create_subscription(customer, price, paid=None)
    elif kind < 0.5 and account.prices[price].interval == "month":
        account.create_subscription(customer, (price, "price_more_projects"))
    else:
        account.create_subscription(customer, price, quantity=rng.randint(1, 3))


def _step(account: Account, rng: random.Random) -> None:
    subscription = rng.choice(list(account.subscriptions.values()))
    customer = account.customers[subscription.customer]
    if subscription.ended_at is not None:
        if not customer.deleted:
            account.update_customer(customer, email=f"{rng.randint(1, 3)}@example.com")
    elif subscription.status == "incomplete":
        rng.choice((account.complete_sign_up, account.complete_sign_up, account.expire_sign_up))(subscription)
    elif subscription.status == "paused":
        rng.choice((account.resume, account.resume, account.cancel_now))(subscription)
    else:
        _change(account, rng, subscription, customer)


def _change(account: Account, rng: random.Random, subscription: Subscription, customer: Customer) -> None:
    match rng.randrange(17):
        case 0 | 1 | 2:
            account.change_quantity(subscription, rng.randint(1, 3))
        case 3 | 4:
            _describe(account, rng, subscription)
        case 5:
            account.change_price(subscription, rng.choice(_prices_beside(account, subscription)))
        case 6 if subscription.cancel_at is None:
            account.cancel_at_period_end(subscription)
        case 6:
            account.un_cancel(subscription)
        case 7 if subscription.pause_collection is None:
            account.pause_collection(subscription)
        case 7:
            account.resume_collection(subscription)
        case 8 | 9:
            _bill(account, rng, subscription)
        case 10 if len(subscription.items) < 2 and subscription.items[0].price.interval == "month":
            account.add_item(subscription, "price_more_projects", rng.randint(1, 2))
        case 10 if len(subscription.items) > 1:
            account.remove_item(subscription)
        case 11:
            _check_out(account, rng, subscription)
        case 12:
            account.update_customer(customer, user_id=rng.choice(("user_1", "user_2", "")))
        case 13 if rng.random() < 0.3:
            account.cancel_now(subscription)
        case 14 if rng.random() < 0.15:
            account.delete_customer(customer)
        case 15:
            _back_and_forth(account, rng, subscription)
        case 16 if subscription.pending_update is None:
            account.propose_update(subscription, rng.randint(1, 3))
        case 16:
            _finish_pending_update(account, rng, subscription)


def _prices_beside(account: Account, subscription: Subscription) -> list[str]:
    """The prices that the first item may have: in classic billing mode all items have one interval."""
    intervals = {item.price.interval for item in subscription.items[1:]}
    return [price.id for price in account.prices.values() if intervals <= {price.interval}]


def _describe(account: Account, rng: random.Random, subscription: Subscription) -> None:
    """Metadata of its own, which may name a user."""
    named = {"user_id": f"org_{rng.randint(1, 2)}"} if rng.random() < 0.4 else {}
    account.set_metadata(subscription, tier=rng.choice("ab"), **named)


def _check_out(account: Account, rng: random.Random, subscription: Subscription) -> None:
    """The session that created the subscription, which there is once at most."""
    if all(session.subscription != subscription.id for session in account.sessions.values()):
        named = {"user_id": f"org_{rng.randint(1, 2)}"} if rng.random() < 0.5 else {}
        account.complete_checkout(subscription, client_reference_id=f"buyer_{rng.randint(1, 3)}", **named)


def _bill(account: Account, rng: random.Random, subscription: Subscription) -> None:
    """What the end of a period or of a retry brings."""
    last = account.invoices.get(subscription.latest_invoice or "")
    if last is not None and last.status == "open":
        decide = (
            account.recover,
            account.fail_payment,
            account.give_up,
            account.mark_uncollectible,
            account.void,
        )
        rng.choice(decide)(last)
    elif subscription.cancel_at_period_end:
        account.cancel_now(subscription)
    elif subscription.status == "trialing" and rng.random() < 0.5:
        account.warn_of_trial_end(subscription)
        account.advance(rng.choice((0, 3 * DAY)))
        account.pause(subscription)
    else:
        account.renew(subscription, paid=rng.random() < 0.6)


def _back_and_forth(account: Account, rng: random.Random, subscription: Subscription) -> None:
    """A -> B -> A within one second, and at times to B again."""
    here = subscription.items[0].quantity
    for quantity in (here + 1, here, here + 1)[: rng.randint(2, 3)]:
        account.change_quantity(subscription, quantity)


def _finish_pending_update(account: Account, rng: random.Random, subscription: Subscription) -> None:
    if rng.random() < 0.5:
        account.apply_pending_update(subscription, rng.randint(1, 3))
    else:
        account.expire_pending_update(subscription)


def _doubtless(events: list[Event]) -> list[Event]:
    """Changes that may come twice: of objects that are in no state twice within that second.

    From A -> B, B -> A and a second A -> B nothing shows whether the last one happened or was only sent
    again, so the truth would not follow from the events.
    """
    seconds: dict[tuple[str, int], list[Event]] = defaultdict(list)
    for event in events:
        if event.before is not None:
            seconds[event.after.id, event.created].append(event)
    return [event for steps in seconds.values() if not _returns(steps) for event in steps]


def _returns(steps: list[Event]) -> bool:
    visited: list[Entity | None] = [steps[0].before, *(step.after for step in steps)]
    return any(state in visited[n + 1 :] for n, state in enumerate(visited))
