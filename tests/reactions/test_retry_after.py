"""A receiver of outbound webhooks that says when it wants the next request is left alone until then."""

import asyncio
from collections.abc import AsyncIterator
from email.utils import formatdate

import pytest
from sqlalchemy import insert

from app.db.models import OutboxEntry, OutboxState, table_of
from app.reactions.outbox import LONGEST_ASKED_SECONDS, Outbox
from app.reactions.retry_after import retry_at
from app.reactions.webhooks import receiver_name
from app.signals import Reaction, TryLater, disconnect_durable, durable, usage_overage
from app.worker.worker import Worker

from ..client import Client, running
from ..limits.helpers import START, Clock
from .helpers import entries, service_of
from .receiver import OK, Receiver, receiving

pytestmark = pytest.mark.postgresql_in_long

HOUR, DAY = 3600, 86_400


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def client(
    database_url: str, clock: Clock, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    monkeypatch.setattr(Outbox, "run", lambda outbox: asyncio.sleep(0))
    async with running(database_url, clock=clock, **receiver.settings) as client:
        yield client


async def one_message(client: Client) -> None:
    """Ada reaches a limit, and one message says so."""
    service = service_of(client)
    async with service.database.session() as session:
        await service.limits.consume(session, "ada", "projects", 3)
    await service.outbox.deliver_due("announce")


async def deliver(client: Client) -> int:
    service = service_of(client)
    return await service.outbox.deliver_due(receiver_name(service.settings.destinations[0]))


async def waiting(client: Client) -> tuple[str, int]:
    """State of the receiver's message, and how long after the start it is due, in seconds."""
    [entry] = [each for each in await entries(client) if each.receiver.startswith("webhook:")]
    return entry.state, entry.next_attempt_at - START


def answering(status: int, *values: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Wait", *(f"Retry-After: {value}" for value in values), "Content-Length: 0"]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7200", 2 * HOUR),
        (formatdate(START + HOUR, usegmt=True), HOUR),
        ("9999999999", LONGEST_ASKED_SECONDS),
        (formatdate(START + 400 * DAY, usegmt=True), LONGEST_ASKED_SECONDS),
    ],
)
async def test_the_message_is_not_sent_again_before_its_receiver_wants_it(
    client: Client, receiver: Receiver, clock: Clock, status: int, value: str, seconds: int
) -> None:
    answers = [answering(status, value), OK]

    async def answer() -> bytes:
        return answers.pop(0)

    receiver.answer = answer
    await one_message(client)
    await deliver(client)
    assert await waiting(client) == (OutboxState.PENDING, seconds)
    clock.now += seconds - 1
    assert await deliver(client) == 0
    clock.now += 1
    assert await deliver(client) == 1
    assert len(receiver.verified()) == 2
    assert (await waiting(client))[0] == OutboxState.DONE


@pytest.mark.parametrize(
    ("status", "values"),
    [
        (500, ["7200"]),
        (302, ["7200"]),
        (503, []),
        (503, ["1"]),
        (503, ["soon"]),
        (503, ["-7200"]),
        (429, ["99999999999"]),
        (429, ["Wed, 99 Foo 2030 00:00:00 GMT"]),
        (429, ["٧٢٠٠"]),
        (503, [formatdate(START - HOUR, usegmt=True)]),
    ],
    ids=str,
)
@pytest.mark.rest_in_long(5)
async def test_what_asks_for_no_longer_wait_is_sent_by_the_usual_one(
    client: Client, receiver: Receiver, status: int, values: list[str]
) -> None:
    async def answer() -> bytes:
        return answering(status, *values)

    receiver.answer = answer
    await one_message(client)
    await deliver(client)
    state, seconds = await waiting(client)
    assert state == OutboxState.PENDING
    assert 5 <= seconds <= 6


def test_a_date_without_a_zone_is_read_as_utc() -> None:
    headers = [(b"Retry-After", b"Tue, 01 Jan 2030 00:01:00 -0000")]
    assert retry_at(503, headers, START) == START + 60
    assert retry_at(200, headers, START) is None
    assert retry_at(429, [(b"RETRY-AFTER", b" 30 "), (b"retry-after", b"50")], START) == START + 30


async def test_a_receiver_in_python_asks_for_a_longer_pause(client: Client, clock: Clock) -> None:
    async def busy(reaction: Reaction) -> None:
        raise TryLater("the mail server is full", START + HOUR)

    durable(usage_overage, busy, name="mail")
    try:
        service = service_of(client)
        made = service.outbox.entries([Reaction("usage_overage:1", "usage_overage", START, user_id="ada")])
        async with service.database.session() as session:
            await (await session.connection()).execute(insert(table_of(OutboxEntry)), made)
        assert await service.outbox.deliver_due("mail") == 1
        [entry] = [each for each in await entries(client) if each.receiver == "mail"]
        assert (entry.next_attempt_at, entry.last_error) == (
            START + HOUR,
            "TryLater: the mail server is full",
        )
    finally:
        disconnect_durable(usage_overage, "mail")
