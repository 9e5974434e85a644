"""What a consume costs, and what it answers while the user changes faster than can be read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from app import limits
from app.db.base import COUNT_UP
from app.errors import Unavailable
from app.limits import draws, statements
from app.limits.snapshots import Snapshots
from app.limits.usage import ATTEMPTS, parameters

from ..client import AUTH, Client
from ..statements import executed
from .helpers import Clock, consume, subscribe

pytestmark = pytest.mark.postgresql_in_long

Give = Callable[[Client], Any]


async def nothing(client: Client) -> None:
    pass


async def grants(client: Client) -> None:
    for amount in (10, 20):
        async with client.app.state.billing.database.session() as own:
            await limits.grant(own, "ada", "api_calls", amount)


@pytest.mark.parametrize("given", [nothing, grants])
async def test_a_consume_of_a_known_user_is_one_statement(client: Client, clock: Clock, given: Give) -> None:
    await given(client)
    await consume(client, "ada", "api_calls")
    with executed(client.app.state.billing.database.engine) as seen:
        await consume(client, "ada", "api_calls")
    [statement] = [each for _, each in seen if not each.startswith("BEGIN")]
    assert statement.split()[0] in ("INSERT", "UPDATE")


@pytest.mark.parametrize("module", [statements, draws])
async def test_the_statement_finds_its_row_by_the_key(client: Client, clock: Clock, module: Any) -> None:
    await grants(client)
    await consume(client, "ada", "api_calls")
    service = client.app.state.billing
    async with service.database.session() as own:
        connection = await own.connection()
        dialect = connection.dialect.name
        entry = await service.limits.snapshots.read(connection, "ada")
        values = parameters(entry, "api_calls", 1, int(clock()))
        statement = module.consume(dialect, keyed=False)
        explain = "EXPLAIN " if dialect == "postgresql" else "EXPLAIN QUERY PLAN "
        if dialect == "postgresql":  # of so small a table it would read all
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = [str(row) for row in await connection.execute(text(f"{explain}{statement.text}"), values)]
    whole = [line for line in plan if "SCAN billing" in line or "SCAN usage" in line or "Seq Scan" in line]
    assert whole == []


@contextmanager
def changing(monkeypatch: pytest.MonkeyPatch, times: int) -> Iterator[list[int]]:
    """The user changes each time that they have just been read, so many times; how often they were read."""
    read, reads = Snapshots.read, [0]

    async def outdated(own: Snapshots, connection: Any, user_id: str) -> Any:
        entry = await read(own, connection, user_id)
        reads[0] += 1
        if reads[0] <= times:
            await connection.execute(text(COUNT_UP), {"id": user_id})
        return entry

    with monkeypatch.context() as patched:
        patched.setattr(Snapshots, "read", outdated)
        yield reads


async def used(client: Client) -> tuple[int, int]:
    """What is used with what is held, and what was drawn from all grants."""
    client.app.state.billing.limits.snapshots.forget("ada")
    found = await limits.load("ada")
    return found.look("api_calls").used, sum(each.drawn.taken for each in found.grants)


async def test_the_commit_of_a_hold_goes_on_until_the_user_can_be_read(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await grants(client)
    async with limits.reserve("ada", "api_calls", 12, ttl=60) as hold:
        client.app.state.billing.limits.snapshots.forget("ada")
        with changing(monkeypatch, ATTEMPTS - 1):
            assert (await hold.commit(11)).used == 11
    assert await used(client) == (11, 6)


@pytest.mark.parametrize("given", [nothing, grants])
async def test_the_commit_of_a_hold_that_finds_no_rest_takes_nothing_and_can_be_repeated(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch, given: Give
) -> None:
    await subscribe(client, clock)
    await given(client)
    async with limits.reserve("ada", "api_calls", 12, ttl=60) as hold:
        client.app.state.billing.limits.snapshots.forget("ada")
        with changing(monkeypatch, 1000) as reads:
            with pytest.raises(Unavailable, match="Try again") as caught:
                await hold.commit(11)
            assert reads[0] <= ATTEMPTS + 1
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "5"})
        assert await used(client) == (12, 0)  # all of it is held still
        assert (await hold.commit(11)).used == 11
    assert await used(client) == (11, 0)


async def test_a_client_over_http_is_asked_to_send_the_commit_again(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await grants(client)
    path = "/internal/users/ada/usage/api_calls/reservations"
    made = await client.http.post(path, json={"amount": 12, "ttl": 60}, headers=AUTH)
    assert made.status_code == 201, made.text
    commit = f"{path}/{made.json()['id']}/commit"
    client.app.state.billing.limits.snapshots.forget("ada")
    with changing(monkeypatch, 1000):
        refused = await client.http.post(commit, json={"amount": 11}, headers=AUTH)
        assert (refused.status_code, refused.headers.get("retry-after")) == (503, "5"), refused.text
    done = await client.http.post(commit, json={"amount": 11}, headers=AUTH)
    assert done.status_code == 200, done.text
    assert await used(client) == (11, 6)
