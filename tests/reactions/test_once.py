"""Each fact is announced once: by whichever event tells it, in whatever order, and after an upgrade."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from app.db.models import OutboxEntry, table_of
from app.reactions.outbox import Outbox, entry_of
from app.signals import Reaction, payment_failed, reactions
from app.simulator import Account, Event
from app.worker.worker import Worker

from ..client import Client, running
from ..limits.helpers import START, Clock

pytestmark = pytest.mark.postgresql_in_long

Announced = list[Reaction]
SUBSCRIBED = {"subscription_activated", "subscription_changed"}


@pytest.fixture
def told() -> Iterator[Announced]:
    """What plain receivers hear: nothing but the service itself keeps them from hearing it twice."""
    heard: Announced = []

    async def hear(reaction: Reaction) -> None:
        heard.append(reaction)

    for signal in reactions.values():
        signal.connect(hear)
    yield heard
    for signal in reactions.values():
        signal.disconnect(hear)


@pytest.fixture
async def client(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    monkeypatch.setattr(Outbox, "run", lambda outbox: asyncio.sleep(0))
    async with running(database_url, clock=Clock()) as client:
        yield client


def failed_payment(account: Account) -> Event:
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    account.renew(subscription, paid=False)
    return next(each for each in account.events if each.type == "invoice.payment_failed")


def refund(account: Account) -> Event:
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    account.refund(account.renew(subscription), 700)
    return next(each for each in account.events if each.type == "charge.refunded")


def dispute(account: Account) -> Event:
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    account.dispute(account.renew(subscription))
    return next(each for each in account.events if each.type == "charge.dispute.created")


def ending_trial(account: Account) -> Event:
    customer = account.create_customer(user_id="ada")
    subscription = account.create_subscription(customer, "price_team", trial_days=7)
    account.advance(5 * 86_400)
    account.warn_of_trial_end(subscription)
    return next(each for each in account.events if each.type == "customer.subscription.trial_will_end")


FACTS: dict[str, Callable[[Account], Event]] = {
    "payment_failed": failed_payment,
    "payment_refunded": refund,
    "payment_disputed": dispute,
    "trial_ending": ending_trial,
}


@pytest.mark.parametrize("signal", FACTS)
async def test_two_event_objects_about_one_fact_are_announced_once(
    client: Client, told: Announced, signal: str
) -> None:
    account = Account(1, start=START - 30 * 86_400)
    event = FACTS[signal](account)
    await client.deliver(*account.events)
    await client.deliver(replace(event, id=f"{event.id}again"))
    # In one batch, too, and one that the worker tries again.
    await asyncio.gather(*(client.deliver(replace(event, id=f"{event.id}{n}")) for n in range(3)))
    await asyncio.sleep(0)
    ids = [each.id for each in told if each.signal == signal]
    assert len(ids) == 1
    assert event.id not in ids[0], "the id says what happened, whichever event tells it"


async def test_each_attempt_each_refund_and_each_status_of_a_dispute_is_a_fact_of_its_own(
    client: Client, told: Announced
) -> None:
    account = Account(1, start=START - 90 * 86_400)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    paid = account.renew(subscription)
    account.refund(paid, 200)
    account.refund(paid, 300)
    account.close_dispute(account.dispute(paid), won=False)
    failed = account.renew(subscription, paid=False)
    account.fail_payment(failed)
    await client.deliver(*account.events)
    await client.deliver(*(replace(each, id=f"{each.id}again") for each in account.events))
    await asyncio.sleep(0)
    counted = [each.signal for each in told if each.signal not in SUBSCRIBED]
    assert sorted(counted) == sorted(
        ["payment_failed"] * 2 + ["payment_refunded"] * 2 + ["payment_disputed"] * 2
    )


async def test_what_an_older_release_announced_by_its_event_is_not_announced_again(
    client: Client, told: Announced
) -> None:
    account = Account(1, start=START - 30 * 86_400)
    event = failed_payment(account)
    before = [each for each in account.events if each is not event]
    await client.deliver(*before)
    by_event = Reaction(f"payment_failed:{event.id}", payment_failed.name, START, event.id)
    database = client.app.state.billing.database
    async with database.batch() as batch:
        await batch.begin(())
        await batch.write({table_of(OutboxEntry): [entry_of(by_event, "mail", START)]}, ())
    await client.deliver(event)
    await asyncio.sleep(0)
    assert payment_failed.name not in {each.signal for each in told}


async def test_only_facts_are_noted_so_that_a_renewal_writes_nothing_more(
    client: Client, told: Announced
) -> None:
    account = Account(1, start=START - 60 * 86_400)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    account.renew(subscription)
    await client.deliver(*account.events)
    assert await notes(client) == []
    account.renew(subscription, paid=False)
    await client.deliver(*account.events)
    assert [note["signal"] for note in await notes(client)] == ["payment_failed"]


async def notes(client: Client) -> list[dict[str, Any]]:
    async with client.app.state.billing.database.reading() as session:
        found = await (await session.connection()).execute(
            text("SELECT signal FROM billing_outbox WHERE receiver = '' ORDER BY id")
        )
        return [dict(row._mapping) for row in found]
