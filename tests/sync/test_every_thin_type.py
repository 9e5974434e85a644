"""Every thin type about subscriptions, invoices, payments and what is sold says what its snapshot says."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.signals import Reaction, reactions
from app.simulator import NEW, Account, event_body, truth
from app.simulator.model import Event
from app.simulator.thin import ThinEvent, notification, thin_id
from app.stripe.event_types import plain_type
from app.sync.pending import UNCHANGED_SECONDS
from tests.records import stored

from .conftest import Beside, Start
from .test_catch_up import NOW
from .thin_types import STORIES, Life, all_thin_types

Announced = list[Reaction]
FAMILIES = {
    "Charge",
    "CreditNote",
    "Customer",
    "Dispute",
    "EarlyFraudWarning",
    "Invoice",
    "InvoicePayment",
    "Price",
    "Product",
    "Refund",
    "Session",
    "Subscription",
}
"""The classes of the objects that change a record here, or that a reaction is about."""
OTHERS = ("v1.billing_portal.", "v1.climate.", "v1.issuing_dispute.")
"""Of other objects whose classes have the same names."""
QUICK = [
    "v1.customer.subscription.past_due",
    "v1.customer.deleted",
    "v1.invoice.payment_failed",
    "v1.charge.refunded",
    "v1.credit_note.created",
]


@pytest.fixture
def told() -> Iterator[Announced]:
    heard: Announced = []

    async def hear(reaction: Reaction) -> None:
        heard.append(reaction)

    for signal in reactions.values():
        signal.connect(hear)
    yield heard
    for signal in reactions.values():
        signal.disconnect(hear)


def test_there_is_a_story_for_every_type_of_these_objects() -> None:
    wanted = {
        name
        for name, related in all_thin_types().items()
        if related in FAMILIES and not name.startswith(OTHERS)
    }
    assert len(wanted) > 80
    assert set(STORIES) == wanted | {"v1.invoice.upcoming"}


def pair(account: Account, name: str, number: int) -> tuple[list[Event], dict[str, Any], dict[str, Any]]:
    """The events before a change, and the change's snapshot event and thin event."""
    story = STORIES[name]
    life = Life(account, f"user_{number}")
    entity = story.prepare(life)
    before = list(account.events)
    account.advance(60)
    wanted = story.snapshot or plain_type(name)
    if story.change is None:
        account.announce(wanted, entity)
    else:
        story.change(life)
    event = [each for each in account.events[len(before) :] if each.type == wanted][-1]
    twin = None if story.snapshot else event.id
    thin = ThinEvent(thin_id(event.id, name), name, event.created, event.after, event.before, twin)
    return before, orjson.loads(event_body(event, NEW)), notification(thin)


async def read_all(side: Beside) -> None:
    for _ in range(6):
        side.account.advance(UNCHANGED_SECONDS + 1)
        if not await side.refresh():
            return
    raise AssertionError("there is always more to read")


def heard(told: Announced) -> Counter[str]:
    """What was announced, without what says which event announced it."""
    found = Counter(
        orjson.dumps(
            replace(each, id="", at=0, event_id=None).as_json(), option=orjson.OPT_SORT_KEYS
        ).decode()
        for each in told
    )
    told.clear()
    return found


async def after(side: Beside, event: dict[str, Any], told: Announced) -> tuple[Any, Counter[str]]:
    """The records once the event has come and everything was read, and what was announced."""
    told.clear()
    await side.client.send(event)
    await read_all(side)
    await asyncio.sleep(0)
    return await stored(side.service.database, truth(side.account)), heard(told)


async def differences(
    names: list[str], snapshot: Beside, thin: Beside, told: Announced
) -> tuple[dict[str, Any], int]:
    """What a thin event says otherwise than its snapshot, by its type; how many types announce anything."""
    account, found, delivered, announcing = snapshot.account, {}, 0, 0
    for number, name in enumerate(names):
        before, its_snapshot, its_thin = pair(account, name, number)
        for side in (snapshot, thin):
            await asyncio.gather(*(side.client.deliver(each) for each in before[delivered:]))
            await read_all(side)
        delivered = len(account.events)
        by_snapshot, by_thin = await after(snapshot, its_snapshot, told), await after(thin, its_thin, told)
        announcing += bool(by_snapshot[1])
        if by_snapshot != by_thin:
            found[name] = by_snapshot, by_thin
    return found, announcing


@pytest.mark.parametrize(
    "names",
    [QUICK, pytest.param(sorted(STORIES), marks=[pytest.mark.long, pytest.mark.postgresql_in_deep])],
    ids=["some", "all"],
)
@pytest.mark.long
async def test_a_thin_event_alone_gives_the_records_and_reactions_of_its_snapshot(
    any_database_url: str,
    sqlite_template: Path,
    tmp_path: Path,
    beside: Start,
    told: Announced,
    names: list[str],
) -> None:
    other = tmp_path / "snapshots.db"
    other.write_bytes(sqlite_template.read_bytes())
    account = Account(1, start=NOW)
    async with beside(f"sqlite:///{other}", account) as snapshot, beside(any_database_url, account) as thin:
        wrong, announcing = await differences(names, snapshot, thin, told)
    assert wrong == {}
    assert announcing >= len(names) // 4
