"""Lists, as the official client pages through them."""

import random
from typing import Any

import pytest
import stripe
from stripe.params import EventListParams, InvoiceListParams, SubscriptionListParams

from app.simulator import DAY, Account, play, random_history

from .client import connected, ids, lived


def numbered(n: int) -> tuple[Account, list[str]]:
    """An account with n customers, three of each second; their ids, newest first."""
    account = Account(1)
    made = []
    for number in range(n):
        made.append(account.create_customer(f"c{number}@example.com").id)
        if number % 3 == 2:
            account.advance(1)
    return account, made[::-1]


@pytest.mark.parametrize("limit", [1, 7, 25, 100])
async def test_auto_paging_gives_every_customer_once_newest_first(limit: int) -> None:
    account, made = numbered(25)
    async with connected(account) as client:
        page = await client.v1.customers.list_async({"limit": limit})
        assert [customer.id async for customer in page.auto_paging_iter()] == made


async def test_a_page_has_ten_objects_unless_told_and_says_whether_there_are_more() -> None:
    account, made = numbered(11)
    async with connected(account) as client:
        page = await client.v1.customers.list_async()
        assert ids(page) == made[:10] and page.has_more and page.url == "/v1/customers"
        rest = await client.v1.customers.list_async({"starting_after": made[9]})
        assert ids(rest) == made[10:] and not rest.has_more
        exact = await client.v1.customers.list_async({"limit": 11})
        assert ids(exact) == made and not exact.has_more


async def test_ending_before_goes_back_from_a_cursor_to_the_newest() -> None:
    account, made = numbered(12)
    async with connected(account) as client:
        page = await client.v1.customers.list_async({"ending_before": made[8], "limit": 3})
        assert ids(page) == made[5:8] and page.has_more
        back = [one.id async for one in page.auto_paging_iter()]
        assert back == made[7::-1]


async def test_what_is_made_while_one_pages_neither_repeats_nor_hides_anything() -> None:
    account, made = numbered(9)
    async with connected(account) as client:
        first = await client.v1.customers.list_async({"limit": 4})
        account.create_customer("late@example.com")
        rest = await client.v1.customers.list_async({"limit": 100, "starting_after": first.data[-1].id})
        assert ids(first) + ids(rest) == made


async def test_objects_made_with_an_earlier_clock_stand_where_their_time_says() -> None:
    account = Account(1)
    new = account.create_customer()
    account.now -= DAY
    old = account.create_customer()
    async with connected(account) as client:
        assert ids(await client.v1.customers.list_async()) == [new.id, old.id]


@pytest.mark.parametrize(
    ("created", "places"),
    [
        ({"gte": 1}, [1, 2, 3]),
        ({"gt": 1}, [2, 3]),
        ({"lte": 1}, [0, 1]),
        ({"lt": 1}, [0]),
        ({"gte": 1, "lt": 3}, [1, 2]),
        (2, [2]),
        ({"gt": 3}, []),
        ({"gt": 2, "lt": 2}, []),
    ],
)
async def test_created_bounds_a_list(created: Any, places: list[int]) -> None:
    account = Account(1)
    start, made = account.now, []
    for _ in range(4):
        made.append(account.create_customer().id)
        account.advance(1)
    async with connected(account) as client:
        if isinstance(created, int):
            page = await client.v1.customers.list_async({"created": start + created})
        else:
            bounds: Any = {name: start + offset for name, offset in created.items()}
            page = await client.v1.customers.list_async({"created": bounds})
        assert ids(page) == [made[place] for place in reversed(places)]


@pytest.mark.parametrize("limit", [0, 101])
async def test_a_limit_out_of_range_is_refused(limit: int) -> None:
    async with connected(Account(1)) as client:
        with pytest.raises(stripe.InvalidRequestError, match=r"than or equal to") as refused:
            await client.v1.customers.list_async({"limit": limit})
        assert refused.value.param == "limit" and refused.value.http_status == 400


async def test_an_unknown_cursor_or_filter_or_parameter_is_refused() -> None:
    misspelt: Any = {"colour": "red"}
    async with connected(Account(1)) as client:
        with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_gone'") as refused:
            await client.v1.customers.list_async({"starting_after": "cus_gone"})
        assert (refused.value.http_status, refused.value.param) == (400, "starting_after")
        with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_gone'"):
            await client.v1.subscriptions.list_async({"customer": "cus_gone"})
        with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: colour") as refused:
            await client.v1.customers.list_async(misspelt)
        assert refused.value.code == "parameter_unknown"


async def test_subscriptions_are_listed_without_the_canceled_unless_asked_for() -> None:
    account = lived()
    by_status = {s.id: s.status for s in account.subscriptions.values()}

    async def listed(client: stripe.StripeClient, params: SubscriptionListParams) -> set[str]:
        page = await client.v1.subscriptions.list_async({"limit": 3, **params})
        found = [subscription.id async for subscription in page.auto_paging_iter()]
        assert len(found) == len(set(found))
        return set(found)

    async with connected(account) as client:
        assert await listed(client, {}) == {id for id, status in by_status.items() if status != "canceled"}
        assert await listed(client, {"status": "all"}) == set(by_status)
        ended = {id for id, status in by_status.items() if status in ("canceled", "incomplete_expired")}
        assert await listed(client, {"status": "ended"}) == ended
        for status in set(by_status.values()):
            wanted = {id for id, had in by_status.items() if had == status}
            assert await listed(client, {"status": status}) == wanted and wanted
        with pytest.raises(stripe.InvalidRequestError, match="Invalid status"):
            await listed(client, {"status": "lapsed"})


async def test_filters_follow_what_becomes_of_the_objects() -> None:
    account = Account(1)
    customer = account.create_customer()
    subscription = account.create_subscription(customer, ("price_team", "price_more_projects"))
    other = account.create_subscription(account.create_customer(), "price_starter")
    async with connected(account) as client:

        async def found(params: SubscriptionListParams) -> list[str]:
            return ids(await client.v1.subscriptions.list_async(params))

        assert await found({"price": "price_more_projects"}) == [subscription.id]
        assert await found({"customer": customer.id, "price": "price_starter"}) == []
        account.remove_item(subscription)
        account.change_price(subscription, "price_starter")
        assert await found({"price": "price_more_projects"}) == []
        assert await found({"price": "price_starter"}) == [other.id, subscription.id]
        account.cancel_now(subscription)
        assert await found({"price": "price_starter"}) == [other.id]
        assert await found({"customer": customer.id, "status": "canceled"}) == [subscription.id]


async def test_invoices_are_filtered_by_customer_subscription_and_status() -> None:
    account = lived()
    async with connected(account) as client:
        for invoice in account.invoices.values():
            params: InvoiceListParams = {
                "customer": invoice.customer,
                "subscription": invoice.subscription,
                "status": invoice.status,
                "limit": 100,
            }
            expected = {
                other.id
                for other in account.invoices.values()
                if (other.subscription, other.status) == (invoice.subscription, invoice.status)
            }
            assert set(ids(await client.v1.invoices.list_async(params))) == expected
        total = await client.v1.invoices.list_async({"limit": 100})
        assert len(total.data) == len(account.invoices)


async def test_deleted_customers_are_not_listed() -> None:
    account, made = numbered(2)
    async with connected(account) as client:
        assert ids(await client.v1.customers.list_async()) == made
        account.delete_customer(account.customers[made[0]])
        assert ids(await client.v1.customers.list_async()) == made[1:]
        assert ids(await client.v1.customers.list_async({"email": "c0@example.com"})) == made[1:]


async def test_prices_products_and_sessions_are_listed() -> None:
    account = Account(1)
    account.create_price("price_desk", 1200)
    play(account, "checkout")
    async with connected(account) as client:
        prices = await client.v1.prices.list_async({"limit": 100, "active": True})
        assert set(ids(prices)) == set(account.prices) and ids(prices)[0] == "price_desk"
        assert ids(await client.v1.prices.list_async({"product": "prod_desk"})) == ["price_desk"]
        assert ids(await client.v1.prices.list_async({"active": False})) == []
        products = await client.v1.products.list_async({"limit": 100})
        assert {product.id: product.name for product in products.data}["prod_team_yearly"] == "Team yearly"
        assert set(ids(products)) == {price.product for price in account.prices.values()}
        (session,) = account.sessions.values()
        assert session.subscription is not None
        assert ids(await client.v1.checkout.sessions.list_async({"subscription": session.subscription})) == [
            session.id
        ]
        assert ids(await client.v1.checkout.sessions.list_async({"status": "open"})) == []


async def test_events_are_listed_as_they_happened_and_by_type() -> None:
    account = Account(3)
    random_history(account, random.Random(3), customers=2, steps=60, twice=0)
    account.now = account.events[0].created + 29 * DAY
    events = [event for event in account.events if event.created <= account.now]
    account.events = events

    async with connected(account) as client:

        async def found(params: EventListParams) -> list[str]:
            page = await client.v1.events.list_async({"limit": 9, **params})
            return [event.id async for event in page.auto_paging_iter()]

        newest = [event.id for event in reversed(events)]
        types = {event.id: event.type for event in events}
        assert await found({}) == newest
        assert await found({"type": "invoice.paid"}) == [id for id in newest if types[id] == "invoice.paid"]
        invoices = [id for id in newest if types[id].startswith("invoice.")]
        assert await found({"type": "invoice.*"}) == invoices and invoices
        two = ["customer.created", "invoice.paid"]
        assert await found({"types": two}) == [id for id in newest if types[id] in two]
        assert await found({"type": "charge.refunded"}) == []


async def test_events_are_gone_after_thirty_days() -> None:
    account = Account(1)
    account.create_customer("old@example.com")
    account.advance(30 * DAY)
    account.create_customer("new@example.com")
    old, new = account.events
    async with connected(account) as client:
        assert ids(await client.v1.events.list_async()) == [new.id, old.id]
        account.advance(1)
        assert ids(await client.v1.events.list_async()) == [new.id]
        for gone in (
            client.v1.events.retrieve_async(old.id),
            client.v1.events.list_async({"starting_after": old.id}),
        ):
            with pytest.raises(stripe.InvalidRequestError, match="No such event"):
                await gone


async def test_events_that_were_not_delivered_are_found() -> None:
    account = Account(1)
    play(account, "seats")
    account.now = account.events[0].created + DAY
    made = [event.id for event in account.events]
    failed = [made[1], made[4], made[5]]
    account.mark_undelivered(failed)
    async with connected(account) as client:
        page = await client.v1.events.list_async({"delivery_success": False, "limit": 2})
        assert [event.id async for event in page.auto_paging_iter()] == failed[::-1]
        assert {event.pending_webhooks for event in page.data} == {1}
        good = await client.v1.events.list_async({"delivery_success": True, "limit": 100})
        assert ids(good) == [id for id in reversed(made) if id not in failed]
        created = await client.v1.events.list_async(
            {"delivery_success": False, "type": account.events[4].type, "limit": 100}
        )
        assert made[4] in ids(created) and set(ids(created)) <= set(failed)
        account.mark_delivered(failed)
        assert ids(await client.v1.events.list_async({"delivery_success": False})) == []


async def test_events_put_in_between_or_taken_away_are_followed() -> None:
    account = Account(1)
    customer = account.create_customer("ada@example.com")
    account.update_customer(customer, email="b@example.com")
    account.update_customer(customer, email="c@example.com")
    async with connected(account) as client:
        await client.v1.events.list_async()
        copy = account.send_twice(account.events[0])
        page = ids(await client.v1.events.list_async())
        assert page == [event.id for event in reversed(account.events)] and copy.id == page[-2]
        account.events = account.events[:1]
        assert ids(await client.v1.events.list_async()) == [account.events[0].id]
