"""Thin events that tell of a deletion, of an object that Stripe's API does not have any more."""

import pytest

from app.db.models import Customer, Price, Product
from app.simulator import Account, thin_event

from .conftest import Start
from .test_catch_up import NOW
from .test_each_way_once import read_all
from .test_thin import subscribed, thin

pytestmark = pytest.mark.postgresql_in_long


async def test_a_deleted_customer_ends_what_it_had(database_url: str, beside: Start) -> None:
    account, subscription = subscribed()
    customer = subscription.customer
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events)
        del account.customers[customer], account.subscriptions[subscription.id]
        related = ("customer", customer, f"/v1/customers/{customer}")
        await both.client.send(thin("v1.customer.deleted", related, created=account.now))
        await read_all(both)
        async with both.service.database.reading() as session:
            row = await session.get(Customer, customer)
            assert row is not None and (row.deleted, row.user_id) == (True, "ada")
        [record] = (await both.client.read("/internal/users/ada"))["subscriptions"]
        assert record["access"] == "none"


@pytest.mark.parametrize("known_by", ["snapshot", "thin"])
async def test_a_deleted_price_keeps_what_it_cost(database_url: str, beside: Start, known_by: str) -> None:
    account = Account(1, start=NOW)
    account.create_price("price_x", 900)
    account.update_price("price_x", lookup_key="key_x")
    async with beside(database_url, account) as both:
        for event in account.events:
            if known_by == "snapshot":
                await both.client.deliver(event)
            else:
                await both.client.send(thin_event(event))
        await read_all(both)
        account.delete_price("price_x")
        await both.client.send(thin_event(account.events[-1]))
        await read_all(both)
        async with both.service.database.reading() as session:
            row = await session.get(Price, "price_x")
        assert row is not None and row.shown is not None
        assert (row.shown["unit_amount"], row.shown["active"], row.lookup_key) == (900, False, "key_x")


async def test_a_deleted_product_keeps_its_name(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    content = {"id": "prod_x", "object": "product", "name": "Team", "active": True}
    created = {
        "id": "evt_1",
        "object": "event",
        "type": "product.created",
        "created": NOW,
        "livemode": False,
        "data": {"object": content},
    }
    account.advance(60)
    async with beside(database_url, account) as both:
        await both.client.send(created)
        related = ("product", "prod_x", "/v1/products/prod_x")
        await both.client.send(thin("v1.product.deleted", related, created=account.now))
        await read_all(both)
        async with both.service.database.reading() as session:
            row = await session.get(Product, "prod_x")
        assert row is not None and (row.name, row.active) == ("Team", False)
