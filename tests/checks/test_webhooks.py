"""Refused webhooks are counted and found, whatever process refused them, and a flood of them costs little."""

import pytest
from sqlalchemy import Connection
from sqlmodel import select

from app.db.models import EventArrival
from app.inbox.arrivals import KEEP_SECONDS, STORE_EVERY_SECONDS, Arrivals
from app.operations.checks import check_service
from app.service import Service
from app.simulator import DAY, NEW, Account, event_body, sign
from app.simulator.api import serving
from tests.admin.visitor import START, Clock
from tests.client import SECRET, Client, running
from tests.statements import executed

pytestmark = pytest.mark.postgresql_in_long

MINUTE = 60
WRONG = "whsec_test_of_another_endpoint"
KEY = "sk_test_fake_of_the_checks"


def service_of(client: Client) -> Service:
    service: Service = client.app.state.billing
    return service


def bodies(count: int) -> list[bytes]:
    account = Account(1, start=START - DAY)
    for _ in range(count):
        account.create_customer()
    return [event_body(each, NEW) for each in account.events]


async def refuse(client: Client, count: int = 18) -> None:
    for body in bodies(count):
        assert (await client.post_signed(body, secret=WRONG)).status_code == 400


async def found(client: Client, check: str) -> list[tuple[str, str]]:
    """Level and sentence of what the check finds, once what was counted is stored."""
    await service_of(client).arrivals.store()
    return [(each.level, each.what) for each in (await check_service(service_of(client)))[check]]


async def test_a_wrong_signing_secret_is_an_error_until_a_webhook_is_accepted(database_url: str) -> None:
    clock = Clock()
    async with running(database_url, clock=clock) as client:
        assert await found(client, "refused-webhooks") == []
        await refuse(client)
        [(level, what)] = await found(client, "refused-webhooks")
        assert (level, what.startswith("18 webhooks of the last 24 hours refused")) == ("error", True)
        assert "none has been accepted" in what
        notes = (await client.http.get("/readyz")).json()["notes"]
        assert any("since the start: 18" in note for note in notes)
        clock.now += MINUTE
        assert (await client.post_signed(bodies(1)[0])).status_code == 200
        [(level, _)] = await found(client, "refused-webhooks")
        assert level == "hint"
        assert not any(
            "since the start" in note for note in (await client.http.get("/readyz")).json()["notes"]
        )
        clock.now += MINUTE
        await refuse(client, 1)
        [(level, what)] = await found(client, "refused-webhooks")
        assert (level, "1 were accepted" in what) == ("warning", True)
        clock.now += DAY + MINUTE
        assert await found(client, "refused-webhooks") == []


async def test_the_counts_of_all_processes_add_up_and_outlive_them(database_url: str) -> None:
    clock = Clock()
    async with running(database_url, clock=clock) as first, running(database_url, clock=clock) as second:
        await refuse(first, 3)
        await refuse(second, 4)
        await found(first, "refused-webhooks")
        await found(second, "refused-webhooks")
        await refuse(first, 2)  # stored when the process stops
    async with running(database_url, clock=clock) as third:
        [(level, what)] = await found(third, "refused-webhooks")
    assert (level, what.split()[0]) == ("error", "9")


async def test_a_clock_that_is_off_and_a_proxy_that_drops_the_header_have_remedies_of_their_own(
    any_database_url: str,
) -> None:
    clock, body = Clock(), bodies(1)[0]
    async with running(any_database_url, clock=clock) as client:
        late = {"Stripe-Signature": sign(body, SECRET, START - 400)}
        await client.http.post("/webhook/stripe", content=body, headers=late)
        bare = {"User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)"}
        await client.http.post("/webhook/stripe", content=body, headers=bare)
        await service_of(client).arrivals.store()
        findings = (await check_service(service_of(client)))["refused-webhooks"]
    assert [each.level for each in findings] == ["error", "error"]
    assert ["NTP" in each.remedy for each in findings] == [True, False]
    assert ["proxy" in each.remedy for each in findings] == [False, True]


@pytest.mark.parametrize(
    "header", ["", "x", "t=1", "t=1,v1=", "t=,v1=00", "v1=00,t=1", "t=1,v1=zz", "t=1,v1=" + "0" * 999]
)
@pytest.mark.rest_in_long(4)
async def test_what_no_stripe_sends_is_not_counted(sqlite_database: str, header: str) -> None:
    async with running(sqlite_database) as client:
        headers = {"Stripe-Signature": header}
        assert (await client.http.post("/webhook/stripe", content=b"{}", headers=headers)).status_code == 400
        assert await found(client, "refused-webhooks") == []


async def test_a_flood_of_wrong_signatures_is_stored_once_in_ten_seconds(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [100.0]
    monkeypatch.setattr("app.inbox.arrivals.time.monotonic", lambda: seconds[0])
    async with running(sqlite_database, clock=Clock()) as client:
        service = service_of(client)
        arrivals = Arrivals(service.database, clock=service.clock)
        with executed(service.database.engine) as seen:
            for _ in range(1000):
                arrivals.note("wrong-secret")
                await arrivals.store_when_due()
            assert stores(seen) == 1
            seconds[0] += STORE_EVERY_SECONDS
            await arrivals.store_when_due()
            assert stores(seen) == 2
        [row] = await stored(service)
    assert row.count == 1000


def stores(seen: list[tuple[Connection, str]]) -> int:
    return len([each for _, each in seen if "INTO billing_event_arrival" in each])


async def stored(service: Service) -> list[EventArrival]:
    async with service.database.reading() as session:
        return list(await session.exec(select(EventArrival)))


def no_session() -> None:
    raise ConnectionError


async def test_what_the_database_does_not_take_stays_in_memory(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(database_url, clock=Clock()) as client:
        service = service_of(client)
        arrivals = Arrivals(service.database, clock=service.clock)
        arrivals.note("wrong-secret", 3)
        with monkeypatch.context() as down:
            down.setattr(service.database, "session", no_session)
            with pytest.raises(ConnectionError):
                await arrivals.store()
        arrivals.note("wrong-secret")
        await arrivals.store()
        [row] = await stored(service)
    assert (row.way, row.count) == ("wrong-secret", 4)


async def test_old_counts_are_deleted(database_url: str) -> None:
    clock = Clock()
    async with running(database_url, clock=clock) as client:
        await refuse(client, 1)
        await found(client, "refused-webhooks")
        clock.now += KEEP_SECONDS + 2 * 3600
        await refuse(client, 2)
        await found(client, "refused-webhooks")
        [row] = await stored(service_of(client))
    assert row.count == 2


async def test_events_that_only_a_catch_up_brings_are_found_until_a_webhook_comes(
    database_url: str,
) -> None:
    clock, account = Clock(), Account(1, start=START - 600)
    account.create_customer()
    account.create_customer()
    async with (
        serving(account, clock=clock) as base_url,
        running(
            database_url, clock=clock, stripe_api_key=KEY, stripe_api_base=base_url, catch_up_minutes=0
        ) as client,
    ):
        service = service_of(client)
        assert service.catch_up is not None
        await service.catch_up.run()
        [(level, what)] = await found(client, "catch-up-only")
        assert (level, what.startswith("2 events came by catch-up")) == ("warning", True)
        await service.alerts.check()
        clock.now += MINUTE
        # Stripe sends them again: known already, and still a webhook that was accepted.
        assert await client.deliver(*account.events) == ["duplicate", "duplicate"]
        assert await found(client, "catch-up-only") == []
