"""What repairs promise: nothing is passed over, nothing older put over something newer, nothing claimed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from app.db.models import EventState
from app.signals import event_signal
from app.simulator import DAY, Account
from app.sync.pending import RETRY_SECONDS, UNCHANGED_SECONDS
from app.sync.reconcile import Reconcile

from .conftest import Beside, Start
from .test_catch_up import NOW

pytestmark = pytest.mark.postgresql_in_long


@contextmanager
def refusing(event_type: str) -> Iterator[None]:
    def refuse(event: Any, unit_of_work: Any) -> None:
        raise ValueError("not today")

    signal = event_signal(event_type)
    signal.connect(refuse)
    try:
        yield
    finally:
        signal.disconnect(refuse)


async def rows(both: Beside, sql: str) -> Sequence[Any]:
    async with both.service.database.session() as session:
        found = await (await session.connection()).execute(text(sql))
        return found.all() if found.returns_rows else ()


async def test_a_short_catch_up_leaves_what_is_older_to_the_next(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    async with beside(database_url, account) as both:
        catch_up = both.service.catch_up
        assert catch_up is not None
        account.create_customer()
        await catch_up.run()
        account.advance(DAY)
        lost = account.create_customer()
        account.advance(3 * DAY)
        short = await catch_up.run(account.now - 3600)
        assert short is not None and short.missing == 0
        account.advance(900)
        await catch_up.run()
        assert await rows(both, f"SELECT 1 FROM billing_customer WHERE id = '{lost.id}'")


async def test_what_cannot_be_applied_is_not_read_every_second(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    account.create_subscription(account.create_customer(), "price_team")
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events)
        account.advance(UNCHANGED_SECONDS + 1)
        await rows(both, "UPDATE billing_subscription SET needs_refresh = TRUE")
        failed = f"SELECT id FROM billing_event WHERE state = '{EventState.FAILED}'"
        with refusing("customer.subscription.updated"):
            for _ in range(20):
                assert await both.refresh() == 0
                account.advance(1)
            assert len(await rows(both, failed)) == 1
        account.advance(RETRY_SECONDS)
        assert await both.refresh() == 1


async def test_what_could_not_be_applied_is_not_called_repaired(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(), "price_team")
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events)
        account.advance(60)
        await rows(both, "UPDATE billing_subscription SET quantity = 77")
        assert both.service.reconcile is not None
        with refusing("customer.subscription.updated"):
            report = await both.service.reconcile.run(repair=True)
        assert report is not None
        assert (report.repaired, report.not_repaired) == (0, [subscription.id])


async def test_a_page_that_is_older_than_the_record_is_not_put_over_it(
    database_url: str, beside: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(), "price_team")
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events)
        account.advance(60)
        read_rows, changed = Reconcile._rows, list[str]()

        async def late(reconcile: Reconcile, model: Any, ids: Sequence[str]) -> Any:
            if subscription.id in ids and not changed:
                changed.append(subscription.id)
                account.advance(6)
                before = len(account.events)
                account.change_quantity(subscription, 9)
                await both.client.deliver(*account.events[before:])
                account.advance(6)
            return await read_rows(reconcile, model, ids)

        monkeypatch.setattr(Reconcile, "_rows", late)
        assert both.service.reconcile is not None
        await both.service.reconcile.run(repair=True)
        [row] = await rows(both, "SELECT quantity FROM billing_subscription")
        assert row.quantity == 9


async def test_a_look_by_hand_does_not_stand_in_for_the_nightly_repair(
    database_url: str, beside: Start
) -> None:
    account = Account(1, start=NOW - NOW % DAY + 3 * 3600)
    account.create_subscription(account.create_customer(), "price_team")
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events)
        schedule, reconcile = both.service.schedule, both.service.reconcile
        assert schedule is not None and reconcile is not None
        schedule._reconcile_hour = 3
        await rows(both, "UPDATE billing_subscription SET quantity = 77")
        await reconcile.run(repair=False)
        await schedule.reconcile_when_due()
        [row] = await rows(both, "SELECT quantity FROM billing_subscription")
        assert row.quantity == 1
