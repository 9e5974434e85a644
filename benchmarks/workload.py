"""The workload: renewals as Stripe sends them, signed, every event with an id of its own.

The simulator plays one renewal; every other is a copy of its bytes with ids of its own, since rendering each
again would take longer than the server needs to apply it. Copy number `n` has the ids that `seeding` gives
to the row number `n`, so that renewals can be played onto subscriptions that are there already.
"""

import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from app.simulator import DAY, NEW, Account, event_body, sign

SECRET = "whsec_benchmark_endpoint"
PATH = "/webhook/stripe"
USER = f"user_1{'u' * 23}"
HANDLED = (
    "customer.subscription.updated",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_succeeded",
)
"""What of a renewal the service asks Stripe for; all of it has a handler, so nothing comes cheap."""
BLOCK_RENEWALS = 128
"""The events of so many renewals come mixed: at the first of a month Stripe sends many at once."""

_ID = re.compile(rb"\b((?:evt|sub|cus|in|il|si|pm|user)_1[A-Za-z0-9]{23})\b")


class Event(NamedTuple):
    """One event, and what says it is from Stripe."""

    id: str
    type: str
    body: bytes


class Template:
    """An event's bytes, taken apart at the ids."""

    def __init__(self, type: str, body: bytes, number: int) -> None:
        self.type = type
        self._number = number
        self._pieces = _ID.split(body)

    def copy(self, renewal: int) -> Event:
        """The same event of another customer's renewal."""
        event_id = f"evt_1{token(f'{renewal}.{self._number}')}"
        ending = token(str(renewal)).encode()
        pieces = list(self._pieces)
        for place in range(1, len(pieces), 2):
            prefix = pieces[place].partition(b"_")[0]
            pieces[place] = event_id.encode() if prefix == b"evt" else prefix + b"_1" + ending
        return Event(event_id, self.type, b"".join(pieces))


def token(name: str) -> str:
    """23 characters that look as random as those of Stripe's ids; PostgreSQL can make the same."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:23]


@cache
def templates() -> tuple[Template, ...]:
    """The events of one renewal."""
    account = Account(11)
    customer = account.create_customer("ada@example.com", user_id=USER)
    subscription = account.create_subscription(customer, "price_team", quantity=3, user_id=USER)
    account.advance(30 * DAY)
    before = len(account.events)
    account.renew(subscription)
    renewal = [event for event in account.events[before:] if event.type in HANDLED]
    assert [event.type for event in renewal] == list(HANDLED)
    return tuple(Template(event.type, event_body(event, NEW), n) for n, event in enumerate(renewal))


def events(start: int, count: int) -> Iterator[Event]:
    """The events number `start` to `start + count` of an endless row, the same in every run."""
    size = BLOCK_RENEWALS * len(templates())
    for number in range(start, start + count):
        block, place = divmod(number, size)
        renewal, which = divmod(_order(block)[place], len(templates()))
        yield templates()[which].copy(block * BLOCK_RENEWALS + renewal)


@cache
def _order(block: int) -> Sequence[int]:
    order = list(range(BLOCK_RENEWALS * len(templates())))
    random.Random(block).shuffle(order)
    return order


def request(event: Event, timestamp: int) -> bytes:
    """The bytes of the delivery, signed at `timestamp` (Unix seconds)."""
    head = (
        f"POST {PATH} HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\n"
        "Content-Type: application/json; charset=utf-8\r\n"
        "User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
        "Accept: */*; q=0.5, application/xml\r\n"
        "Cache-Control: no-cache\r\n"
        f"Stripe-Signature: {sign(event.body, SECRET, timestamp)}\r\n"
        f"Content-Length: {len(event.body)}\r\n\r\n"
    )
    return head.encode() + event.body


def requests(start: int, count: int, timestamp: int) -> list[bytes]:
    """The deliveries of `events(start, count)`."""
    return [request(event, timestamp) for event in events(start, count)]
