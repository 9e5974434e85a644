"""After a downgrade: what is over its limit, since when, and what stays in use; usage with a new owner."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from app import limits
from app.errors import InvalidRequest, NotFound
from app.limits import LimitExceeded
from app.service import Service
from app.signals import Reaction, over_limit
from app.simulator import DAY, Account
from app.worker.over_limits import PAGE_EVERY_SECONDS, OverLimits
from app.worker.worker import Worker

from ..client import AUTH, Client, running
from ..waiting import until
from .helpers import PLANS, START, Clock, consume, release, subscribe

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def heard() -> Iterator[list[Reaction]]:
    heard: list[Reaction] = []
    receiver = heard.append
    over_limit.connect(receiver)
    yield heard
    over_limit.disconnect(receiver)


@pytest.fixture(params=[None, 14])
def days(request: pytest.FixtureRequest) -> int | None:
    found: int | None = request.param
    return found


@pytest.fixture
async def client(
    database_url: str,
    clock: Clock,
    tmp_path: Path,
    days: int | None,
    heard: list[Reaction],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Client]:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))  # a test looks when it means to
    file = tmp_path / "plans.toml"
    file.write_text(PLANS + ("" if days is None else f"[over_limit]\ndays = {days}\n"))
    async with running(database_url, clock=clock, plans_file=file) as client:
        yield client


async def look(client: Client) -> None:
    service: Service = client.app.state.billing
    assert service.worker.over_limits is not None
    await service.worker.over_limits.check_due()


async def downgrade(client: Client, clock: Clock) -> None:
    """Nine projects on a plan of ten, which ends: three are left."""
    account, subscription = await subscribe(client, clock)
    await consume(client, "ada", "projects", 9)
    await look(client)
    clock.now += 60
    account.advance(60)
    account.cancel_now(subscription)
    await client.deliver(account.events[-1])


async def projects(client: Client) -> Any:
    return (await client.read("/internal/users/ada/entitlements"))["features"]["projects"]


async def test_it_is_noted_and_announced_once_since_when_usage_is_over_its_limit(
    client: Client, clock: Clock, days: int | None, heard: list[Reaction]
) -> None:
    await downgrade(client, clock)
    since = int(clock.now)
    assert (await projects(client))["over_since"] == since, "before anybody has looked, too"
    for _ in range(3):
        await look(client)
        clock.now += 3600
    shown = await projects(client)
    deadline = None if days is None else since + days * DAY
    assert (shown["over_since"], shown["over_until"]) == (since, deadline)
    await until(lambda: bool(heard))
    assert [(each.user_id, each.facts["feature"], each.facts["used"]) for each in heard] == [
        ("ada", "projects", 9)
    ]
    assert (heard[0].facts["over_since"], heard[0].facts["over_until"]) == (since, deadline)


async def test_the_oldest_within_the_limit_stay_in_use_and_all_until_the_deadline(
    client: Client, clock: Clock, days: int | None
) -> None:
    await downgrade(client, clock)
    await look(client)

    async def within() -> list[int]:
        return [rank for rank in range(1, 11) if await limits.within("ada", "projects", rank)]

    if days is not None:
        clock.now += days * DAY - 1
        assert await within() == list(range(1, 11))
        clock.now += 1
    assert await within() == [1, 2, 3]
    for wrong in (0, -1, True, 1.5):
        with pytest.raises(InvalidRequest, match="rank"):
            await limits.within("ada", "projects", wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="nothing of it has a rank"):
        await limits.within("ada", "api_calls", 1)


async def test_what_falls_within_the_limit_again_is_over_no_longer_and_may_be_once_more(
    client: Client, clock: Clock, heard: list[Reaction]
) -> None:
    await downgrade(client, clock)
    await look(client)
    await release(client, "ada", "projects", 6)
    assert (await projects(client))["over_since"] is None
    clock.now += 3600
    async with client.app.state.billing.database.session() as session:
        await limits.set_usage(session, "ada", "projects", 5)
    service: Service = client.app.state.billing
    assert service.worker.over_limits is not None
    await service.worker.over_limits.check_page()
    assert (await projects(client))["over_since"] == clock.now
    await until(lambda: len(heard) > 1)
    assert [each.facts["over_since"] for each in heard] == [clock.now - 3600, clock.now]


async def test_an_override_that_ends_by_time_alone_is_found_by_the_page(
    client: Client, clock: Clock, heard: list[Reaction]
) -> None:
    body = {"op": "add", "value": 5, "reason": "promised", "actor": "support", "expires_at": START + DAY}
    answer = await client.http.put("/internal/users/ada/overrides/projects", json=body, headers=AUTH)
    assert answer.status_code == 200
    await consume(client, "ada", "projects", 8)
    clock.now = START + DAY - 1
    await look(client)
    assert heard == []
    clock.now = START + DAY + 60
    await look(client)
    await until(lambda: bool(heard))
    assert [each.facts["limit"] for each in heard] == [3]


async def test_usage_moves_to_a_new_owner_with_both_or_with_neither(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    await consume(client, "ada", "projects", 5)
    database = client.app.state.billing.database
    async with database.session() as session:
        decision = await limits.transfer(session, "ada", "bob", "projects", 3)
    assert (decision.used, decision.remaining) == (3, 0)
    with pytest.raises(LimitExceeded):
        async with database.session() as session:
            await limits.transfer(session, "ada", "bob", "projects", 1)
    for from_user, to_user, amount in (("ada", "bob", 3), ("ada", "ada", 1), ("ada", "bob", 0)):
        with pytest.raises(InvalidRequest):
            async with database.session() as session:
                await limits.transfer(session, from_user, to_user, "projects", amount)
    with pytest.raises(NotFound):
        async with database.session() as session:
            await limits.transfer(session, "ada", "bob", "no_feature", 1)
    assert [(await limits.load(user)).check("projects").used for user in ("ada", "bob")] == [2, 3]


async def test_what_is_reserved_is_not_transferred(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    await consume(client, "ada", "projects", 1)
    service = client.app.state.billing
    async with service.limits.reserve("ada", "projects", 2):
        with pytest.raises(InvalidRequest, match="reserved"):
            async with service.database.session() as session:
                await limits.transfer(session, "ada", "bob", "projects", 3)
        assert [(await limits.load(user)).look("projects").used for user in ("ada", "bob")] == [3, 0]


@pytest.mark.rest_in_long(1)
async def test_transfers_to_and_fro_at_once_lose_and_make_nothing(client: Client, clock: Clock) -> None:
    database = client.app.state.billing.database
    for seed, user in enumerate(("ada", "bob")):
        account = Account(seed, start=int(clock.now))
        account.create_subscription(account.create_customer(user_id=user), "price_team", quantity=9)
        await client.deliver(*account.events)
        await consume(client, user, "projects", 20)

    async def move(from_user: str, to_user: str) -> None:
        async with database.session() as session:
            await limits.transfer(session, from_user, to_user, "projects", 1)

    await asyncio.gather(*(move(*pair) for pair in [("ada", "bob"), ("bob", "ada")] * 8))
    assert [(await limits.load(user)).check("projects").used for user in ("ada", "bob")] == [20, 20]


@pytest.fixture
def looked(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The users that were looked at; whoever is called `ada` makes that fail."""
    found: list[str] = []

    async def check(user_id: str) -> None:
        if user_id == "ada":
            raise LookupError("a fault of ours")
        found.append(user_id)

    monkeypatch.setattr(over_limits_of(client), "check", check)
    return found


def over_limits_of(client: Client) -> OverLimits:
    service: Service = client.app.state.billing
    assert service.worker.over_limits is not None
    return service.worker.over_limits


async def test_a_user_who_cannot_be_looked_at_hides_no_other(
    client: Client, clock: Clock, looked: list[str]
) -> None:
    for user_id in ("ada", "bob"):
        await consume(client, user_id, "projects")
        over_limits_of(client).on_users_changed(None, user_ids={user_id})
    await look(client)
    assert looked == ["bob"]
    clock.now += PAGE_EVERY_SECONDS
    await look(client)
    assert looked == ["bob", "bob"], "in the page of all users, too"


async def test_users_wait_for_a_database_that_is_down(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await consume(client, "bob", "projects")
    over_limits, looked = over_limits_of(client), []

    async def down(user_id: str) -> None:
        raise TimeoutError

    async def check(user_id: str) -> None:
        looked.append(user_id)

    over_limits.on_users_changed(None, user_ids={"bob"})
    monkeypatch.setattr(over_limits, "check", down)
    with pytest.raises(TimeoutError):
        await look(client)
    monkeypatch.setattr(over_limits, "check", check)
    await look(client)
    assert looked == ["bob"]


async def test_users_are_looked_at_after_the_clock_was_set_back(
    client: Client, clock: Clock, looked: list[str]
) -> None:
    await consume(client, "bob", "projects")
    clock.now += DAY
    await look(client)
    clock.now -= DAY
    await look(client)
    assert looked == ["bob", "bob"]
