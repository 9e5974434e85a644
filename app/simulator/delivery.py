"""Deliver events as Stripe does: signed, at least once, in no order."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import httpx

from .account import Account
from .model import Event
from .scenarios import SCENARIOS, duration, play
from .shapes import NEW, OLD, Shape
from .signing import signed_event
from .thin import ThinEvent, thin_events
from .truth import Truth, truth

Payload = Literal["snapshot", "thin", "both"]
"""What is sent: snapshot events, thin events, or both, as while one destination replaces the other."""

Sent = TypeVar("Sent", Event, ThinEvent, Event | ThinEvent)


@dataclass(frozen=True)
class Faults:
    """What goes wrong on the way: the shares (0 to 1) of events sent twice, and of events held back."""

    duplicates: float = 0.0
    reorder: bool = False
    delayed: float = 0.0


def payloads(account: Account, payload: Payload, first: int = 0) -> list[Event | ThinEvent]:
    """What is sent of the account's events, from the one at `first` on."""
    made: list[Event | ThinEvent] = []
    for event in account.events[first:]:
        if payload != "thin":
            made.append(event)
        if payload != "snapshot":
            made += thin_events(event, livemode=account.livemode)
    return made


def deliveries(events: Iterable[Sent], rng: random.Random, faults: Faults) -> list[Sent]:
    """The events in the order in which they are delivered; the same for the same seed."""
    sent = [event for event in events for _ in range(2 if rng.random() < faults.duplicates else 1)]
    if faults.reorder:
        rng.shuffle(sent)
    late = [rng.random() < faults.delayed for _ in sent]  # of each copy: both of an event are the same object
    return [sent[n] for n in sorted(range(len(sent)), key=late.__getitem__)]


@dataclass
class Report:
    """What was sent, and how it was answered."""

    sent: int = 0
    events: int = 0
    by_code: Counter[int] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    undelivered: list[str] = field(default_factory=list)
    truth: Truth = field(default_factory=dict)


async def deliver(
    url: str,
    events: Sequence[Event | ThinEvent],
    secret: str,
    *,
    shape: Shape = NEW,
    livemode: bool = False,
    account: str | None = None,
    context: str | None = None,
    concurrency: int = 8,
    client: httpx.AsyncClient | None = None,
    now: Callable[[], float] = time.time,
) -> Report:
    """Post the events, signed with `secret`, at most `concurrency` at once.

    `account` and `context` as in `render_event`.
    """
    report = Report(sent=len(events), events=len({event.id for event in events}))
    queue = iter(events)

    async def send_all(client: httpx.AsyncClient) -> None:
        for event in queue:
            body, headers = signed_event(
                event, secret, int(now()), shape, livemode=livemode, account=account, context=context
            )
            _record(report, event, await client.post(url, content=body, headers=headers))

    if client is not None:  # it is the caller's to close
        await asyncio.gather(*(send_all(client) for _ in range(concurrency)))
        return report
    async with httpx.AsyncClient(timeout=30, trust_env=False) as own:
        await asyncio.gather(*(send_all(own) for _ in range(concurrency)))
    return report


def _record(report: Report, event: Event | ThinEvent, response: httpx.Response) -> None:
    report.by_code[response.status_code] += 1
    if response.status_code == httpx.codes.OK:
        report.by_status[_status(response)] += 1
    else:
        report.undelivered.append(event.id)
        report.refused.append(f"{event.id}: {response.status_code} {response.text[:200]}")


def _status(response: httpx.Response) -> str:
    """The `status` in the answer, or "?" from a server that gives none."""
    try:
        answer = response.json()
    except ValueError:
        return "?"
    return str(answer.get("status", "?")) if isinstance(answer, dict) else "?"


async def simulate(
    url: str,
    secret: str,
    *,
    scenarios: Sequence[str] = tuple(SCENARIOS),
    seed: int = 1,
    shape: Shape = NEW,
    user_id: str | None = None,
    end: int | None = None,
    faults: Faults | None = None,
    concurrency: int = 8,
    account: Account | None = None,
    payload: Payload = "snapshot",
) -> Report:
    """Play scenarios and deliver their events to a running server.

    Each scenario is for its own user, `user_<scenario>`, or all are for `user_id`. Each ends at `end` (Unix
    seconds; default: now). They are played in `account`, or in a new one. There the events that the server
    does not accept are marked as undelivered.

    Raises:
        KeyError: for a scenario that there is not.
        httpx.HTTPError: when the server cannot be reached.
    """
    end = int(time.time()) if end is None else end
    account = Account(seed) if account is None else account
    for name in scenarios:
        account.now = end - duration(name)
        play(account, name, user_id=user_id or f"user_{name}")
    account.mark_undelivered(event.id for event in account.events)
    order = deliveries(payloads(account, payload), random.Random(seed), faults or Faults())
    report = await deliver(url, order, secret, shape=shape, concurrency=concurrency)
    _mark(account, order, report)
    report.truth = truth(account)
    return report


async def send_on(
    account: Account,
    url: str,
    secret: str,
    *,
    shape: Shape = NEW,
    payload: Payload = "snapshot",
    pause: float = 0.2,
    client: httpx.AsyncClient | None = None,
) -> None:
    """Deliver what happens in the account from now on, until cancelled; looks every `pause` seconds.

    An event that is refused or finds nobody is marked as undelivered, and is not sent again.
    """
    sent = len(account.events)
    while True:
        await asyncio.sleep(pause)
        new = payloads(account, payload, sent)
        sent = len(account.events)
        account.mark_undelivered(_snapshot_ids(new))
        for event in new:
            with suppress(httpx.HTTPError):
                _mark(account, [event], await deliver(url, [event], secret, shape=shape, client=client))


def _mark(account: Account, sent: Iterable[Event | ThinEvent], report: Report) -> None:
    account.mark_delivered(_snapshot_ids(sent))
    failed = set(report.undelivered)
    account.mark_undelivered(_snapshot_ids(event for event in sent if event.id in failed))


def _snapshot_ids(sent: Iterable[Event | ThinEvent]) -> list[str]:
    """The ids that `/v1/events` knows: Stripe keeps no record of failed deliveries of thin events."""
    return [event.id for event in sent if isinstance(event, Event)]


SHAPES: dict[str, Shape] = {"old": OLD, "new": NEW}
