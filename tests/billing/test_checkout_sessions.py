"""A user has one checkout session that is open, and none once something was bought."""

import asyncio

import pytest
from sqlmodel import select

from app.db.models import OpenedSession
from app.simulator import DAY
from app.simulator.api import complete_checkout
from app.sync import checkout_sessions
from app.worker.pruning import CHECKOUT_SESSIONS_DAYS

from ..shop import USER, Shop, ordered, shop

pytestmark = pytest.mark.postgresql_in_long

SYNC = "checkout-sessions/{}/sync"


def statuses(here: Shop) -> dict[str, str]:
    return {id: session.status for id, session in here.account.sessions.items()}


async def expire_due(here: Shop) -> int:
    """What the running service does every few seconds."""
    sessions = here.service.checkout_sessions
    assert sessions is not None
    return await sessions.expire_due()


async def rows(here: Shop) -> dict[str, OpenedSession]:
    async with here.service.database.reading() as session:
        return {each.id: each for each in await session.exec(select(OpenedSession))}


async def test_opening_a_session_expires_the_users_earlier_one(database_url: str) -> None:
    async with shop(database_url) as here:
        first, others = await here.opened(), await here.opened("user_bob")
        second = await here.opened(plan="starter")
        assert statuses(here) == {first: "expired", others: "open", second: "open"}
        assert await here.opened(key="k") == await here.opened(key="k")
        assert await expire_due(here) == 0


async def test_of_several_orders_at_once_one_session_stays_open(database_url: str) -> None:
    async with shop(database_url) as here:
        made = await asyncio.gather(*(here.order() for _ in range(5)))
        assert {each.status_code for each in made} == {200}
        here.account.advance(checkout_sessions.AGAIN_SECONDS + 1)
        await expire_due(here)
        assert sorted(statuses(here).values()) == ["expired"] * 4 + ["open"]
        stays = [id for id, status in statuses(here).items() if status == "open"]
        assert [id for id, row in (await rows(here)).items() if row.superseded_at is None] == stays


async def test_a_key_whose_session_was_superseded_opens_nothing(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        await here.opened(key="order-7")
        second = await here.opened()
        again = await here.order(key="order-7")
        assert again.status_code == 409 and "no longer open" in again.json()["detail"]
        assert statuses(here)[second] == "open"


async def test_what_stripe_could_not_expire_is_expired_later(database_url: str) -> None:
    async with shop(database_url) as here:
        first = await here.opened()
        here.faults.next("error", 3, path=f"/v1/checkout/sessions/{first}")
        second = await here.opened()
        assert statuses(here) == {first: "open", second: "open"}
        assert await expire_due(here) == 0, "nobody asks again at once"
        here.account.advance(checkout_sessions.AGAIN_SECONDS + 1)
        assert await expire_due(here) == 1
        assert statuses(here) == {first: "expired", second: "open"}


async def test_a_kill_before_the_sessions_are_expired_loses_nothing(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(sqlite_database) as here:
        first = await here.opened()

        async def killed(*_: object) -> None:
            raise SystemError

        with monkeypatch.context() as patch:
            patch.setattr(checkout_sessions.CheckoutSessions, "expire_superseded", killed)
            assert (await here.order()).status_code == 500
        assert await expire_due(here) == 1
        assert statuses(here)[first] == "expired"


@pytest.mark.parametrize("way", ["webhook", "sync"])
async def test_when_one_is_paid_the_others_are_expired(database_url: str, way: str) -> None:
    async with shop(database_url) as here:
        first = await here.opened()
        here.faults.next("error", 3, path=f"/v1/checkout/sessions/{first}")
        second = await here.opened()
        here.account.advance(60)
        complete_checkout(here.account, first)  # in the tab that was open before
        if way == "webhook":
            await here.hear()
            here.account.advance(checkout_sessions.AGAIN_SECONDS)
            await expire_due(here)
        else:
            assert (await here.done(SYNC.format(first)))["applied"]
        assert statuses(here) == {first: "complete", second: "expired"}
        here.account.advance(checkout_sessions.AGAIN_SECONDS + 1)
        assert await expire_due(here) == 0
        assert {row.closed_at is None for row in (await rows(here)).values()} == {False}


async def test_an_order_while_the_earlier_one_is_being_paid_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(database_url) as here:
        first = await here.opened()
        note = checkout_sessions.CheckoutSessions.note

        async def paid_before(
            self: checkout_sessions.CheckoutSessions, opened: checkout_sessions.Opened
        ) -> bool:
            complete_checkout(here.account, first)
            return await note(self, opened)

        monkeypatch.setattr(checkout_sessions.CheckoutSessions, "note", paid_before)
        refused = await here.order()
        assert refused.status_code == 409
        [subscription] = here.account.subscriptions
        assert refused.json()["subscription_id"] == subscription and refused.json()["portal_url"]
        assert sorted(statuses(here).values()) == ["complete", "expired"]


async def test_what_was_bought_otherwise_closes_a_session_and_a_strangers_payment_does_not(
    sqlite_database: str,
) -> None:
    async with shop(sqlite_database) as here:
        session_id = await here.opened()
        here.account.advance(60)
        stranger = here.account.create_subscription(here.account.create_customer())
        here.account.complete_checkout(stranger, USER)
        await here.hear()
        assert await expire_due(here) == 0
        here.account.create_subscription(here.account.create_customer(), user_id=USER)
        await here.hear()
        assert await expire_due(here) == 1
        assert statuses(here)[session_id] == "expired"


async def test_a_second_subscription_may_be_bought_beside_the_first(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        await here.bought()
        session_id = await here.opened(allow_second=True)
        here.account.advance(checkout_sessions.AGAIN_SECONDS)
        await expire_due(here)
        assert statuses(here)[session_id] == "open"
        earlier = next(iter(statuses(here)))
        assert (await here.done(SYNC.format(earlier)))["applied"], "the page of the first purchase again"
        assert statuses(here)[session_id] == "open"
        here.account.advance(60)
        here.account.create_subscription(here.account.create_customer(), user_id=USER)
        await here.hear()
        await expire_due(here)
        assert statuses(here)[session_id] == "expired"


async def test_sessions_that_ended_are_closed_unasked_and_pruned(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        session_id = await here.opened()
        here.account.advance(DAY + checkout_sessions.LATE_SECONDS)
        asked = sum(here.traffic.by_route.values())
        assert await expire_due(here) == 1 and await expire_due(here) == 0
        assert sum(here.traffic.by_route.values()) == asked
        assert list(await rows(here)) == [session_id]
        assert await here.service.worker.pruner.prune_checkout_sessions() == 0
        here.account.advance(CHECKOUT_SESSIONS_DAYS * DAY)
        assert await here.service.worker.pruner.prune_checkout_sessions() == 1


async def test_no_address_is_given_before_the_session_is_noted(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(sqlite_database) as here:

        async def failing(*_: object) -> bool:
            raise SystemError

        with monkeypatch.context() as patch:
            patch.setattr(checkout_sessions.CheckoutSessions, "note", failing)
            assert (await here.order(key="order-7")).status_code == 500
        made = await here.done("checkout-sessions", ordered(key="order-7"))
        assert list(here.account.sessions) == [made["session_id"]] == list(await rows(here))
