"""What users have is announced whenever it changes: once, numbered, no older state after a newer one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.limits.loading import read_entry
from app.reactions.outbox import Outbox
from app.service import Service
from app.signals import Reaction
from app.simulator import DAY, Account, Subscription
from app.worker.user_states import LEASE_SECONDS, REFRESH_SECONDS, UserStates
from app.worker.worker import Worker

from ..client import AUTH, Client, running
from ..limits.helpers import PLANS, START, Clock
from ..reactions.helpers import Listener, deliver_all
from ..waiting import until_idle
from .helpers import service_of

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    path = tmp_path / "plans.toml"
    path.write_text(PLANS)
    return path


@pytest.fixture
async def client(
    database_url: str, clock: Clock, plans: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    # The service's own tasks would announce and deliver what a test means to.
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    monkeypatch.setattr(Outbox, "run", lambda outbox: asyncio.sleep(0))
    async with running(database_url, clock=clock, plans_file=plans) as client:
        yield client


def states_of(service: Service, digest: str = "of these plans") -> UserStates:
    return UserStates(
        service.database, service.limits, service.outbox, catalogue_digest=digest, clock=service.clock
    )


async def announced(client: Client, listener: Listener, states: UserStates | None = None) -> list[Reaction]:
    """What is announced now, in order of the numbers."""
    listener.heard.clear()
    await until_idle((states or states_of(service_of(client))).announce_due)
    await deliver_all(client, listener)
    found = [each for each in listener.heard if each.signal == "entitlements_changed"]
    return sorted(found, key=lambda each: (each.user_id or "", each.facts["version"]))


def subscribed(account: Account) -> Subscription:
    return account.create_subscription(account.create_customer(user_id="ada"), "price_team")


async def put_override(client: Client, value: int, **members: Any) -> None:
    body = {"op": "set", "value": value, "reason": "Promised", "actor": "ada@example.com"} | members
    path = "/internal/users/ada/overrides/projects"
    answer = await client.http.put(path, json=body, headers=AUTH)
    assert answer.status_code in (200, 201), answer.text


async def test_several_changes_at_once_make_one_announcement_of_the_newest_state(
    client: Client, listener: Listener
) -> None:
    account = Account(1, start=START - 60)
    subscription = subscribed(account)
    await client.deliver(*account.events)
    account.change_quantity(subscription, 3)
    await client.deliver(account.events[-1])
    (reaction,) = await announced(client, listener)
    told = reaction.facts
    assert (told["user_id"], told["plan"], told["status"], told["access"]) == (
        "ada",
        "team",
        "active",
        "full",
    )
    assert told["features"]["projects"]["limit"] == 30 and told["version"] == 1
    assert told["why"]["projects"][0]["subscription_id"] == subscription.id
    shown = await client.read("/internal/users/ada/entitlements")
    assert {name: told[name] for name in shown} == shown


async def test_what_changes_nothing_of_what_the_user_has_is_not_announced(
    client: Client, listener: Listener, clock: Clock
) -> None:
    account = Account(1, start=START - 60)
    subscription = subscribed(account)
    await client.deliver(*account.events)
    assert len(await announced(client, listener)) == 1
    seen = len(account.events)
    account.renew(subscription)
    clock.now += 31 * DAY
    await client.deliver(*account.events[seen:])
    assert await announced(client, listener) == []


async def test_what_an_operator_said_and_who_it_was_do_not_leave_the_service(
    client: Client, listener: Listener
) -> None:
    await put_override(client, 7)
    (reaction,) = await announced(client, listener)
    (part,) = (each for each in reaction.facts["why"]["projects"] if each["source"] == "override")
    assert part["value"] is not None
    assert "Promised" not in str(reaction) and "ada@example.com" not in str(reaction)


async def test_what_time_alone_ends_is_announced_when_it_ends(
    client: Client, listener: Listener, clock: Clock
) -> None:
    await put_override(client, 7, expires_at=START + 600)
    (begun,) = await announced(client, listener)
    clock.now += 599
    assert await announced(client, listener) == []
    clock.now += 1
    (ended,) = await announced(client, listener)
    limits = [each.facts["features"]["projects"]["limit"] for each in (begun, ended)]
    assert (limits, ended.facts["version"]) == ([7, 3], 2)


async def test_a_link_that_moves_is_announced_to_both_users(client: Client, listener: Listener) -> None:
    account = Account(1, start=START - 60)
    subscription = subscribed(account)
    await client.deliver(*account.events)
    await announced(client, listener)
    path = f"/internal/customers/{subscription.customer}"
    answer = await client.http.put(path, json={"user_id": "bob"}, headers=AUTH)
    assert answer.status_code == 200, answer.text
    moved = {each.user_id: each.facts["plan"] for each in await announced(client, listener)}
    assert moved == {"ada": "free", "bob": "team"}


async def test_another_plans_file_is_announced_to_those_whom_it_changes(
    client: Client, listener: Listener, plans: Path, clock: Clock, database_url: str
) -> None:
    account = Account(1, start=START - 60)
    subscribed(account)
    account.create_subscription(account.create_customer(user_id="bob"), "price_more_projects")
    await client.deliver(*account.events)
    assert len(await announced(client, listener)) == 2
    assert await announced(client, listener) == []
    plans.write_text(PLANS.replace("max_upload_mb = 100", "max_upload_mb = 200"))
    async with running(database_url, clock=clock, plans_file=plans) as restarted:
        (changed,) = await announced(restarted, listener, states_of(service_of(restarted), "of new plans"))
    assert (changed.user_id, changed.facts["features"]["max_upload_mb"]["value"]) == ("ada", 200)


async def test_what_a_killed_process_had_taken_is_announced_after_its_lease(
    client: Client, listener: Listener, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(states: UserStates, user_id: str) -> None:
        raise RuntimeError("killed")

    await put_override(client, 7)
    with monkeypatch.context() as patched:
        patched.setattr(UserStates, "announce", killed)
        assert await announced(client, listener) == []
    assert await announced(client, listener) == []
    clock.now += LEASE_SECONDS
    assert len(await announced(client, listener)) == 1


async def test_a_change_that_comes_while_a_state_is_read_is_announced_next(
    client: Client, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the reading of a state and its announcement another transaction changes it."""
    changes = [8]

    async def overtaken(*arguments: Any) -> Any:
        entry = await read_entry(*arguments)
        if changes:
            await put_override(client, changes.pop())
        return entry

    await put_override(client, 7)
    monkeypatch.setattr("app.worker.user_states.read_entry", overtaken)
    found = await announced(client, listener)
    assert [each.facts["features"]["projects"]["limit"] for each in found] == [7, 8]
    assert [each.facts["version"] for each in found] == [1, 2]


async def test_processes_that_announce_at_once_number_the_states_in_their_order(
    client: Client, listener: Listener, clock: Clock
) -> None:
    many = [states_of(service_of(client)) for _ in range(4)]
    for value in range(4, 10):
        await put_override(client, value)
        await asyncio.gather(*(each.announce("ada") for each in many))
    clock.now += LEASE_SECONDS
    found = await announced(client, listener)
    limits = [each.facts["features"]["projects"]["limit"] for each in found]
    assert [each.facts["version"] for each in found] == list(range(1, 7)) and limits == list(range(4, 10))


async def test_what_an_older_process_changed_without_a_mark_is_announced_within_a_day(
    client: Client, listener: Listener, clock: Clock
) -> None:
    await put_override(client, 7)
    await announced(client, listener)
    async with service_of(client).database.session() as session:
        await (await session.connection()).execute(text("UPDATE billing_override SET value = '9'"))
        await (await session.connection()).execute(text("UPDATE billing_user SET version = version + 1"))
    assert await announced(client, listener) == []
    clock.now += REFRESH_SECONDS
    assert len(await announced(client, listener)) == 1


async def test_users_are_looked_at_after_a_clock_was_set_back(
    client: Client, listener: Listener, clock: Clock
) -> None:
    clock.now += 1000 * DAY
    await put_override(client, 7, expires_at=int(clock.now) + DAY)
    await announced(client, listener)
    async with service_of(client).database.session() as session:
        await (await session.connection()).execute(text("UPDATE billing_override SET value = '9'"))
    clock.now -= 1000 * DAY
    assert len(await announced(client, listener)) == 1
