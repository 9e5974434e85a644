"""Random histories of a world: what happens step by step, as Stripe would tell it. Times are Unix seconds."""

import itertools
import random
from typing import Any

from ..story import DAY, HOUR, listed
from .world import NOW, PLAN_PRICES, PRICES, Bought, Life, Payer, World

CAUSES = ("first_payment_failure", "trial_end_without_payment_method", "pause_requested", "system")
_worlds = itertools.count(1)


def random_world(seed: int) -> World:
    """A world with its whole history, up to some days before NOW."""
    world = World(random.Random(seed), name=f"world{next(_worlds)}")
    world.users = tuple(f"{world.name}_user{number}" for number in range(2))
    rng = world.rng
    gaps = [rng.choice((0, 1, HOUR, DAY, 6 * DAY, 12 * DAY)) for _ in range(rng.randint(2, 9))]
    world.at = NOW - 2 - sum(gaps) - rng.choice((0, HOUR, 2 * DAY, 10 * DAY, 40 * DAY))
    for number in range(rng.randint(1, 2)):
        payer = Payer(f"cus_{world.name}_{number}", rng.choice(world.users))
        world.payers.append(payer)
        world.tell("customer.created", payer.as_stripe_shows_it(), world.at)
    for _ in range(rng.randint(1, 2)):
        _subscribe(world)
    for gap in gaps:
        world.at += gap
        _renew(world, world.at)
        _step(world)
    if rng.random() < 0.7:
        _renew(world, NOW - 1)
    return world


def _subscribe(world: World) -> None:
    rng = world.rng
    id = f"sub_{world.name}_{len(world.lives)}"
    prices = [rng.choice(PLAN_PRICES)]
    prices += [price for price in PRICES if price not in prices and rng.random() < 0.25]
    rng.shuffle(prices)
    items = [
        Bought(f"si_{id}_{n}", price, rng.randint(1, 4), world.at, world.at + PRICES[price])
        for n, price in enumerate(prices)
    ]
    life = Life(id, rng.choice(world.payers), world.at, items)
    if rng.random() < 0.2:
        life.status = "trialing"
        for each in items:
            each.end = world.at + 14 * DAY
    if rng.random() < 0.3:
        life.named_user, life.ever_named = rng.choice(world.users), True
    world.lives.append(life)
    world.tell("customer.subscription.created", life.as_stripe_shows_it(), world.at)
    if rng.random() < 0.3:
        life.session_user = rng.choice(world.users)
        _complete_session(world, life)


def _complete_session(world: World, life: Life) -> None:
    session = {
        "id": f"cs_{life.id}",
        "object": "checkout.session",
        "customer": life.customer.id,
        "subscription": life.id,
        "status": "complete",
        "payment_status": "paid",
        "metadata": {"user_id": life.session_user},
        "client_reference_id": None,
        "livemode": False,
    }
    world.tell("checkout.session.completed", session, world.at)


def _renew(world: World, until: int) -> None:
    """What the ends of periods bring, in the order of time."""
    for life in world.lives:
        while life.status in ("active", "trialing", "past_due"):
            end = min(each.end for each in life.items)
            if end > until:
                break
            at = max(end, life.changed_at)  # what was unpaid or paused renews when that is over
            if life.ends_with_period:
                _end(world, life, at)
                break
            renewed = [
                Bought(each.id, each.price, each.quantity, each.end, each.end + PRICES[each.price])
                if each.end == end
                else each
                for each in life.items
            ]
            status = "active" if life.status == "trialing" else life.status
            world.change(life, at, items=renewed, status=status)


def _end(world: World, life: Life, at: int) -> None:
    life.status, life.ended_at, life.note = "canceled", at, life.note + 1
    life.pause_cause = life.past_due_since = None
    world.tell("customer.subscription.deleted", life.as_stripe_shows_it(), at)


def _step(world: World) -> None:
    rng = world.rng
    if rng.random() < 0.15:
        payer = rng.choice(world.payers)
        before = payer.as_stripe_shows_it()
        payer.user, payer.note = rng.choice(world.users), payer.note + 1
        world.tell("customer.updated", payer.as_stripe_shows_it(), world.at, before)
        return
    life = rng.choice(world.lives)
    if life.status in ("active", "trialing"):
        _step_of_running(world, life)
    elif life.status in ("past_due", "unpaid"):
        _step_of_due(world, life)
    elif life.status == "paused":
        world.change(life, world.at, status=life.paused_from, pause_cause=None, paused_from=None)
        world.tell("customer.subscription.resumed", life.as_stripe_shows_it(), world.at)


def _step_of_running(world: World, life: Life) -> None:
    rng, at = world.rng, world.at
    match rng.randrange(10):
        case 0 | 1:
            _fail(world, life)
        case 2:
            items = [
                Bought(each.id, each.price, rng.randint(0, 4), each.start, each.end) for each in life.items
            ]
            world.change(life, at, items=items)
        case 3:
            named = rng.choice((None, *world.users))
            world.change(life, at, named_user=named, ever_named=life.ever_named or named is not None)
        case 4:
            world.change(life, at, ends_with_period=not life.ends_with_period)
        case 5 if life.status == "active":
            _pause(world, life)
        case 6 if rng.random() < 0.2:
            _end(world, life, at)
        case 7:
            behavior = rng.choice(("void", "keep_as_draft")) if life.collection is None else None
            world.change(life, at, collection=behavior)
        case 8:
            _add_or_remove(world, life)
        case 9:
            _switch(world, life)
        case _:
            world.change(life, at)


def _add_or_remove(world: World, life: Life) -> None:
    """An item more, perhaps of a price that it had before, or one less; never the last plan's."""
    rng, at = world.rng, world.at
    planned = [each for each in life.items if each.price in PLAN_PRICES]
    free = [price for price in PRICES if price not in {each.price for each in life.items}]
    removable = [each for each in life.items if len(planned) > 1 or each not in planned]
    if removable and (not free or rng.random() < 0.5):
        gone = rng.choice(removable)
        world.change(life, at, items=[each for each in life.items if each is not gone])
    elif free:
        price = rng.choice(free)
        bought = Bought(f"si_{life.id}_{life.note}x", price, rng.randint(1, 4), at, at + PRICES[price])
        world.change(life, at, items=[*life.items, bought])


def _switch(world: World, life: Life) -> None:
    """Another plan's price in the place of one: Stripe keeps the item's id."""
    rng, at = world.rng, world.at
    taken = {each.price for each in life.items}
    free = [price for price in PLAN_PRICES if price not in taken]
    place = rng.choice([n for n, each in enumerate(life.items) if each.price in PLAN_PRICES])
    old, price = life.items[place], rng.choice(free or [life.items[place].price])
    items = list(life.items)
    items[place] = Bought(old.id, price, old.quantity, at, at + PRICES[price])
    world.change(life, at, items=items)


def _step_of_due(world: World, life: Life) -> None:
    rng, at = world.rng, world.at
    match rng.randrange(6):
        case 0 | 1:
            world.change(life, at, status="active", past_due_since=None)
            _invoice(world, life, "invoice.paid", at, status="paid", amount_paid=2000, amount_remaining=0)
        case 2 if life.status == "past_due":
            world.change(life, at, status="unpaid")
        case 3 if life.status == "past_due":
            _pause(world, life)
        case 4 if rng.random() < 0.3:
            _end(world, life, at)
        case _:
            world.change(life, at)


def _fail(world: World, life: Life) -> None:
    life.invoices += 1
    _invoice(world, life, "invoice.payment_failed", world.at)
    world.change(life, world.at, status="past_due", past_due_since=world.at)


def _pause(world: World, life: Life) -> None:
    cause = world.rng.choice(CAUSES)
    world.change(life, world.at, paused_from=life.status, status="paused", pause_cause=cause)
    world.tell("customer.subscription.paused", life.as_stripe_shows_it(), world.at)


def _invoice(world: World, life: Life, kind: str, at: int, **state: Any) -> None:
    content = {
        "id": f"in_{life.id}_{life.invoices}",
        "object": "invoice",
        "customer": life.customer.id,
        "status": "open",
        "created": at,
        "amount_due": 2000,
        "amount_paid": 0,
        "amount_remaining": 2000,
        "attempt_count": 1,
        "currency": "eur",
        "billing_reason": "subscription_cycle",
        "livemode": False,
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": life.id}},
        "lines": listed([]),
    }
    world.tell(kind, content | state, at)
