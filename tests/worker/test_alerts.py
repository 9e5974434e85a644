"""Alerts that no single event causes are announced in time, and once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from sqlalchemy import delete

from app.checks.events import FAILING_SECONDS
from app.checks.records import UNLINKED_SECONDS
from app.db.models import OutboxEntry, OutboxState
from app.errors import ConfigurationError
from app.inbox.delivery import receive
from app.plans import AccessRule
from app.reactions.notifications import TEMPLATES, Notifier, render
from app.reactions.outbox import Outbox
from app.signals import Reaction, event_signal, reactions
from app.simulator import DAY, Account, play
from app.worker.alerts import PRICES_EVERY_SECONDS
from app.worker.worker import Worker

from ..client import Client, running
from ..inbox.stories import Story, T
from ..limits.helpers import START, Clock
from ..reactions.helpers import Listener, deliver_all, entries, service_of
from ..waiting import until

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(
    database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Client]:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    monkeypatch.setattr(Outbox, "run", lambda outbox: asyncio.sleep(0))
    async with running(database_url, clock=clock, silence_hours=2, spool_dir=tmp_path) as client:
        yield client


async def announced(client: Client, listener: Listener, *signals: str) -> list[Reaction]:
    """What is announced, of these signals, when two processes check at once."""
    listener.heard.clear()
    alerts = service_of(client).alerts
    await asyncio.gather(alerts.check(), alerts.check())
    await deliver_all(client, listener)
    return [each for each in listener.heard if each.signal in signals]


async def test_a_customer_who_pays_and_has_no_user_is_announced_after_ten_minutes(
    client: Client, listener: Listener, clock: Clock
) -> None:
    account = Account(1, start=START - 60)
    for user_id in (None, "ada"):
        customer = account.create_customer(**({"user_id": user_id} if user_id else {}))
        account.create_subscription(customer, "price_team")
    gone = account.create_subscription(account.create_customer(), "price_team")
    account.cancel_now(gone)
    await client.deliver(*account.events)
    assert await announced(client, listener, "customer_unlinked") == []
    clock.now += UNLINKED_SECONDS
    [reaction] = await announced(client, listener, "customer_unlinked")
    unlinked = account.subscriptions[next(iter(account.subscriptions))].customer
    assert reaction.customer_id == unlinked
    assert await announced(client, listener, "customer_unlinked") == []


async def test_a_price_that_the_plans_file_no_longer_lists_is_announced_within_an_hour_and_once(
    client: Client, listener: Listener, clock: Clock
) -> None:
    account = Account(1, start=START - DAY)
    for price in ("price_team", "price_starter"):
        account.create_subscription(account.create_customer(user_id=f"user_{price}"), price)
    account.create_price("price_told", 1500)
    told = account.create_subscription(account.create_customer(user_id="eve"), "price_told")
    await client.deliver(*account.events)
    service = service_of(client)
    [reaction] = await announced(client, listener, "price_unmapped")  # by the event, as it arrived
    assert reaction.subscription_id == told.id

    catalogue = service.limits.catalogue
    plan = next(each for each in catalogue.plans.values() if "price_team" in each.prices)
    without = replace(plan, prices=tuple(each for each in plan.prices if each != "price_team"))
    service.alerts._catalogue = replace(catalogue, plans={**catalogue.plans, plan.id: without})
    assert await announced(client, listener, "price_unmapped") == []
    clock.now += PRICES_EVERY_SECONDS
    [reaction] = await announced(client, listener, "price_unmapped")
    assert (reaction.id, reaction.facts["gives"]) == ("price_unmapped:price_team", "nothing")
    assert "[ignored]" in reaction.facts["remedy"]
    async with service.database.session() as session:
        await session.exec(delete(OutboxEntry))  # as if they had been pruned
    clock.now += PRICES_EVERY_SECONDS
    assert await announced(client, listener, "price_unmapped") == []


async def test_the_end_of_grace_is_announced_a_day_before_and_once(
    client: Client, listener: Listener, clock: Clock
) -> None:
    account = Account(1, start=START - 40 * DAY)
    subscription = play(account, "failed_payment", user_id="ada")
    await client.deliver(*account.events)
    clock.now = account.now + DAY
    assert await announced(client, listener, "grace_ending") == []
    entitlements = await client.read("/internal/users/ada/entitlements")
    assert entitlements["access"] == "grace"
    clock.now = entitlements["grace_ends_at"] - DAY
    [reaction] = await announced(client, listener, "grace_ending")
    assert (reaction.user_id, reaction.subscription_id) == ("ada", subscription.id)
    assert reaction.facts["grace_ends_at"] == entitlements["grace_ends_at"]
    assert await announced(client, listener, "grace_ending") == []


async def test_the_end_of_grace_is_announced_for_a_first_payment_that_failed_late_and_for_an_unpaid_one(
    client: Client, listener: Listener, clock: Clock
) -> None:
    debit, unpaid = Story("debit"), Story("unpaid")
    for story in (debit, unpaid):
        story.customer(metadata={"user_id": f"user_{story.tag}"})
        story.subscription("A")
    failed = {"billing_reason": "subscription_create", "attempt_count": 1}
    debit.invoice("A", 4 * DAY, type_="invoice.voided", status="void", **failed)
    unpaid.subscription("A", 5 * DAY, status="unpaid", previous={"status": "active"})
    for event in (*debit.events, *unpaid.events):
        await client.send(event)
    clock.now = T + 10 * DAY
    [reaction] = await announced(client, listener, "grace_ending")
    assert (reaction.user_id, reaction.facts["grace_ends_at"]) == ("user_debit", T + 11 * DAY)
    assert await announced(client, listener, "grace_ending") == []

    service = service_of(client)
    access = replace(service.limits.catalogue.access, unpaid=AccessRule("grace", 9 * DAY))
    service.alerts._catalogue = replace(service.limits.catalogue, access=access)
    clock.now = T + 13 * DAY
    [reaction] = await announced(client, listener, "grace_ending")
    assert (reaction.user_id, reaction.facts["grace_ends_at"]) == ("user_unpaid", T + 14 * DAY)


async def test_a_backlog_is_announced_once_and_again_only_after_it_was_over(
    client: Client, listener: Listener, clock: Clock
) -> None:
    def raising(event: Any, unit_of_work: Any) -> None:
        raise ValueError("not today")

    signal = event_signal("customer.created")
    account = Account(1, start=START - 60)
    for times in range(2):
        signal.connect(raising)
        account.create_customer()
        await client.deliver(account.events[-1])
        signal.disconnect(raising)
        assert await announced(client, listener, "backlog_old") == []
        clock.now += FAILING_SECONDS + 1
        [reaction] = await announced(client, listener, "backlog_old")
        assert reaction.facts["age"] == FAILING_SECONDS + 1, times
        assert await announced(client, listener, "backlog_old") == []
        assert await service_of(client).worker.retry_due() == 1
        assert await announced(client, listener, "backlog_old") == []


async def test_events_that_wait_in_the_spool_are_a_backlog_too(
    client: Client, listener: Listener, clock: Clock
) -> None:
    body = orjson.dumps({"id": "evt_1", "object": "event", "type": "x", "created": 1, "data": {"object": {}}})
    await service_of(client).spool.put(receive(body, signature="t=1,v1=00", received_at=1))
    [file] = service_of(client).spool.waiting()
    clock.now = int(file.stat().st_mtime) + FAILING_SECONDS - 1
    assert await announced(client, listener, "backlog_old") == []
    clock.now += 2
    assert len(await announced(client, listener, "backlog_old")) == 1


async def test_silence_is_announced_once_and_again_only_after_an_event_came(
    client: Client, listener: Listener, clock: Clock
) -> None:
    account = Account(1, start=START)
    clock.now += 2 * 3600
    assert await announced(client, listener, "webhooks_silent") == []
    clock.now += 1
    assert len(await announced(client, listener, "webhooks_silent")) == 1  # since the start
    for _ in range(2):
        account.create_customer()
        await client.deliver(account.events[-1])
        assert await announced(client, listener, "webhooks_silent") == []
        last, clock.now = clock.now, clock.now + 2 * 3600 + 1
        [reaction] = await announced(client, listener, "webhooks_silent")
        assert reaction.facts["last"] == last
        assert await announced(client, listener, "webhooks_silent") == []


# Messages


@pytest.mark.parametrize(
    ("signal", "facts", "says"),
    [
        ("webhooks_silent", {"last": None}, "No event from Stripe since this service started"),
        ("webhooks_silent", {"last": START}, "No event from Stripe since 2030-01-01 00:00 UTC"),
        ("first_payment_failed", {"failed_at": None}, "failed at unknown"),
        ("payment_failed", {"next_payment_attempt": None}, "the next one is not planned"),
        ("payment_refunded", {}, "credits or a plan that were bought once are taken back"),
    ],
)
def test_a_message_says_what_is_not_known(signal: str, facts: dict[str, Any], says: str) -> None:
    assert says in "\n".join(render(Reaction(id="r", signal=signal, at=START, facts=facts)))


class Inbox:
    """A server of somebody's messages; the first `refusals` are refused."""

    def __init__(self, refusals: int = 0) -> None:
        self.messages: list[dict[str, Any]] = []
        self.refusals = refusals
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if inbox.refusals:
                    inbox.refusals -= 1
                    self.send_response(500)
                else:
                    inbox.messages.append(orjson.loads(body))
                    self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def inboxes() -> Iterator[list[Inbox]]:
    inboxes = [Inbox(), Inbox(refusals=1)]
    yield inboxes
    for inbox in inboxes:
        inbox.close()


async def test_a_failed_payment_is_sent_to_each_address_once_though_one_refuses_at_first(
    database_url: str, inboxes: list[Inbox], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    clock = Clock()
    clock.now = START
    urls = tuple(SecretStr(inbox.url) for inbox in inboxes)
    async with running(database_url, clock=clock, notify_urls=urls) as client:
        account = Account(1, start=START - 40 * DAY)
        play(account, "failed_payment", user_id="ada")
        await client.deliver(*account.events)

        async def is_refused_once() -> bool:
            found = await entries(client)
            failing = [entry for entry in found if entry.state == OutboxState.PENDING and entry.attempts]
            # Only as far as the next attempt: further, the lease of a call under way would run out.
            clock.now = max([clock.now, *(entry.next_attempt_at for entry in failing)])
            return len(failing) == 1

        await until(is_refused_once)
        await until(lambda: all(inbox.messages for inbox in inboxes))
    for inbox in inboxes:
        [message] = inbox.messages
        assert message["title"] == "Payment failed: 29.00 USD"
        assert "user ada" in message["message"]
        assert account.events[-1].id not in message["title"]


@pytest.mark.parametrize("signal", list(TEMPLATES))
def test_every_message_can_be_written_whatever_is_known(signal: str) -> None:
    title, text = render(Reaction(id="x", signal=signal, at=1))
    assert title
    assert "{" not in text.replace('{"user_id"', "")
    assert signal in reactions


def test_an_address_that_is_none_stops_the_start_and_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Notifier("nothing-known://canary-password@host")
    assert "NOTIFY_URLS" in caught.value.detail
    assert "canary" not in caught.value.detail


async def test_a_check_that_fails_keeps_no_other_alert_back(
    client: Client, listener: Listener, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def may_not_be_read() -> int:
        raise PermissionError

    monkeypatch.setattr(service_of(client).spool, "waiting_since", may_not_be_read)
    clock.now += 3 * 3600
    [reaction] = await announced(client, listener, "webhooks_silent")
    assert reaction.facts["age"] == 3 * 3600
