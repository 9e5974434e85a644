"""Destinations of outbound webhooks, their dead letters, and sending a state again: by API and by command."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.config.webhook_destinations import check_secret
from app.operations.erasure import erase_user
from app.operations.export import export_user
from app.reactions.outbox import Outbox
from app.simulator import Account
from app.worker.worker import Worker

from ..client import AUTH, Client, running
from ..limits.helpers import START, Clock
from ..reactions.helpers import service_of
from ..reactions.receiver import Receiver, receiving
from ..waiting import until_idle

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def client(
    database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    # The service's own tasks would deliver what a test means to.
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    monkeypatch.setattr(Outbox, "run", lambda outbox: asyncio.sleep(0))
    async with running(database_url, clock=Clock(), **receiver.settings) as client:
        account = Account(1, start=START - 60)
        for user in ("ada", "bob"):
            account.create_subscription(account.create_customer(user_id=user), "price_team")
        await client.deliver(*account.events)
        yield client


async def post(client: Client, path: str, body: Any) -> Any:
    answer = await client.http.post(f"/internal{path}", json=body, headers=AUTH)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def announce(client: Client) -> None:
    states = service_of(client).worker.user_states
    assert states is not None
    await until_idle(states.announce_due)


async def test_a_destination_shows_what_it_has_not_taken_and_no_token(
    client: Client, receiver: Receiver
) -> None:
    async def refuse() -> bytes:
        return b"HTTP/1.1 503 Busy\r\n\r\n"

    receiver.answer = refuse
    await announce(client)
    (before,) = await client.read("/internal/webhooks-out")
    assert (before["pending"], before["failing_since"]) == (2, None)
    await service_of(client).outbox.deliver_due(before["receiver"])
    (shown,) = await client.read("/internal/webhooks-out")
    assert shown["origin"] == f"http://127.0.0.1:{receiver.port}" and "token" not in str(shown)
    assert (shown["pending"], shown["dead"], shown["failing_since"]) == (2, 0, START)
    assert shown["last_error"] == "Refused: The receiver answered with 503."


async def test_dead_letters_are_listed_page_by_page_and_replayed_one_or_all(client: Client) -> None:
    await announce(client)
    service = service_of(client)
    async with service.database.session() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("UPDATE billing_outbox SET state = 'dead' WHERE receiver <> ''")
    first = await client.read("/internal/outbox", state="dead", limit=1)
    second = await client.read("/internal/outbox", state="dead", limit=1, cursor=first["next_cursor"])
    ids = [each["data"][0]["entry_id"] for each in (first, second)]
    assert len(set(ids)) == 2 and second["next_cursor"] is None
    assert await post(client, "/outbox/replay", {"entry_id": ids[0]}) == {"replayed": 1}
    left = await client.read("/internal/outbox", state="dead", receiver=first["data"][0]["receiver"])
    assert [each["entry_id"] for each in left["data"]] == [ids[1]]
    assert await post(client, "/outbox/replay", {}) == {"replayed": 2}
    assert (await client.read("/internal/outbox", state="dead"))["data"] == []


async def test_a_state_is_sent_again_with_the_next_number_for_one_user_or_all(
    client: Client, receiver: Receiver
) -> None:
    name = (await client.read("/internal/webhooks-out"))[0]["receiver"]
    for body, users in (({"user_id": "ada"}, 1), ({}, 2)):
        await announce(client)
        assert await post(client, "/webhooks-out/resend", body) == {"users": users}
    await announce(client)
    await until_idle(lambda: service_of(client).outbox.deliver_due(name))
    sent = sorted((each["data"]["user_id"], each["data"]["version"]) for each in receiver.verified())
    assert sent == [("ada", 1), ("ada", 2), ("ada", 3), ("bob", 1), ("bob", 2)]
    unknown = await client.http.post("/internal/webhooks-out/resend", json={"user_id": "eve"}, headers=AUTH)
    assert unknown.status_code == 404


def test_a_secret_that_the_command_makes_can_be_used() -> None:
    made = [CliRunner().invoke(cli, ["webhooks-out", "secret"]).stdout.strip() for _ in range(2)]
    for secret in made:
        check_secret(secret)
    assert made[0] != made[1]


async def test_an_export_has_what_was_announced_of_the_user_alone_and_an_erasure_leaves_it_whole(
    client: Client,
) -> None:
    account = Account(2, start=START - 60)
    account.create_subscription(account.create_customer(user_id="ada:2"), "price_team")
    await client.deliver(*account.events)
    await announce(client)
    database = service_of(client).database
    announced = [
        entry
        for entry in (await export_user(database, "ada"))["reactions"]
        if entry["signal"] == "entitlements_changed"
    ]
    assert [entry["reaction"]["user_id"] for entry in announced] == ["ada"]
    await erase_user(database, "ada", actor="ops", at=START)
    left = [each for each in (await export_user(database, "ada"))["reactions"] if each in announced]
    assert left == announced
