"""Whatever keeps the service from connecting to PostgreSQL, events wait for it; none is refused."""

import asyncio
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.db.postgres import PostgresDatabase
from app.worker.worker import Worker

from ..client import running
from ..databases import run_sql
from ..worker.helpers import service_of, signed_up

CAUSES = {
    "no host takes writes": asyncpg.TargetServerAttributeNotMatched("None of the hosts match"),
    "its certificate has expired": ssl.SSLCertVerificationError("certificate verify failed"),
    "a pooler does not know the tenant": asyncpg.InternalServerError("Tenant or user not found"),
    "something else answers": asyncpg.ProtocolError("unexpected message"),
}


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
async def test_what_connecting_raises_is_never_taken_for_a_fault_of_an_event(
    cause: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise cause

    monkeypatch.setattr(asyncpg, "connect", refused)
    database = PostgresDatabase("postgresql://ada@db.example/billing")
    with pytest.raises(OSError) as caught:  # `is_unavailable` says more than its text
        async with database.batch():
            pass
    assert database.is_unavailable(caught.value)
    with pytest.raises(OSError) as caught:
        async with database.reading() as session:
            await session.connection()
    assert database.lies_under(caught.value)
    why = database.why_unavailable(caught.value)
    assert ": " in why and "CannotConnect" not in why


async def test_while_no_host_takes_writes_spooled_events_wait_and_are_applied_as_soon_as_one_does(
    postgres_database: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    name = urlsplit(postgres_database).path.removeprefix("/")
    setting = f"ALTER DATABASE {name} {{}} default_transaction_read_only"
    event = signed_up().events[0]
    await run_sql(postgres_url, setting.format("SET") + " = on")
    try:
        url = f"{postgres_database}?target_session_attrs=read-write"
        async with running(url, spool_dir=tmp_path) as client:
            spool, inbox = service_of(client).spool, service_of(client).inbox
            assert await client.deliver(event) == ["deferred"]
            assert await spool.drain(inbox) == 0
            assert spool.contents().refused == 0
            answer = await client.get("/internal/users/ada/entitlements")
            assert answer.status_code == 503, answer.text
            ready = (await client.get("/readyz")).json()
            assert ready["status"] == "degraded" and "target_session_attrs" in ready["notes"][0]
            await run_sql(postgres_url, setting.format("RESET"))
            assert await spool.drain(inbox) == 1
    finally:
        await run_sql(postgres_url, setting.format("RESET"))


async def test_an_error_of_the_servers_disk_is_none_of_the_event(
    postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    event = signed_up().events[0]
    function = "CREATE FUNCTION disk_error() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    function += "RAISE EXCEPTION 'could not write block' USING ERRCODE = '58030'; END $$"
    trigger = "CREATE TRIGGER disk_error BEFORE INSERT ON billing_event EXECUTE FUNCTION disk_error()"
    async with running(postgres_database, spool_dir=tmp_path) as client:
        spool, inbox = service_of(client).spool, service_of(client).inbox
        await run_sql(postgres_database, function, trigger)
        assert await client.deliver(event) == ["deferred"]
        assert await spool.drain(inbox) == 0
        assert spool.contents().refused == 0
        await run_sql(
            postgres_database, "DROP TRIGGER disk_error ON billing_event", "DROP FUNCTION disk_error"
        )
        assert await spool.drain(inbox) == 1
