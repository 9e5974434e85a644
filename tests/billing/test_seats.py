"""Seats: one change for several calls, never below the members, whatever dies or fails meanwhile."""

import asyncio
from typing import Any

import pytest
from sqlmodel import col, update

from app.billing.seat_changes import LEASE_SECONDS, SeatChanges
from app.billing.seats import DEBOUNCE_SECONDS, LONGEST_DELAY_SECONDS
from app.db.models import SeatRequest
from app.operations.checks import check_service
from app.service import Service
from app.simulator import Subscription

from ..client import AUTH
from ..shop import USER, Shop, shop
from .test_subscription_changes import path, stored

pytestmark = pytest.mark.postgresql_in_long

SEATS = f"users/{USER}/seats"


async def sync(here: Shop, members: int) -> Any:
    return await here.done(SEATS, {"members": members})


async def read(here: Shop) -> Any:
    return await here.client.read(f"/internal/{SEATS}")


async def due(here: Shop) -> int:
    """Let the time of the last request pass; how many rows were tried."""
    here.account.advance(DEBOUNCE_SECONDS)
    return await SeatChanges(here.service).make_due()


def changes(here: Shop, subscription: Subscription) -> int:
    return here.traffic.by_path[f"POST /v1/subscriptions/{subscription.id}"]


@pytest.fixture(autouse=True)
def only_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own loop makes nothing in between."""
    monkeypatch.setattr(SeatChanges, "run", lambda changes: asyncio.Event().wait())


async def test_several_calls_make_one_change_with_the_last_number(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(quantity=3)
        for members in (4, 5, 6):
            asked = await sync(here, members)
            here.account.advance(DEBOUNCE_SECONDS - 1)
            assert await SeatChanges(here.service).make_due() == 0
        assert (asked["pending"], asked["members"], asked["quantity"]) == (True, 6, None)
        assert await due(here) == 1 and changes(here, subscription) == 1
        done = await read(here)
        assert (done["pending"], done["quantity"], done["subscription_id"]) == (False, 6, subscription.id)
        assert (done["due_at"], done["last_error"], done["done_at"]) == (None, None, here.account.now)
        assert (await stored(here, subscription))["quantity"] == subscription.items[0].quantity == 6
        [entry] = await here.audited(subscription.id)
        assert entry.action == "subscription.seats_synced"
        assert await due(here) == 0
        await sync(here, 6)
        assert await due(here) == 1 and changes(here, subscription) == 1, "it is six already"


async def test_calls_without_a_pause_are_not_put_off_for_ever(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        began = here.account.now
        made = 0
        for members in range(2, 30):
            await sync(here, members)
            here.account.advance(DEBOUNCE_SECONDS - 1)
            made += await SeatChanges(here.service).make_due()
            if made:
                break
        assert here.account.now - began <= LONGEST_DELAY_SECONDS + DEBOUNCE_SECONDS
        assert subscription.items[0].quantity == members


async def test_the_difference_waits_for_the_next_invoice_so_no_card_refuses_a_member(
    sqlite_database: str,
) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought(quantity=2)
        latest = subscription.latest_invoice
        await sync(here, 9)
        await due(here)
        assert subscription.latest_invoice == latest and subscription.items[0].quantity == 9
        assert subscription.pending_update is None


async def test_the_quantity_is_never_below_the_least_that_is_sold(
    sqlite_database: str, tmp_path: Any
) -> None:
    plans = tmp_path / "plans.toml"
    plans.write_text(
        "[features]\nprojects = { kind = 'allocated' }\n[plans.team]\nprices = ['price_team']\n"
        "min_quantity = 3\nmax_quantity = 8\nprojects = { limit = 10, per_unit = true }\n"
    )
    async with shop(sqlite_database, plans_file=plans) as here:
        subscription = await here.bought(quantity=5)
        for members, quantity in ((1, 3), (0, 3), (8, 8)):
            await sync(here, members)
            await due(here)
            assert subscription.items[0].quantity == (await read(here))["quantity"] == quantity
        await sync(here, 9)
        await due(here)
        failed = await read(here)
        assert failed["pending"] and failed["attempts"] == 1 and "up to 8" in failed["last_error"]
        assert subscription.items[0].quantity == 8
        for quantity in (2, 9):
            refused = await here.post(path(subscription, "change"), {"quantity": quantity})
            assert refused.status_code == 422 and "is sold" in refused.json()["detail"]


async def test_an_add_on_beside_it_stays_and_a_flat_plan_has_no_seats(database_url: str) -> None:
    async with shop(database_url) as here:
        await sync(here, 4)
        assert await due(here) == 1
        assert (await read(here))["subscription_id"] is None, "nothing was bought yet"
        subscription = await here.bought(price_id="price_starter")
        await sync(here, 4)
        await due(here)
        assert (await read(here))["quantity"] is None and subscription.items[0].quantity == 1
        here.account.change_price(subscription, "price_team")
        here.account.add_item(subscription, "price_more_projects", 2)
        await here.hear()
        await sync(here, 4)
        await due(here)
        assert [item.quantity for item in subscription.items] == [4, 2]


async def test_a_process_that_dies_leaves_the_row_to_the_next_one(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        await sync(here, 4)

        async def dies(*_: Any) -> Any:
            raise asyncio.CancelledError

        with monkeypatch.context() as patched:
            patched.setattr("app.billing.seat_changes.sync", dies)
            with pytest.raises(asyncio.CancelledError):
                await due(here)
        assert (await read(here))["pending"] and await due(here) == 0, "its lease holds"
        await sync(here, 5)
        assert await due(here) == 0, "one change at a time, so that the last one stays"
        here.account.advance(LEASE_SECONDS)
        assert await SeatChanges(here.service).make_due() == 1
        assert subscription.items[0].quantity == 5


async def test_of_two_processes_one_makes_the_change(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        await sync(here, 7)
        here.account.advance(DEBOUNCE_SECONDS)
        tried = await asyncio.gather(*(SeatChanges(here.service).make_due() for _ in range(3)))
        assert sum(tried) == 1 and changes(here, subscription) == 1


async def test_what_is_asked_for_while_a_change_is_made_is_made_next(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        await sync(here, 4)
        here.account.advance(DEBOUNCE_SECONDS)
        hold = here.faults.hold("delay", 1, path=f"/v1/subscriptions/{subscription.id}")
        first = asyncio.create_task(SeatChanges(here.service).make_due())
        await hold.reached()
        await sync(here, 6)
        assert await due(here) == 0
        hold.release()
        assert await first == 1
        assert (await read(here))["pending"]
        assert await due(here) == 1 and subscription.items[0].quantity == 6
        assert not (await read(here))["pending"]


async def test_failures_are_tried_again_and_the_checks_say_so(database_url: str) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought()
        await sync(here, 4)
        here.faults.next("error", 9, seconds=0, path=f"/v1/subscriptions/{subscription.id}")
        for attempt in range(1, 4):
            here.account.advance(86_400)
            assert await SeatChanges(here.service).make_due() == 1
            assert (await read(here))["attempts"] == attempt
        [finding] = (await check_service(here.service))["seats"]
        assert finding.level == "error" and list(finding.ids) == [USER]
        here.account.advance(86_400)
        assert await SeatChanges(here.service).make_due() == 1
        assert subscription.items[0].quantity == 4 and (await read(here))["last_error"] is None
        assert (await check_service(here.service))["seats"] == []


async def test_a_planned_change_stays_planned_and_never_has_fewer_seats_than_members(
    database_url: str,
) -> None:
    async with shop(database_url) as here:
        subscription = await here.bought(quantity=6)
        await here.done(path(subscription, "change"), {"quantity": 2})
        here.account.advance(60)
        await sync(here, 4)
        await due(here)
        assert subscription.items[0].quantity == 4 and subscription.schedule is not None
        summary = await here.client.read(f"/internal/users/{USER}/summary")
        assert summary["subscriptions"][0]["scheduled_change"]["items"][0]["quantity"] == 4
        here.account.advance(60)
        await here.done(path(subscription, "change"), {"plan": "starter", "quantity": 1})
        await sync(here, 5)
        await due(here)
        assert subscription.items[0].quantity == 5
        summary = await here.client.read(f"/internal/users/{USER}/summary")
        assert summary["subscriptions"][0]["scheduled_change"]["plan"] == "starter"


async def test_what_cannot_be_is_refused(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        for body in ({"members": -1}, {"members": 1_000_000}, {"members": "3"}, {}, {"members": 1, "x": 1}):
            assert (await here.post(SEATS, body)).status_code == 422, body
        assert (await here.client.get(f"/internal/{SEATS}")).status_code == 404
        assert (await here.post("users/a%00b/seats", {"members": 1})).status_code in (404, 422)
    async with shop(sqlite_database, stripe_api_key=None) as here:
        assert (await here.post(SEATS, {"members": 1})).status_code == 501


async def test_a_row_that_a_clock_far_ahead_wrote_is_not_left_for_years(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        subscription = await here.bought()
        await sync(here, 3)
        far = here.account.now + 10 * 365 * 86_400
        async with here.service.database.session() as session:
            ahead = update(SeatRequest).values(due_at=far, leased_until=far)
            await (await session.connection()).execute(ahead.where(col(SeatRequest.user_id) == USER))
        assert await due(here) == 1 and subscription.items[0].quantity == 3
        assert (await here.client.http.get(f"/internal/{SEATS}", headers=AUTH)).status_code == 200


async def test_a_row_is_taken_when_its_turn_comes_however_long_those_before_it_take(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(sqlite_database) as here:
        for user_id in ("user_1", "user_2", "user_3"):
            await here.done(f"users/{user_id}/seats", {"members": 2})
        here.account.advance(DEBOUNCE_SECONDS)
        left: list[int] = []

        async def slow(service: Service, row: SeatRequest) -> tuple[None, None]:
            async with service.database.reading() as session:
                taken = await session.get(SeatRequest, row.user_id)
            assert taken is not None
            left.append(taken.leased_until - here.account.now)
            here.account.advance(LEASE_SECONDS - 10)
            return None, None

        monkeypatch.setattr("app.billing.seat_changes.sync", slow)
        assert await SeatChanges(here.service).make_due() == 3
        assert left == [LEASE_SECONDS] * 3
