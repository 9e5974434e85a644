"""Whom somebody means is found by one function, whether on the admin screen or by a command."""

import pytest
from sqlalchemy import text

from app.cli.users import read_user
from app.db import open_database
from app.db.models import Customer
from app.errors import Conflict, NotFound
from app.operations.lookup import customers_with_email, find_one
from app.operations.usage import change_usage
from app.service import Service
from app.simulator import DAY, Account, play
from tests.admin.visitor import START, Visitor, logged_in
from tests.client import Client

pytestmark = pytest.mark.postgresql_in_long

ADA = "Ada.Lovelace@example.com"


async def page_of(visitor: Visitor, words: str) -> str:
    """Where the search box leads to."""
    response = await visitor.http.get("/admin/search", params={"q": words})
    return str(response.headers.get("location", "the list"))


async def found(client: Client, words: str) -> str:
    """Whom the commands find."""
    async with client.app.state.billing.database.reading() as session:
        return (await find_one(session, words)).name


async def test_screen_and_commands_find_the_same_by_every_id_and_by_e_mail(database_url: str) -> None:
    account = Account(1, start=START - DAY)
    subscription = play(account, "sign_up", user_id="ada")
    alone = account.create_customer(ADA)
    async with logged_in(database_url) as (client, visitor):
        await client.deliver(*account.events)
        service: Service = client.app.state.billing
        await change_usage(service, "eve", "projects", "set", 1, actor="test")
        invoice = next(each for each in account.events if each.type == "invoice.paid")
        for words in ("ada", subscription.customer, subscription.id, invoice.after.id):
            assert await found(client, words) == "ada", words
            assert await page_of(visitor, words) == "/admin/user?id=ada", words
        assert await found(client, "eve") == "eve"
        assert await page_of(visitor, "eve") == "/admin/user?id=eve"
        for words in (alone.id, ADA, ADA.upper()):
            assert await found(client, words) == alone.id, words
            assert await page_of(visitor, words) == f"/admin/user?customer={alone.id}", words
        assert (await read_user(service, invoice.id))["user_id"] == "ada"
        for words in ("nobody", "nobody@example.com", "evt_none"):
            with pytest.raises(NotFound):
                await found(client, words)


async def test_a_user_with_exactly_this_id_comes_before_customers_with_this_address(
    database_url: str,
) -> None:
    account = Account(1, start=START - DAY)
    account.create_customer("other@example.com", user_id=ADA)
    account.create_customer(ADA, user_id="eve")
    account.create_customer("both@example.com", user_id="bob")
    account.create_customer("BOTH@example.com", user_id="amy")
    async with logged_in(database_url) as (client, visitor):
        await client.deliver(*account.events)
        assert await found(client, ADA) == ADA
        assert await page_of(visitor, ADA) == "the list"
        with pytest.raises(Conflict, match=r"Give one of: amy, bob\."):
            await found(client, "both@example.com")


async def test_an_address_is_looked_up_by_the_index(database_url: str) -> None:
    database = open_database(database_url)
    query = customers_with_email("x" * 300 + "@example.com")
    statement = query.compile(database.engine, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN QUERY PLAN" if database.name == "sqlite" else "EXPLAIN"
    async with database.session() as session:
        connection = await session.connection()
        # With so many rows, and the statistics of them, there is one best plan.
        session.add_all(Customer(id=f"cus_{n}", email=f"{n}@example.com") for n in range(1_000))
        await session.flush()
        await connection.execute(text("ANALYZE billing_customer"))
        plan = (await connection.exec_driver_sql(f"{explain} {statement}")).all()
        assert "ix_billing_customer_email" in str(plan), plan
    await database.close()
