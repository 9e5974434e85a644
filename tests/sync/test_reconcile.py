"""Records are compared with Stripe's objects: exactly what differs is reported, and repaired."""

import random
from typing import Any

import pytest
from sqlalchemy import text

from app.db.models import Invoice
from app.simulator import DAY, NEW, OLD, Account, Shape, play, truth
from app.sync.reconcile import Report
from tests.client import AUTH
from tests.records import stored

from .conftest import Beside, Start
from .test_catch_up import NOW, lived, refuse

pytestmark = pytest.mark.postgresql_in_long


async def reconcile(both: Beside, *, repair: bool = False) -> Report:
    assert both.service.reconcile is not None
    report = await both.service.reconcile.run(repair=repair)
    assert report is not None
    return report


async def corrupt(both: Beside, statement: str, **values: Any) -> None:
    async with both.service.database.session() as session:
        await (await session.connection()).execute(text(statement), values)


def found(report: Report) -> set[tuple[str, str]]:
    return {(each.id, each.column) for each in report.differences}


@pytest.mark.parametrize("shape", [OLD, NEW])
@pytest.mark.rest_in_long(1)
async def test_records_that_webhooks_made_differ_in_nothing(
    database_url: str, beside: Start, shape: Shape
) -> None:
    account = lived(1)
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events, shape=shape)
        account.advance(10)
        report = await reconcile(both)
        assert report.differences == []
        assert report.compared >= len(account.subscriptions)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.rest_in_long(1)
async def test_exactly_what_was_corrupted_is_reported_and_repaired(
    database_url: str, beside: Start, seed: int
) -> None:
    account, rng = lived(seed), random.Random(seed)
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events)
        account.advance(60)
        subscriptions = rng.sample(sorted(account.subscriptions), 3)
        live = [each.id for each in account.customers.values() if not each.deleted]
        customer = rng.choice(live)
        was = account.subscriptions[subscriptions[0]].status
        wrong = "unpaid" if was != "unpaid" else "active"
        await corrupt(
            both, "UPDATE billing_subscription SET status = :s WHERE id = :id", s=wrong, id=subscriptions[0]
        )
        await corrupt(
            both, "UPDATE billing_subscription SET quantity = 99 WHERE id = :id", id=subscriptions[1]
        )
        await corrupt(both, "DELETE FROM billing_subscription WHERE id = :id", id=subscriptions[2])
        await corrupt(both, "UPDATE billing_customer SET email = 'x@example.com' WHERE id = :id", id=customer)
        corrupted = {
            (subscriptions[0], "status"),
            (subscriptions[1], "quantity"),
            (subscriptions[2], "*"),
            (customer, "email"),
        }
        before = await stored(both.service.database, truth(account))
        assert found(await reconcile(both)) == corrupted
        assert await stored(both.service.database, truth(account)) == before  # it only looked
        repaired = await reconcile(both, repair=True)
        assert (found(repaired), repaired.repaired) == (corrupted, 4)
        assert (await reconcile(both)).differences == []
        expected = truth(account)
        records = await stored(both.service.database, expected)
        # What only invoices and checkout sessions said of the deleted record is not in the subscription.
        for records_or_truth in (expected, records):
            records_or_truth["subscriptions"][subscriptions[2]] |= {"paid_through": None, "user_id": None}
        assert records == expected


@pytest.mark.long
@pytest.mark.postgresql_in_deep
async def test_a_team_with_subscribers_imports_them_all(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    account.bulk(500, seed=3)
    account.advance(DAY)
    async with beside(database_url, account) as both:
        report = await reconcile(both, repair=True)
        assert report.repaired == report.differing == len(account.subscriptions) + len(account.customers)
        assert (await reconcile(both)).differences == []
        some = next(iter(account.subscriptions.values()))
        record = await both.client.read(f"/internal/subscriptions/{some.id}")
        assert (record["status"], record["customer_id"]) == (some.status, some.customer)


async def test_what_an_internal_update_overrides_is_no_difference(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    subscription = play(account, "sign_up", user_id="ada")
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events)
        account.advance(60)
        update = {
            "customer_id": subscription.customer,
            "subscription_id": subscription.id,
            "plan_id": "price_starter",
            "start_date": NOW,
            "expiry_date": NOW + DAY,
            "status": "unpaid",
        }
        answer = await both.client.http.post("/internal/subscription/update", json=update, headers=AUTH)
        assert answer.status_code == 200
        assert (await reconcile(both)).differences == []


async def test_what_stripe_does_not_have_is_reported_and_never_deleted(
    database_url: str, beside: Start
) -> None:
    account, other = Account(1, start=NOW), Account(2, start=NOW)
    theirs = play(other, "sign_up", user_id="ada")
    async with beside(database_url, account) as both:
        await both.client.deliver(*other.events)
        report = await reconcile(both, repair=True)
        assert found(report) == {(theirs.id, "*"), (theirs.customer, "*")}
        assert set(report.not_repaired) == {theirs.id, theirs.customer}
        assert (await both.client.read(f"/internal/subscriptions/{theirs.id}"))["status"] == "active"


async def test_a_customer_deleted_at_stripe_is_found_and_repaired(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    customer = account.create_customer(user_id="ada")
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events)
        account.advance(60)
        account.delete_customer(customer)
        account.advance(60)
        report = await reconcile(both, repair=True)
        assert (customer.id, "deleted") in found(report)
        assert (await reconcile(both)).differences == []


async def test_the_result_is_noted_for_those_who_look_later(database_url: str, beside: Start) -> None:
    from app.sync import leases

    account = Account(1, start=NOW)
    account.create_customer()
    async with beside(database_url, account) as both:
        await reconcile(both, repair=True)
        job = await leases.load_job(both.service.database, "reconcile")
        assert job is not None
        assert job.result is not None
        assert (job.result["differing"], job.result["repaired"]) == (1, 1)
        assert job.finished_at == account.now


async def test_open_invoices_are_compared_and_imported(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    paid = account.renew(subscription)
    owed = account.renew(subscription, paid=False)
    account.advance(60)
    async with beside(database_url, account) as both:
        reconcile = both.service.reconcile
        assert reconcile is not None
        assert await reconcile.run(repair=True) is not None
        async with both.service.database.reading() as session:
            known = await session.get(Invoice, owed.id)
            assert known is not None and known.status == "open"
            assert await session.get(Invoice, paid.id) is None
        account.recover(owed)
        account.advance(60)
        report = await reconcile.run(repair=True)
        assert report is not None
        columns = {each.column for each in report.differences if each.kind == "invoice"}
        assert {"status", "amount_paid"} <= columns
        report = await reconcile.run(repair=False)
        assert report is not None and report.differences == []


async def test_an_object_that_the_database_refuses_keeps_no_other_from_being_repaired(
    database_url: str, beside: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(1, start=NOW)
    refused, taken = (account.create_customer().id for _ in range(2))
    async with beside(database_url, account) as both:
        refuse(both, refused, monkeypatch)
        report = await reconcile(both, repair=True)
        assert (report.not_repaired, report.repaired) == ([refused], 1)
        assert (await both.client.get(f"/internal/customers/{taken}")).status_code == 200
