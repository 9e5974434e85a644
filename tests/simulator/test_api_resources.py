"""Objects that are made, changed, listed and searched; nested lists; parameters that are not played."""

from typing import Any

import pytest
import stripe

from app.simulator import Account

from .client import connected, ids, plain
from .declared import declared


def large() -> tuple[Account, str]:
    """A subscription of twelve items."""
    account = Account(1)
    prices = [account.create_price(f"price_{n}", 100 + n).id for n in range(12)]
    return account, account.create_subscription(account.create_customer(), prices).id


async def test_the_items_that_a_subscription_does_not_show_are_read_in_pages() -> None:
    account, id = large()
    async with connected(account) as client:
        shown = plain(await client.v1.subscriptions.retrieve_async(id))["items"]
        assert (len(shown["data"]), shown["has_more"], shown["total_count"]) == (10, True, 12)
        page = await client.v1.subscription_items.list_async({"subscription": id, "limit": 5})
        found = [item.id async for item in page.auto_paging_iter()]
        assert found == [item.id for item in account.subscriptions[id].items]
        back = await client.v1.subscription_items.list_async(
            {"subscription": id, "limit": 5, "ending_before": found[6]}
        )
        assert ids(back) == found[1:6] and back.has_more


async def test_the_lines_that_an_invoice_does_not_show_are_read_in_pages() -> None:
    account, id = large()
    subscription = account.subscriptions[id]
    async with connected(account) as client:
        for number in range(28):
            await client.v1.invoice_items.create_async(
                {"customer": subscription.customer, "amount": number, "currency": "usd"}
            )
        invoice = account.renew(subscription)
        assert len(invoice.lines) == 40
        shown = plain(await client.v1.invoices.retrieve_async(invoice.id))["lines"]
        assert (len(shown["data"]), shown["has_more"], shown["total_count"]) == (10, True, 40)
        page = await client.v1.invoices.line_items.list_async(invoice.id, {"limit": 15})
        assert [line.id async for line in page.auto_paging_iter()] == [line.id for line in invoice.lines]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"emial": "a@example.com"}, "Received unknown parameter: emial"),
        ({"source": "tok_visa"}, "does not play the parameter source, which Stripe knows"),
    ],
)
async def test_a_parameter_that_is_not_played_is_distinguished_from_a_misspelt_one(
    params: Any, message: str
) -> None:
    account = Account(1)
    async with connected(account) as client:
        with pytest.raises(stripe.InvalidRequestError, match=message):
            await client.v1.customers.create_async(params)
    assert account.customers == {}


async def test_a_nested_parameter_that_is_not_played_is_distinguished_too() -> None:
    account, id = large()
    item = account.subscriptions[id].items[0].id
    async with connected(account) as client:
        for name, message in (("billing_thresholds", "does not play"), ("qantity", "Received unknown")):
            change: Any = {"items": [{"id": item, name: {"usage_gte": 1}}]}
            with pytest.raises(stripe.InvalidRequestError, match=message) as refused:
                await client.v1.subscriptions.update_async(id, change)
            assert refused.value.param == f"items[0][{name}]"


async def test_customers_are_searched_by_mail_name_and_metadata() -> None:
    account = Account(1)
    ada = account.create_customer("ada@example.com", user_id="ada")
    bob = account.create_customer("bob@example.com", user_id="bob")
    gone = account.create_customer("ada@example.com", user_id="ada")
    account.delete_customer(gone)
    async with connected(account) as client:

        async def found(query: str) -> list[str]:
            return ids(await client.v1.customers.search_async({"query": query}))

        assert await found("email:'ada@example.com'") == [ada.id]
        assert await found("email~'example'") == [bob.id, ada.id]
        assert await found("email:'ada@example.com' OR metadata['user_id']:'bob'") == [bob.id, ada.id]
        assert await found("-email:'ada@example.com' AND created>1") == [bob.id]
        assert await found("metadata['team']:null") == [bob.id, ada.id]
        for query in ("colour:'red'", "email:", "email:'a' AND name:'b' OR name:'c'", "email>'a'", ""):
            with pytest.raises(stripe.InvalidRequestError):
                await found(query)


async def test_a_search_comes_in_pages() -> None:
    account = Account(1)
    made = [account.create_customer(f"{n}@example.com").id for n in range(5)]
    async with connected(account) as client:
        page = await client.v1.customers.search_async({"query": "email~'example'", "limit": 2})
        assert (page.has_more, page.next_page) == (True, "page_2")
        assert [customer.id async for customer in page.auto_paging_iter()] == made[::-1]


async def test_products_and_prices_are_made_and_changed_with_their_events() -> None:
    account = Account(1)
    async with connected(account) as client:
        product = await client.v1.products.create_async(
            {"name": "Desk", "default_price_data": {"currency": "eur", "unit_amount": 700}}
        )
        assert plain(product).keys() == declared("product")
        price: Any = {"product": product.id, "currency": "eur", "unit_amount": 900, "lookup_key": "desk"}
        first = await client.v1.prices.create_async(price | {"recurring": {"interval": "month"}})
        with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
            await client.v1.prices.create_async(price)
        second = await client.v1.prices.create_async(price | {"transfer_lookup_key": True})
        assert (account.prices[first.id].lookup_key, second.lookup_key) == (None, "desk")
        await client.v1.prices.update_async(first.id, {"active": False})
        assert ids(await client.v1.prices.list_async({"product": product.id, "active": False})) == [first.id]
        assert ids(await client.v1.prices.list_async({"lookup_keys": ["desk"]})) == [second.id]
        archived: Any = {"customer": account.create_customer().id, "items": [{"price": first.id}]}
        with pytest.raises(stripe.InvalidRequestError, match="inactive"):
            await client.v1.subscriptions.create_async(archived)
        await client.v1.products.update_async(product.id, {"name": "Big desk"})
    types = [event.type for event in account.events]
    assert types.count("price.created") == 3 and types.count("price.updated") == 2
    assert types[-1] == "product.updated"


async def test_a_draft_is_filled_finalized_and_voided_and_a_deleted_one_is_gone() -> None:
    account = Account(1)
    customer = account.create_customer()
    async with connected(account) as client:
        item = await client.v1.invoice_items.create_async(
            {"customer": customer.id, "amount": 500, "currency": "usd", "description": "Set-up"}
        )
        assert plain(item).keys() == declared("invoiceitem")
        draft = await client.v1.invoices.create_async(
            {"customer": customer.id, "pending_invoice_items_behavior": "include"}
        )
        assert (draft.status, draft.amount_due) == ("draft", 500)
        assert plain(draft).keys() == declared("invoice") and draft.parent is None
        more = await client.v1.invoice_items.create_async(
            {"customer": customer.id, "amount": 250, "currency": "usd", "invoice": draft.id}
        )
        assert more.invoice == draft.id
        opened = await client.v1.invoices.finalize_invoice_async(draft.id)
        assert (opened.status, opened.amount_remaining) == ("open", 750)
        assert (await client.v1.invoices.void_invoice_async(draft.id)).status == "void"
        with pytest.raises(stripe.InvalidRequestError, match="only delete draft"):
            await client.v1.invoices.delete_async(draft.id)
        empty = await client.v1.invoices.create_async({"customer": customer.id})
        await client.v1.invoices.delete_async(empty.id)
        with pytest.raises(stripe.InvalidRequestError, match="No such invoice"):
            await client.v1.invoices.retrieve_async(empty.id)
        assert ids(await client.v1.invoices.list_async()) == [draft.id]
    assert account.events[-1].type == "invoice.deleted"


async def test_records_have_the_members_that_the_library_declares() -> None:
    account = Account(1)
    subscription = account.create_subscription(account.create_customer())
    customer, invoice = subscription.customer, str(subscription.latest_invoice)
    async with connected(account) as client:
        v1 = client.v1
        coupon = await v1.coupons.create_async({"percent_off": 5})
        made: list[Any] = [
            coupon,
            await v1.promotion_codes.create_async({"promotion": {"type": "coupon", "coupon": coupon.id}}),
            await v1.tax_rates.create_async({"display_name": "VAT", "inclusive": False, "percentage": 19}),
            await v1.customers.tax_ids.create_async(customer, {"type": "eu_vat", "value": "DE123456789"}),
            await v1.setup_intents.create_async({"customer": customer}),
            await v1.refunds.create_async({"charge": account.charge(account.invoices[invoice]).id}),
            await v1.credit_notes.create_async({"invoice": invoice, "amount": 100}),
            await v1.test_helpers.test_clocks.create_async({"frozen_time": account.now}),
            await v1.customers.balance_transactions.create_async(customer, {"amount": 1, "currency": "usd"}),
        ]
    for one in made:
        content = plain(one)
        unknown = content.keys() ^ declared(content["object"])
        assert unknown == set(), content["object"]


async def test_a_payment_leads_from_its_charge_to_its_invoice_and_is_refunded_once() -> None:
    account = Account(1)
    subscription = account.create_subscription(account.create_customer())
    async with connected(account) as client:
        (charge,) = (await client.v1.charges.list_async({"customer": subscription.customer})).data
        payments = await client.v1.invoice_payments.list_async(
            {"payment": {"type": "payment_intent", "payment_intent": str(charge.payment_intent)}}
        )
        assert [payment.invoice for payment in payments.data] == [subscription.latest_invoice]
        refund = await client.v1.refunds.create_async({"charge": charge.id, "amount": 900})
        assert refund.status == "succeeded"
        await client.v1.refunds.create_async({"charge": charge.id})
        with pytest.raises(stripe.InvalidRequestError, match="already been refunded"):
            await client.v1.refunds.create_async({"charge": charge.id})
        assert (await client.v1.charges.retrieve_async(charge.id)).refunded


async def test_payments_have_events_where_they_are_asked_for() -> None:
    account = Account(1, sends_payments=True)
    subscription = account.create_subscription(account.create_customer())
    account.renew(subscription, paid=False)
    types = [event.type for event in account.events]
    assert "invoice_payment.paid" in types and "invoice_payment.failed" in types
    assert "invoice_payment.paid" not in [event.type for event in _silent().events]


def _silent() -> Account:
    account = Account(1)
    account.create_subscription(account.create_customer())
    return account
