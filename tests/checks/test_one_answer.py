"""Every surface gives one answer about the same fault: how bad it is, and the sentence that says so.

Asked are the internal API, the admin screen's first page and its page of the account, `status`, `doctor`,
`users show` and the periodic alerts.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from app.cli.status import read_status
from app.cli.users import read_user
from app.db.models import OpenedSession, OutboxEntry, Subscription, WebhookEvent
from app.doctor import diagnose
from app.service import Service
from app.simulator import DAY, NEW, Account, event_body, thin_event
from tests.admin.visitor import START, Clock, Visitor, logged_in, words
from tests.client import Client

pytestmark = [pytest.mark.long, pytest.mark.postgresql_in_deep]
"""What each check asks of PostgreSQL is tested with the doctor: here it is whether all surfaces say it."""

MINUTE = 60
Prepare = Callable[[Client, Account, Path], Awaitable[str | None]]
"""Makes the fault; returns the user or customer that it is about, if it is one account's."""


async def subscriber(client: Client, account: Account, **metadata: str) -> str:
    customer = account.create_customer("ada@example.com", **metadata)
    account.create_subscription(customer, "price_team")
    await client.deliver(*account.events)
    return customer.id


async def add(client: Client, *rows: Any) -> None:
    async with client.app.state.billing.database.session() as session:
        session.add_all(rows)


def event(state: str, customer_id: str, age: int) -> WebhookEvent:
    """An event of the customer, received `age` seconds ago."""
    return WebhookEvent(
        id="evt_broken",
        type="customer.updated",
        object_id=customer_id,
        created=START - age,
        received_at=START - age,
        body="{}",
        state=state,
        attempts=3,
        last_error="ValueError",
        next_attempt_at=START + DAY if state == "failed" else None,
    )


def stored_event(state: str, age: int) -> Prepare:
    async def prepare(client: Client, account: Account, folder: Path) -> str:
        customer_id = await subscriber(client, account, user_id="ada")
        await add(client, event(state, customer_id, age))
        return "ada"

    return prepare


async def dead_reaction(client: Client, account: Account, folder: Path) -> None:
    row: dict[str, Any] = {"id": "a", "signal": "s", "receiver": "crm", "reaction": {}, "state": "dead"}
    await add(client, OutboxEntry(**row, created_at=START, attempts=9, next_attempt_at=0))


async def failing_receiver(client: Client, account: Account, folder: Path) -> None:
    row: dict[str, Any] = {"id": "a", "signal": "s", "receiver": "crm", "reaction": {}, "last_error": "no"}
    row |= {"failing_since": START - 10 * MINUTE, "attempts": 3, "next_attempt_at": START + DAY}
    await add(client, OutboxEntry(**row, created_at=START - DAY))


async def payer_of_no_user(client: Client, account: Account, folder: Path) -> str:
    return await subscriber(client, account)


async def payer_of_no_user_since_a_minute(client: Client, account: Account, folder: Path) -> str:
    account.advance(START - MINUTE - account.now)
    return await subscriber(client, account)


async def canceled_of_no_user(client: Client, account: Account, folder: Path) -> str:
    customer = account.create_customer("ada@example.com")
    account.cancel_now(account.create_subscription(customer, "price_team"))
    await client.deliver(*account.events)
    return customer.id


async def thin_event_without_a_key(client: Client, account: Account, folder: Path) -> str:
    customer = account.create_customer("ada@example.com", user_id="ada")
    subscription = account.create_subscription(customer, "price_starter")
    await client.deliver(*account.events)
    account.change_price(subscription, "price_team")
    assert await client.send(thin_event(account.events[-1])) == "deferred"
    return "ada"


async def marked_record(client: Client, account: Account, folder: Path) -> str:
    await subscriber(client, account, user_id="ada")
    async with client.app.state.billing.database.session() as session:
        for row in await session.exec(select(Subscription)):
            row.needs_refresh = True
            session.add(row)
    return "ada"


async def two_subscriptions(client: Client, account: Account, folder: Path) -> str:
    await subscriber(client, account, user_id="ada")
    return "ada" if await subscriber(client, account, user_id="ada") else ""


async def paid_two_sessions(client: Client, account: Account, folder: Path) -> str:
    """Both were opened on the condition that the user has no other subscription."""
    for _ in range(2):
        subscription = account.create_subscription(account.create_customer(user_id="ada"))
        account.complete_checkout(subscription, None, user_id="ada", billing_sold_as="only_subscription")
        account.advance(MINUTE)
    await client.deliver(*account.events)
    session: dict[str, Any] = {"id": "cs_1", "user_id": "ada", "allow_second": False}
    await add(client, OpenedSession(**session, opened_at=START, expires_at=START + DAY))
    return "ada"


def bought_at(*prices: str, switched_to: str | None = None) -> Prepare:
    """A subscriber with items of these prices; then the first item's price is changed."""

    async def prepare(client: Client, account: Account, folder: Path) -> str:
        for price in (*prices, switched_to):
            if price is not None and price not in account.prices:
                account.create_price(price, 1500)
        subscription = account.create_subscription(account.create_customer(user_id="ada"), prices)
        if switched_to is not None:
            account.change_price(subscription, switched_to)
        await client.deliver(*account.events)
        return "ada"

    return prepare


async def canceled_at_an_unmapped_price(client: Client, account: Account, folder: Path) -> str:
    account.create_price("price_new", 1500)
    account.cancel_now(account.create_subscription(account.create_customer(user_id="ada"), "price_new"))
    await client.deliver(*account.events)
    return "ada"


async def wrong_signing_secret(client: Client, account: Account, folder: Path) -> None:
    account.create_customer()
    body = event_body(account.events[-1], NEW)
    assert (await client.post_signed(body, secret="whsec_test_of_another")).status_code == 400
    await client.app.state.billing.arrivals.store()


async def events_by_catch_up_alone(client: Client, account: Account, folder: Path) -> None:
    client.app.state.billing.arrivals.note("catch-up", 3)
    await client.app.state.billing.arrivals.store()


async def file_in_the_spool(client: Client, account: Account, folder: Path) -> None:
    (folder / "forged.rejected").write_text("{}")


@dataclass(frozen=True)
class Fault:
    """`level` is what every surface says of it; `announced` the signal that the alerts send, if any."""

    check: str
    level: str
    prepare: Prepare
    announced: str | None = None


FAULTS = {
    "an event that has failed for a minute": Fault("failing-events", "ok", stored_event("failed", MINUTE)),
    "an event that has failed for ten minutes": Fault(
        "failing-events", "warning", stored_event("failed", 10 * MINUTE), "backlog_old"
    ),
    "a dead event": Fault("dead-events", "error", stored_event("dead", 4 * DAY)),
    "a dead reaction": Fault("dead-reactions", "error", dead_reaction),
    "a receiver that fails": Fault("failing-receivers", "warning", failing_receiver),
    "a payer of no user": Fault("unlinked-customers", "error", payer_of_no_user, "customer_unlinked"),
    "a payer of no user since a minute": Fault("unlinked-customers", "ok", payer_of_no_user_since_a_minute),
    "a canceled subscription of no user": Fault("unlinked-customers", "ok", canceled_of_no_user),
    "a thin event without a key": Fault("thin-events", "warning", thin_event_without_a_key),
    "a record that is to be fetched": Fault("needs-refresh", "warning", marked_record),
    "two subscriptions": Fault("two-subscriptions", "warning", two_subscriptions),
    "two paid sessions": Fault("bought-twice", "error", paid_two_sessions, "bought_twice"),
    "a switch to an unmapped price": Fault(
        "prices-in-use", "error", bought_at("price_team", switched_to="price_new")
    ),
    "an unmapped price beside a plan": Fault(
        "prices-in-use", "warning", bought_at("price_team", "price_new")
    ),
    "an ended subscription of an unmapped price": Fault("prices-in-use", "ok", canceled_at_an_unmapped_price),
    "a wrong signing secret": Fault("refused-webhooks", "error", wrong_signing_secret, "webhooks_refused"),
    "events by catch-up alone": Fault(
        "catch-up-only", "warning", events_by_catch_up_alone, "webhooks_missed"
    ),
    "a rejected file in the spool": Fault("spool-waiting", "warning", file_in_the_spool),
}


ANNOUNCED = {each.announced for each in FAULTS.values() if each.announced}


def verdict(findings: Any, check: str) -> list[tuple[str, str]]:
    """What is said of one check: level and sentence."""
    return [(each["level"], each["what"]) for each in findings if each["check"] == check]


async def of_doctor(service: Service, check: str) -> list[tuple[str, str]]:
    report = await diagnose(service.settings, [], clock=service.clock)
    return verdict(report.as_json()["findings"], check)


async def announced(service: Service) -> set[str]:
    await service.alerts.check()
    async with service.database.reading() as session:
        return set(await session.exec(select(OutboxEntry.signal).where(col(OutboxEntry.state) == "done")))


async def account_page(visitor: Visitor, who: str) -> str:
    kind = "customer" if who.startswith("cus_") else "id"
    return words(await visitor.open(f"/user?{kind}={who}"))


@pytest.mark.parametrize("name", list(FAULTS))
async def test_api_screen_status_doctor_alerts_and_users_show_give_one_answer(
    name: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, clock = FAULTS[name], Clock()
    monkeypatch.setattr("app.admin.statistics.TIMEOUT_SECONDS", 30)
    async with logged_in(database_url, clock, spool_dir=tmp_path) as (client, visitor):
        service: Service = client.app.state.billing
        who = await fault.prepare(client, Account(1, start=START - DAY), tmp_path)
        clock.now += 11 * MINUTE if fault.announced == "customer_unlinked" else 0

        answer = await client.read("/internal/checks")
        [(level, sentence)] = verdict(answer["findings"], fault.check)
        assert (level, answer["ok"]) == (fault.level, fault.level == "ok")
        status = await read_status(service)
        assert verdict(status["checks"], fault.check) == [(level, sentence)]
        assert any(sentence in each for each in status["problems"]) == (level != "ok")
        assert status["fine"] == (level == "ok")
        assert await of_doctor(service, fault.check) == [(level, sentence)]

        cards = (await visitor.open("/")).split('<li class="card number ')[1:]
        marks = {card.split('"')[0] for card in cards if sentence in words(card)}
        assert marks == {"ok": set(), "warning": {"warn"}, "error": {"bad"}}[level]
        if level == "ok":
            others = [
                card for card in cards if "From Stripe to here" not in card
            ]  # these events are a day old
            assert {card.split('"')[0] for card in others} == {""}

        if who is not None:
            shown = await read_user(service, who)
            [(own_level, own_sentence)] = verdict(shown["checks"], fault.check)
            assert own_level == level
            assert bool(shown["problems"]) == (level != "ok")
            page = await account_page(visitor, who)
            assert (own_sentence in page) == (level != "ok")

        expected = {fault.announced} if fault.announced else set()
        assert (await announced(service)) & ANNOUNCED == expected
