"""Random lives of customers and subscriptions, as Stripe would tell of them: what is so, and the events.

The state here is what Stripe would show; the events follow from its steps. Nothing of the service is used.
Times are Unix seconds.
"""

import copy
import itertools
import random
from dataclasses import dataclass, field
from typing import Any

from ..story import DAY, HOUR, MONTH, YEAR, item, listed

Json = dict[str, Any]
NOW = 1_893_456_000  # 2030-01-01 00:00:00 UTC
PRICES = {
    "price_pro_m": MONTH,
    "price_pro_y": YEAR,
    "price_team_m": MONTH,
    "price_team_y": YEAR,
    "price_more_m": MONTH,
    "price_more_y": YEAR,
}
PLAN_PRICES = [price for price in PRICES if "more" not in price]
CAUSES = ("first_payment_failure", "trial_end_without_payment_method", "pause_requested", "system")
_worlds = itertools.count(1)


@dataclass
class Bought:
    """One item of a subscription."""

    id: str
    price: str
    quantity: int
    start: int
    end: int


@dataclass
class Life:
    """One subscription as it is."""

    id: str
    customer: "Payer"
    born: int
    items: list[Bought]
    status: str = "active"
    named_user: str | None = None
    past_due_since: int | None = None
    ends_with_period: bool = False
    pause_cause: str | None = None
    paused_from: str | None = None
    ended_at: int | None = None
    note: int = 0
    invoices: int = 0
    changed_at: int = 0

    def as_stripe_shows_it(self) -> Json:
        ends = min(each.end for each in self.items) if self.ends_with_period else None
        details = {"paused": {"type": "subscription", "subscription": {"type": self.pause_cause}}}
        return {
            "id": self.id,
            "object": "subscription",
            "customer": self.customer.id,
            "status": self.status,
            "created": self.born,
            "start_date": self.born,
            "billing_cycle_anchor": self.born,
            "items": listed(
                [
                    item(
                        each.price,
                        each.start,
                        each.end,
                        id=each.id,
                        quantity=each.quantity,
                        interval="year" if PRICES[each.price] == YEAR else "month",
                    )
                    for each in self.items
                ]
            ),
            "cancel_at": ends,
            "cancel_at_period_end": self.ends_with_period,
            "canceled_at": self.ended_at,
            "ended_at": self.ended_at,
            "trial_end": self.items[0].end if self.status == "trialing" else None,
            "pause_collection": None,
            "status_details": details if self.pause_cause else None,
            "metadata": {"note": str(self.note)} | ({"user_id": self.named_user} if self.named_user else {}),
            "livemode": False,
        }


@dataclass
class Payer:
    """A customer at Stripe, and the user that its metadata names."""

    id: str
    user: str
    note: int = 0

    def as_stripe_shows_it(self) -> Json:
        metadata = {"user_id": self.user, "note": str(self.note)}
        return {
            "id": self.id,
            "object": "customer",
            "metadata": metadata,
            "email": f"{self.id}@example.com",
            "livemode": False,
        }


@dataclass
class World:
    """What there is, and the events about it."""

    rng: random.Random
    payers: list[Payer] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    users: tuple[str, ...] = ()
    name: str = ""
    at: int = NOW

    def tell(self, kind: str, now: Json, at: int, before: Json | None = None) -> None:
        data: Json = {"object": copy.deepcopy(now)}
        if before is not None:
            data["previous_attributes"] = {
                key: before.get(key) for key in {*before, *now} if before.get(key) != now.get(key)
            }
        self.events.append(
            {
                "id": f"evt_{self.name}_{len(self.events):03}",
                "object": "event",
                "type": kind,
                "created": at,
                "livemode": False,
                "api_version": "2026-10-28.endive",
                "data": data,
            }
        )

    def change(self, life: Life, at: int, **changes: Any) -> None:
        """Change a subscription and tell of it. Every state is another one, as `note` counts up."""
        before, life.changed_at = life.as_stripe_shows_it(), at
        for name, value in {"note": life.note + 1, **changes}.items():
            setattr(life, name, value)
        self.tell("customer.subscription.updated", life.as_stripe_shows_it(), at, before)


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
        life.named_user = rng.choice(world.users)
    world.lives.append(life)
    world.tell("customer.subscription.created", life.as_stripe_shows_it(), world.at)


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
    match rng.randrange(7):
        case 0 | 1:
            _fail(world, life)
        case 2:
            items = [
                Bought(each.id, each.price, rng.randint(0, 4), each.start, each.end) for each in life.items
            ]
            world.change(life, at, items=items)
        case 3:
            world.change(life, at, named_user=rng.choice((None, *world.users)))
        case 4:
            world.change(life, at, ends_with_period=not life.ends_with_period)
        case 5 if life.status == "active":
            _pause(world, life)
        case 6 if rng.random() < 0.2:
            _end(world, life, at)
        case _:
            world.change(life, at)


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
