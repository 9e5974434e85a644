"""Deliver events as Stripe does: signed, at least once, in no order."""

import asyncio
import hashlib
import hmac
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import httpx

from .account import Account
from .model import Event
from .render import NEW, OLD, Shape, event_body
from .scenarios import SCENARIOS, duration, play
from .truth import Truth, truth


def sign(body: bytes, secret: str, timestamp: int) -> str:
    """The `Stripe-Signature` header of a body; `timestamp` in Unix seconds."""
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"


@dataclass(frozen=True)
class Faults:
    """What goes wrong on the way: the shares (0 to 1) of events sent twice, and of events held back."""

    duplicates: float = 0.0
    reorder: bool = False
    delayed: float = 0.0


def deliveries(events: Iterable[Event], rng: random.Random, faults: Faults) -> list[Event]:
    """The events in the order in which they are delivered; the same for the same seed."""
    sent = [event for event in events for _ in range(2 if rng.random() < faults.duplicates else 1)]
    if faults.reorder:
        rng.shuffle(sent)
    late = [event for event in sent if rng.random() < faults.delayed]
    held_back = {id(event) for event in late}
    return [event for event in sent if id(event) not in held_back] + late


@dataclass
class Report:
    """What was sent, and how it was answered."""

    sent: int = 0
    events: int = 0
    by_code: Counter[int] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    truth: Truth = field(default_factory=dict)


async def deliver(
    url: str,
    events: Sequence[Event],
    secret: str,
    *,
    shape: Shape = NEW,
    livemode: bool = False,
    concurrency: int = 8,
    client: httpx.AsyncClient | None = None,
    now: Callable[[], float] = time.time,
) -> Report:
    """Post the events, signed with `secret`, at most `concurrency` at once."""
    report = Report(sent=len(events), events=len({event.id for event in events}))
    queue = iter(events)

    async def send_all(client: httpx.AsyncClient) -> None:
        for event in queue:
            body = event_body(event, shape, livemode=livemode)
            headers = {
                "Stripe-Signature": sign(body, secret, int(now())),
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            }
            _record(report, event, await client.post(url, content=body, headers=headers))

    async with client or httpx.AsyncClient(timeout=30, trust_env=False) as connection:
        await asyncio.gather(*(send_all(connection) for _ in range(concurrency)))
    return report


def _record(report: Report, event: Event, response: httpx.Response) -> None:
    report.by_code[response.status_code] += 1
    if response.status_code == httpx.codes.OK:
        report.by_status[response.json().get("status", "?")] += 1
    else:
        report.refused.append(f"{event.id}: {response.status_code} {response.text[:200]}")


async def simulate(
    url: str,
    secret: str,
    *,
    scenarios: Sequence[str] = tuple(SCENARIOS),
    seed: int = 1,
    shape: Shape = NEW,
    end: int | None = None,
    faults: Faults | None = None,
    concurrency: int = 8,
) -> Report:
    """Play scenarios, each for a user of its own, and deliver their events to a running server.

    Every scenario ends at `end` (Unix seconds), which is now if left out.

    Raises:
        KeyError: for a scenario that there is not.
        httpx.HTTPError: when the server cannot be reached.
    """
    end = int(time.time()) if end is None else end
    account = Account(seed)
    for name in scenarios:
        account.now = end - duration(name)
        play(account, name, user_id=f"user_{name}")
    order = deliveries(account.events, random.Random(seed), faults or Faults())
    report = await deliver(url, order, secret, shape=shape, concurrency=concurrency)
    report.truth = truth(account)
    return report


SHAPES: dict[str, Shape] = {"old": OLD, "new": NEW}
