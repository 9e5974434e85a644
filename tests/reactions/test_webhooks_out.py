"""Outbound webhooks: signed, at least once, each receiver on its own, and to public addresses alone."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpcore
import pytest
from pydantic import SecretStr

from app.config.webhook_destinations import Destination
from app.db.models import OutboxState
from app.operations.replay import replay_outbox
from app.reactions.outbox import FAN_OUT, Outbox
from app.reactions.public_addresses import PrivateAddress, is_public, resolve
from app.reactions.webhooks import Message, Sender, receiver_name
from app.service import Service
from app.simulator import DAY, Account
from app.worker.worker import Worker

from ..client import Client, running
from ..limits.helpers import START, Clock
from ..waiting import until, until_idle
from .helpers import entries, service_of
from .receiver import NEW_SECRET, OK, OLD_SECRET, Receiver, data_of, receiving, settings_to

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
def no_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own tasks would deliver what a test means to."""
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    monkeypatch.setattr(Outbox, "run", lambda outbox: asyncio.sleep(0))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def client(
    database_url: str, clock: Clock, receiver: Receiver, no_tasks: None
) -> AsyncIterator[Client]:
    async with running(database_url, clock=clock, **receiver.settings) as client:
        yield client


async def ada_subscribes(client: Client) -> None:
    account = Account(1, start=START - 60)
    account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    await client.deliver(*account.events)
    states = service_of(client).worker.user_states
    assert states is not None
    await until_idle(states.announce_due)


async def deliver(service: Service, number: int = 0) -> None:
    await service.outbox.deliver_due(receiver_name(service.settings.destinations[number]))


async def states_of_entries(client: Client) -> list[str]:
    found = [each for each in await entries(client) if each.signal == "entitlements_changed"]
    return [each.state for each in found]


async def test_the_whole_state_arrives_signed_by_the_specification(
    client: Client, receiver: Receiver
) -> None:
    await ada_subscribes(client)
    await deliver(service_of(client))
    (message,) = receiver.verified()
    shown = await client.read("/internal/users/ada/entitlements")
    assert message["type"] == "entitlements.changed" and message["timestamp"] == "2030-01-01T00:00:00Z"
    assert {name: message["data"][name] for name in shown} == shown
    assert message["data"]["version"] == 1 and message["data"]["as_of"] == START
    assert await states_of_entries(client) == [OutboxState.DONE]


async def test_a_threshold_of_usage_arrives_with_its_user(client: Client, receiver: Receiver) -> None:
    async with service_of(client).database.session() as session:
        await service_of(client).limits.consume(session, "ada", "projects", 3)
    await service_of(client).outbox.deliver_due(FAN_OUT)
    await deliver(service_of(client))
    (message,) = receiver.verified()
    data = {name: message["data"][name] for name in ("user_id", "feature", "used", "limit")}
    expected = {"user_id": "ada", "feature": "projects", "used": 3, "limit": 3}
    assert message["type"] == "usage.limit_reached" and data == expected


async def test_a_message_keeps_its_id_and_body_until_it_is_taken(
    client: Client, receiver: Receiver, clock: Clock
) -> None:
    answers = [b"HTTP/1.1 500 Oops\r\n\r\n", b"", OK]

    async def answer() -> bytes:
        return answers.pop(0)

    receiver.answer = answer
    await ada_subscribes(client)
    for _ in range(3):
        await deliver(service_of(client))
        clock.now += DAY
    assert len(receiver.verified()) == 3 and len(set(receiver.ids())) == 1
    assert len({body for _, body in receiver.requests}) == 1
    assert await states_of_entries(client) == [OutboxState.DONE]


async def test_both_secrets_verify_while_one_is_rotated(
    database_url: str, clock: Clock, receiver: Receiver, no_tasks: None
) -> None:
    settings = settings_to(receiver, secret=f"{NEW_SECRET}:{OLD_SECRET}")
    async with running(database_url, clock=clock, **settings) as client:
        await ada_subscribes(client)
        await deliver(service_of(client))
    assert receiver.verified(NEW_SECRET) == receiver.verified(OLD_SECRET)


async def test_a_message_that_is_never_taken_is_a_dead_letter_until_it_is_replayed(
    client: Client, receiver: Receiver, clock: Clock
) -> None:
    async def refuse() -> bytes:
        return b"HTTP/1.1 410 Gone\r\n\r\n"

    receiver.answer = refuse
    await ada_subscribes(client)
    for _ in range(6):
        await deliver(service_of(client))
        clock.now += DAY
    (entry,) = [each for each in await entries(client) if each.signal == "entitlements_changed"]
    assert (entry.state, entry.last_error) == (OutboxState.DEAD, "Refused: The receiver answered with 410.")
    receiver.answer = take_again
    service = service_of(client)
    assert await replay_outbox(service.database, "ops", at=int(clock.now), receiver=entry.receiver) == 1
    await deliver(service)
    assert len(set(receiver.ids())) == 1 and await states_of_entries(client) == [OutboxState.DONE]


async def take_again() -> bytes:
    return OK


async def test_a_redirect_is_not_followed(client: Client, receiver: Receiver) -> None:
    async with receiving() as elsewhere:

        async def redirect() -> bytes:
            return f"HTTP/1.1 307 There\r\nLocation: {elsewhere.url}\r\n\r\n".encode()

        receiver.answer = redirect
        await ada_subscribes(client)
        await deliver(service_of(client))
        assert elsewhere.requests == [] and await states_of_entries(client) == [OutboxState.PENDING]


async def test_an_answer_without_end_is_not_read(client: Client, receiver: Receiver) -> None:
    """The head says that it was taken; a body of any size is left alone."""

    async def endless() -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n" + b"x" * 5_000_000

    receiver.answer = endless
    await ada_subscribes(client)
    await deliver(service_of(client))
    assert await states_of_entries(client) == [OutboxState.DONE]


async def test_a_head_without_end_is_a_failure(client: Client, receiver: Receiver) -> None:
    async def endless() -> bytes:
        return b"HTTP/1.1 200 OK\r\n" + b"X-Filler: y\r\n" * 500_000

    receiver.answer = endless
    await ada_subscribes(client)
    await deliver(service_of(client))
    assert await states_of_entries(client) == [OutboxState.PENDING]


async def test_a_receiver_that_hangs_holds_up_no_other_and_no_webhook(
    database_url: str, clock: Clock, receiver: Receiver
) -> None:
    """With the service's own tasks: the other receiver gets a second state while the first one hangs."""
    hangs = asyncio.Event()

    async def hang() -> bytes:
        await hangs.wait()
        return OK

    receiver.answer = hang
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(receiving())
        settings = settings_to(receiver, other)
        client = await stack.enter_async_context(running(database_url, clock=clock, **settings))
        stack.callback(hangs.set)
        account = Account(1, start=START - 60)
        subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
        await client.deliver(*account.events)
        await until_versions(other, {1})
        seen = len(account.events)
        account.change_quantity(subscription, 3)
        await client.deliver(*account.events[seen:])
        await until_versions(other, {1, 2})


async def until_versions(receiver: Receiver, versions: set[int]) -> None:
    await until(lambda: {data_of(each)["version"] for each in receiver.requests} == versions)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:0:a00:1::",
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_a_public_address_is_taken(address: str) -> None:
    assert is_public(address)


async def test_nothing_is_sent_to_a_private_address_unless_it_is_allowed(receiver: Receiver) -> None:
    destination = Destination(SecretStr(receiver.url), (SecretStr(OLD_SECRET),))
    sender = Sender(destination, allow_private=False)
    with pytest.raises(PrivateAddress, match="WEBHOOK_OUT_ALLOW_PRIVATE"):
        await sender._post(_message())
    assert receiver.requests == []
    allowed = Sender(destination, allow_private=True)
    assert (await allowed._post(_message()))[0] == 200
    sender.close()
    allowed.close()


def _message() -> Message:
    return Message("msg_1", "{}")


async def test_a_name_with_one_private_address_among_public_ones_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answering("93.184.216.34", "10.0.0.1"))
    with pytest.raises(PrivateAddress):
        await resolve("rebinding.example", 443)


async def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers differently the next time is not asked again."""
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    asked: list[str] = []

    def lookup(host: str, port: int, **options: Any) -> Any:
        asked.append(host)
        return answering(*answers.pop(0))(host, port)

    connected: list[str] = []

    async def connect(backend: Any, host: str, *arguments: Any, **options: Any) -> Any:
        connected.append(host)
        raise httpcore.ConnectError("no network in a test")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    destination = Destination(SecretStr("https://rebinding.example/hooks"), (SecretStr(OLD_SECRET),))
    sender = Sender(destination, allow_private=False)
    with pytest.raises(httpcore.ConnectError):
        await sender._post(_message())
    sender.close()
    assert (asked, connected) == (["rebinding.example"], ["93.184.216.34"])


def answering(*addresses: str) -> Any:
    def lookup(host: str, port: int, **options: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    return lookup
