"""An internal change that fails is refused, and not kept to be retried: its caller waits for the answer."""

from collections.abc import Iterator

import pytest

from app.db.models import EventState
from app.inbox.unit_of_work import UnitOfWork
from app.signals import event_signal
from app.stripe.events import StripeEvent
from tests.client import AUTH, running

UPDATE = {
    "customer_id": "cus_XXX",
    "subscription_id": "sub_XXX",
    "plan_id": "price_XXX",
    "start_date": 1_893_456_000,
    "expiry_date": 1_896_134_400,
    "status": "active",
}


def raise_on_unpaid(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    if event.object["status"] == "unpaid":
        raise LookupError("a slip in a receiver of the application")


@pytest.fixture
def failing_receiver() -> Iterator[None]:
    signal = event_signal("internal.subscription.updated")
    signal.connect(raise_on_unpaid)
    yield
    signal.disconnect(raise_on_unpaid)


@pytest.mark.usefixtures("failing_receiver")
async def test_an_update_whose_receiver_raises_is_a_500_and_changes_nothing(database_url: str) -> None:
    async with running(database_url) as client:
        stored = await client.http.post("/internal/subscription/update", json=UPDATE, headers=AUTH)
        assert stored.status_code == 200
        refused = await client.http.post(
            "/internal/subscription/update", json=UPDATE | {"status": "unpaid"}, headers=AUTH
        )
        assert refused.status_code == 500, refused.text
        assert "slip" not in refused.text
        await client.app.state.billing.worker.retry_due()
        assert await client.read("/internal/subscriptions/sub_XXX") == stored.json()
        states = [event["state"] for event in (await client.read("/internal/events"))["data"]]
        assert states == [EventState.PROCESSED]
