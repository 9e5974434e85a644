"""An interrupted catch-up that goes on with other types: none is passed over."""

from collections.abc import Sequence

import pytest
from sqlmodel import select

from app.db.models import WebhookEvent
from app.inbox.handlers import stripe_types
from app.simulator import Account
from app.stripe import client as stripe_client
from app.sync import catch_up as catch_up_module

from .conftest import Start

pytestmark = pytest.mark.postgresql_in_long

NOW = 1_900_000_000
ALL = stripe_types()
FEWER = [each for each in ALL if each > "customer.deleted"]


class Interrupted(Exception):
    """As by a deployment."""


@pytest.mark.parametrize(
    ("before", "after", "interrupted_at"),
    [
        pytest.param(FEWER, ALL, 6, id="types were added"),
        pytest.param(ALL, FEWER, 3, id="types were taken away"),
    ],
)
async def test_it_begins_again_and_passes_no_type_over(
    database_url: str,
    beside: Start,
    monkeypatch: pytest.MonkeyPatch,
    before: Sequence[str],
    after: Sequence[str],
    interrupted_at: int,
) -> None:
    monkeypatch.setattr(stripe_client, "MAX_EVENT_TYPES", 2)
    account = Account(1, start=NOW)
    account.create_subscription(account.create_customer(user_id="ada"))

    def interrupt(listed: int, missing: int) -> None:
        if listed >= interrupted_at:
            raise Interrupted

    async with beside(database_url, account) as both:
        assert both.service.catch_up is not None
        monkeypatch.setattr(catch_up_module, "stripe_types", lambda: before)
        with pytest.raises(Interrupted):
            await both.service.catch_up.run(NOW, interrupt)
        monkeypatch.setattr(catch_up_module, "stripe_types", lambda: after)
        assert await both.service.catch_up.run()
        async with both.service.database.reading() as session:
            taken_in = set(await session.exec(select(WebhookEvent.id)))
    assert {event.id for event in account.events if event.type in after} <= taken_in
