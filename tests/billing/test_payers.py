"""One customer pays for several users: each checks out, and finds the portal, for itself."""

from typing import Any

import pytest
from sqlmodel import select

from app.db.models import Subscription, WebhookEvent
from app.operations.erasure import erase_user
from app.simulator import Customer
from app.simulator import Subscription as AtStripe
from app.simulator.api import complete_checkout

from ..client import running
from ..inbox.stories import DAY, Story, T
from ..shop import ORIGIN, Shop, shop

pytestmark = pytest.mark.postgresql_in_long

PORTAL = "portal-sessions"


async def paid_for_by(here: Shop, payer: str, user_id: str) -> tuple[Customer, AtStripe]:
    """A customer linked to one user, and its subscription that names another."""
    customer = here.account.create_customer(user_id=payer)
    subscription = here.account.create_subscription(customer, "price_team", user_id=user_id)
    await here.hear()
    return customer, subscription


def back(user_id: str) -> dict[str, Any]:
    return {"user_id": user_id, "return_url": f"{ORIGIN}/billing"}


async def test_what_a_customer_pays_for_another_user_keeps_its_own_from_buying_nothing(
    database_url: str,
) -> None:
    async with shop(database_url) as here:
        customer, subscription = await paid_for_by(here, "user_ada", "org")
        assert (await here.order("user_ada")).status_code == 200
        refused = await here.order("org")
        assert refused.status_code == 409
        assert refused.json()["subscription_id"] == subscription.id
        portal = await here.done(PORTAL, back("org"))
        assert portal["customer_id"] == customer.id
        # For more, the organisation gets a customer of its own: this one is somebody's.
        session_id = await here.opened("org", allow_second=True)
        assert here.account.sessions[session_id].customer != customer.id


async def test_a_session_is_of_the_user_it_was_opened_for_and_not_of_its_payer(database_url: str) -> None:
    async with shop(database_url) as here:
        customer = here.account.create_customer(user_id="user_ada")
        session = here.account.open_checkout(
            [("price_team", 1)], customer=customer.id, metadata={"user_id": "org"}
        )
        complete_checkout(here.account, session.id)
        path = f"checkout-sessions/{session.id}/sync"
        assert (await here.done(path, {"user_id": "org"}))["user_id"] == "org"
        assert (await here.post(path, {"user_id": "user_ada"})).status_code == 404
        await here.hear()
        assert (await here.done(path, {"user_id": "org"}))["user_id"] == "org"
        assert (await here.client.read("/internal/users/org/entitlements"))["plan"] == "team"
        assert (await here.client.read("/internal/users/user_ada/entitlements"))["plan"] == "free"


async def test_what_is_created_at_stripe_carries_the_first_metadata_key(sqlite_database: str) -> None:
    async with shop(sqlite_database, link_metadata_keys=("org_id", "user_id")) as here:
        subscription = await here.bought("org_7")
        assert subscription.metadata == {"org_id": "org_7"}
        assert here.account.customers[subscription.customer].metadata == {"org_id": "org_7"}
        stored = await here.client.read(f"/internal/subscriptions/{subscription.id}")
        assert (stored["user_id"], stored["link_source"]) == ("org_7", "metadata")


@pytest.mark.parametrize("key", ["org_id", "user_id"])
async def test_an_erased_user_keeps_its_subscription_and_the_ids_that_name_it(
    database_url: str, key: str
) -> None:
    """On a customer of somebody else, whose data stay; what comes late is still told from the ids."""
    async with running(database_url, link_metadata_keys=(key,), clock=lambda: T + 5 * DAY) as client:
        story = Story("erased")
        story.customer(email="payer@example.com", metadata={key: "person"})
        story.subscription("A", metadata={key: "org", "contact": "Ada Example"})
        story.session("A", 1, metadata={key: "org", "contact": "Ada Example"})
        story.subscription("B", metadata={"contact": "Bob Example"})
        for event in story.events:
            await client.send(event)
        database = client.app.state.billing.database
        erased = await erase_user(database, "org", actor="shell:test", at=T, link_keys=(key,))
        assert (erased["customers"], erased["subscriptions"]) == (0, 1)
        async with database.reading() as session:
            bodies = {row.object_id: row.body for row in await session.exec(select(WebhookEvent))}
            rows = {row.id: row.stripe_metadata for row in await session.exec(select(Subscription))}
        assert "Ada Example" not in str(bodies) + str(rows)
        assert "Bob Example" in bodies["subB_erased"]
        assert rows["subB_erased"] == {"contact": "Bob Example"}
        assert "payer@example.com" in bodies["cus_erased"]
        stored = await client.read("/internal/subscriptions/subA_erased")
        assert stored["user_id"] == "org"
        # A second snapshot of the same second is judged with the stored ones.
        story.subscription("A", previous={"metadata": {"contact": None}}, metadata={key: "org"})
        await client.send(story.events[-1])
        assert (await client.read("/internal/subscriptions/subA_erased"))["user_id"] == "org"
