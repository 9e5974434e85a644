"""Whose account an event is of: another account's grants nothing, by whichever member it is named."""

import asyncio
from typing import Any

import orjson
import pytest
from sqlmodel import select

from app.db.models import EventState, WebhookEvent
from app.errors import StripeRefused, StripeUnavailable
from app.simulator import NEW, Account, event_body, thin_event
from app.stripe.client import Answer
from app.stripe.own_account import UNKNOWN, OwnAccount
from app.sync.account import ASK_AGAIN_SECONDS, AccountLookup
from app.worker.worker import Worker
from tests.client import Client, running
from tests.limits.helpers import Clock

pytestmark = pytest.mark.postgresql_in_long

OURS, SIBLING = "acct_ours", "acct_sibling"


def subscribed() -> Account:
    account = Account(1)
    account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    return account


async def deliver(client: Client, lived: Account, **more: Any) -> set[str]:
    """Deliver everything with more members than usual; the statuses in the answers."""
    return {await client.send(orjson.loads(event_body(each, NEW)) | more) for each in lived.events}


async def plan(client: Client) -> str | None:
    found: str | None = (await client.read("/internal/users/ada/entitlements"))["plan"]
    return found


async def rows(client: Client) -> list[WebhookEvent]:
    async with client.app.state.billing.database.reading() as session:
        return list(await session.exec(select(WebhookEvent)))


@pytest.fixture(autouse=True)
def idle_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))


@pytest.mark.parametrize(
    "more",
    [
        {"context": SIBLING},
        {"account": SIBLING},
        {"account": SIBLING, "context": SIBLING},
        {"account": SIBLING, "context": f"{OURS}/{SIBLING}"},
        {"account": None, "context": f"{OURS}/{SIBLING}"},
        {"account": SIBLING, "context": OURS},
    ],
)
async def test_what_another_account_says_is_stored_ignored_and_grants_nothing(
    database_url: str, more: dict[str, Any]
) -> None:
    account = subscribed()
    async with running(database_url, stripe_account=OURS) as client:
        assert await deliver(client, account, **more) == {"ignored"}
        assert await client.send(thin_event(account.events[0]) | more) == "ignored"
        assert await plan(client) == "free"
        kept = await rows(client)
        assert {row.state for row in kept} == {EventState.IGNORED}
        assert None not in {row.account for row in kept}


@pytest.mark.parametrize("more", [{}, {"context": None}, {"context": OURS}, {"context": f"acct_org/{OURS}"}])
async def test_what_our_own_account_says_counts_however_it_is_named(
    database_url: str, more: dict[str, Any]
) -> None:
    async with running(database_url, stripe_account=OURS) as client:
        assert "deferred" not in await deliver(client, subscribed(), **more)
        assert await plan(client) == "team"


async def test_while_our_account_is_unknown_events_that_name_one_wait_and_count_once_it_is_known(
    database_url: str,
) -> None:
    account = subscribed()
    now = [float(account.now)]
    async with running(database_url, clock=lambda: now[0]) as client:
        assert "deferred" in await deliver(client, account, context=OURS)
        waiting = [row for row in await rows(client) if row.state == EventState.FAILED]
        assert {(row.last_error, row.attempts) for row in waiting} == {(UNKNOWN, 0)}
        for _ in range(3):
            now[0] += 200
            await client.app.state.billing.worker.retry_due()
        assert {row.attempts for row in await rows(client) if row.state == EventState.FAILED} == {0}
        assert await plan(client) == "free"
    async with running(database_url, clock=lambda: now[0], stripe_account=OURS) as client:
        now[0] += 200
        await client.app.state.billing.worker.retry_due()
        assert await plan(client) == "team"
        assert EventState.FAILED not in {row.state for row in await rows(client)}


class Stripe:
    """Gives the answers that a test chose, and counts."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)

    async def get(self, path: str, **params: Any) -> Answer:
        assert path == "/v1/account"
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_the_account_is_learned_once_with_the_key() -> None:
    own = OwnAccount()
    lookup = AccountLookup(Stripe(StripeUnavailable("down"), Answer({"id": OURS}, 1)), own)  # type: ignore[arg-type]
    with pytest.raises(StripeUnavailable):
        await lookup.learn()
    for _ in range(3):
        await lookup.learn()
    assert own.id == OURS


async def test_a_key_that_may_not_read_the_account_is_tried_again_minutes_later() -> None:
    own, clock = OwnAccount(), Clock()
    stripe = Stripe(StripeRefused("may not"), Answer({"id": OURS}, 1))
    lookup = AccountLookup(stripe, own, clock=clock)  # type: ignore[arg-type]
    for _ in range(3):
        await lookup.learn()
    assert own.id is None
    clock.now += ASK_AGAIN_SECONDS
    await lookup.learn()
    assert own.id == OURS
