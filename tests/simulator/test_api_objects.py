"""Single objects: their shapes, versions, keys and errors."""

from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
import stripe

from app.simulator import NEW, OLD, Account, Shape, play, render, render_event
from app.simulator.api import API_KEY, serving

from .client import browsing, client_of, connected, lived
from .declared import declared

Json = dict[str, Any]


@pytest.mark.parametrize("shape", [OLD, NEW])
async def test_an_object_is_read_as_its_events_show_it(shape: Shape) -> None:
    account = lived()
    last = {event.after.id: event for event in account.events}
    tables = {
        "customers": account.customers,
        "subscriptions": account.subscriptions,
        "invoices": account.invoices,
        "checkout/sessions": account.sessions,
        "prices": account.prices,
    }
    async with browsing(account) as browser:
        for path, table in tables.items():
            assert table
            for id, entity in table.items():  # type: ignore[attr-defined]
                answer = await browser.get(f"/v1/{path}/{id}", headers={"Stripe-Version": shape})
                assert answer.json() == render(entity, shape)
                if id in last:
                    assert answer.json() == render_event(last[id], shape)["data"]["object"]


@pytest.mark.parametrize(
    ("version", "shape"),
    [
        ("2020-08-27", OLD),
        ("2025-02-24.acacia", OLD),
        ("2025-03-31.basil", NEW),
        (NEW, NEW),
    ],
)
async def test_the_version_of_the_request_chooses_the_shape(version: str, shape: Shape) -> None:
    account = Account(1)
    subscription = play(account, "sign_up")
    async with serving(account) as url, client_of(url, version=version) as client:
        found = await client.v1.subscriptions.retrieve_async(subscription.id)
        assert ("current_period_end" in found) == (shape == OLD)
        assert ("current_period_end" in found["items"].data[0]) == (shape == NEW)
        assert found.last_response is not None
        assert found.last_response.headers["Stripe-Version"] == version


@pytest.mark.parametrize("own", [OLD, NEW])
async def test_without_a_version_the_accounts_own_holds_and_for_events_it_always_does(own: Shape) -> None:
    account = Account(1)
    subscription = play(account, "sign_up")
    async with browsing(account, api_version=own) as browser:
        found = (await browser.get(f"/v1/subscriptions/{subscription.id}")).json()
        assert found == render(subscription, own)
        event = account.events[-1]
        for version in (OLD, NEW):
            shown = (await browser.get(f"/v1/events/{event.id}", headers={"Stripe-Version": version})).json()
            assert shown == render_event(event, own) | {"pending_webhooks": 0}
        refused = await browser.get("/v1/events", headers={"Stripe-Version": "newest"})
        assert refused.status_code == 400


@pytest.mark.parametrize(
    ("path", "noun"),
    [
        ("customers/cus_x", "customer"),
        ("subscriptions/sub_x", "subscription"),
        ("invoices/in_x", "invoice"),
        ("events/evt_x", "event"),
        ("prices/price_x", "price"),
        ("products/prod_x", "product"),
        ("checkout/sessions/cs_test_x", "checkout.session"),
        ("webhook_endpoints/we_x", "webhook endpoint"),
    ],
)
async def test_an_unknown_id_is_a_404_in_stripes_envelope(path: str, noun: str) -> None:
    async with browsing(Account(1)) as browser:
        answer = await browser.get(f"/v1/{path}")
        error = answer.json()["error"]
        assert answer.status_code == 404 and answer.json().keys() == {"error"}
        assert error["message"] == f"No such {noun}: '{path.split('/')[-1]}'"
        assert error["doc_url"].endswith("/resource-missing")
        assert (error["code"], error["param"]) == ("resource_missing", "id")
        assert error["type"] == "invalid_request_error"


async def test_the_client_raises_what_it_raises_for_stripe() -> None:
    async with connected(Account(1)) as client:
        with pytest.raises(stripe.InvalidRequestError) as missing:
            await client.v1.subscriptions.retrieve_async("sub_x")
        assert (missing.value.code, missing.value.http_status) == ("resource_missing", 404)
        assert missing.value.request_id is not None and missing.value.request_id.startswith("req_")
        with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
            await client.v1.payouts.list_async()


@pytest.mark.parametrize(
    "key", ["sk_test_51Hrealistic", "sk_live_51Hrealistic", "pk_test_fake_1", "whatever"]
)
async def test_only_keys_that_are_visibly_fake_are_taken(key: str) -> None:
    async with serving(Account(1)) as url, client_of(url, key=key) as client:
        with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided") as refused:
            await client.v1.customers.list_async()
        assert refused.value.http_status == 401
        assert key not in str(refused.value)


async def test_without_a_key_or_with_another_than_the_chosen_one_the_answer_is_401() -> None:
    async with (
        serving(Account(1), api_key="sk_test_fake_mine") as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as browser,
        client_of(url) as other,
        client_of(url, key="sk_test_fake_mine") as mine,
    ):
        answer = await browser.get("/v1/customers")
        assert answer.status_code == 401
        assert answer.json()["error"]["message"].startswith("You did not provide an API key.")
        with pytest.raises(stripe.AuthenticationError):
            await other.v1.customers.list_async()
        assert (await mine.v1.customers.list_async()).data == []
        basic = await browser.get("/v1/customers", auth=("sk_test_fake_mine", ""))
        assert basic.status_code == 200


async def test_the_other_mode_sees_nothing_and_gets_the_reason() -> None:
    account = Account(1)
    customer = account.create_customer()
    async with serving(account) as url, client_of(url, key="sk_live_fake_1") as client:
        assert (await client.v1.customers.list_async()).data == []
        with pytest.raises(
            stripe.InvalidRequestError, match="similar object exists in test mode, but a live"
        ):
            await client.v1.customers.retrieve_async(customer.id)
        with pytest.raises(stripe.InvalidRequestError, match="no live mode"):
            await client.v1.customers.create_async()


async def test_a_live_account_shows_live_objects_to_live_keys() -> None:
    account = Account(1, livemode=True)
    subscription = play(account, "sign_up")
    async with serving(account) as url, client_of(url, key="sk_live_fake_1") as client:
        found = await client.v1.subscriptions.retrieve_async(subscription.id)
        assert found.livemode and found["items"].data[0].price.livemode
        page = await client.v1.events.list_async()
        assert page.data[0].livemode


async def test_the_date_is_that_of_the_accounts_clock() -> None:
    account = Account(1, start=1_900_000_000)
    async with browsing(account) as browser:
        for seconds in (0, 86_400):
            account.advance(seconds)
            answer = await browser.get("/v1/customers")
            assert answer.headers.get_list("date") == [answer.headers["date"]]
            assert parsedate_to_datetime(answer.headers["date"]).timestamp() == account.now
            missing = await browser.get("/v1/customers/cus_x")
            assert missing.headers["date"] == answer.headers["date"]
            assert missing.headers["request-id"] != answer.headers["request-id"]


async def test_a_clock_that_is_given_moves_the_accounts_on_and_never_back() -> None:
    account, times = Account(1, start=1_000), [1_500.9, 1_200.0]
    async with browsing(account, clock=lambda: times.pop(0)) as browser:
        for _ in range(2):
            answer = await browser.get("/v1/customers")
            assert parsedate_to_datetime(answer.headers["date"]).timestamp() == account.now == 1_500


async def test_reading_changes_nothing_that_the_account_makes_next() -> None:
    account, alone = Account(5), Account(5)
    async with browsing(account) as browser:
        for path in ("customers", "events", "prices"):
            await browser.get(f"/v1/{path}")
    assert account.create_customer() == alone.create_customer()


async def test_expanded_ids_become_objects_through_lists_as_well() -> None:
    account = Account(1)
    subscription = play(account, "checkout")
    (session,) = account.sessions.values()
    async with connected(account) as client:
        found: Any = await client.v1.checkout.sessions.retrieve_async(
            session.id, {"expand": ["subscription.latest_invoice", "customer", "line_items"]}
        )
        assert found.subscription.latest_invoice.status == "paid"
        assert found.customer.email == account.customers[subscription.customer].email
        page: Any = await client.v1.subscriptions.list_async(
            {"expand": ["data.customer", "data.items.data.price.product"]}
        )
        assert page.data[0].customer.id == subscription.customer
        assert page.data[0]["items"].data[0].price.product.object == "product"
        invoice: Any = await client.v1.invoices.retrieve_async(
            str(subscription.latest_invoice), {"expand": ["parent.subscription_details.subscription"]}
        )
        assert invoice.parent.subscription_details.subscription.id == subscription.id


@pytest.mark.parametrize("path", ["status", "colour", "customer.email", "a.b.c.d.e", "items.data.quantity"])
async def test_what_cannot_be_expanded_is_refused(path: str) -> None:
    account = Account(1)
    subscription = play(account, "sign_up")
    async with connected(account) as client:
        with pytest.raises(stripe.InvalidRequestError, match="expand") as refused:
            await client.v1.subscriptions.retrieve_async(subscription.id, {"expand": [path]})
        assert refused.value.http_status == 400


async def test_a_deleted_customer_is_shown_as_deleted_and_cannot_be_changed() -> None:
    account = Account(1)
    customer = account.create_customer("ada@example.com")
    account.delete_customer(customer)
    async with connected(account) as client:
        found = await client.v1.customers.retrieve_async(customer.id)
        assert found.to_dict() == {"id": customer.id, "object": "customer", "deleted": True}
        with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
            await client.v1.customers.update_async(customer.id, {"email": "b@example.com"})


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("customer", "customers"),
        ("subscription", "subscriptions"),
        ("invoice", "invoices"),
        ("event", "events"),
        ("price", "prices"),
        ("product", "products"),
        ("webhook_endpoint", "webhook_endpoints"),
        ("charge", "charges"),
        ("payment_intent", "payment_intents"),
        ("invoice_payment", "invoice_payments"),
    ],
)
async def test_what_is_read_has_the_members_that_the_library_declares(kind: str, path: str) -> None:
    account = Account(1)
    play(account, "renewal")
    async with browsing(account) as browser:
        created = {"url": "https://app.example/hook", "enabled_events[0]": "*"}
        assert (await browser.post("/v1/webhook_endpoints", data=created)).json()["secret"]
        account.now = account.events[-1].created
        (shown, *_) = (await browser.get(f"/v1/{path}")).json()["data"]
        assert shown["object"] == kind
        assert shown.keys() == declared(kind)


async def test_what_only_the_api_makes_has_the_declared_members() -> None:
    account = Account(1)
    customer = account.create_customer("ada@example.com")
    async with browsing(account) as browser:
        portal = await browser.post("/v1/billing_portal/sessions", data={"customer": customer.id})
        assert portal.json().keys() == declared("billing_portal.session")
        form = {
            "mode": "subscription",
            "line_items[0][price]": "price_team",
            "success_url": "https://a.example",
        }
        session = (await browser.post("/v1/checkout/sessions", data=form)).json()
        assert session.keys() == declared("checkout.session")
        lines = (await browser.get(f"/v1/checkout/sessions/{session['id']}/line_items")).json()
        declared_line = set(stripe.LineItem.__annotations__) - {"OBJECT_NAME", "_inner_class_types"}
        assert lines["data"][0].keys() == declared_line - {"discounts", "taxes"}
        account.delete_customer(customer)
        deleted = (await browser.get(f"/v1/customers/{customer.id}")).json()
        assert deleted.keys() == {"id", "object", "deleted"}
        endpoint = {"url": "https://app.example/hook", "enabled_events[]": "*"}
        id = (await browser.post("/v1/webhook_endpoints", data=endpoint)).json()["id"]
        gone = (await browser.delete(f"/v1/webhook_endpoints/{id}")).json()
        assert gone.keys() == {"id", "object", "deleted"}


async def test_the_newest_shape_is_the_one_that_the_library_asks_for() -> None:
    account = Account(1)
    async with serving(account) as url, client_of(url, key=API_KEY) as client:
        page = await client.v1.customers.list_async()
        assert page.last_response is not None
        assert page.last_response.headers["Stripe-Version"] == stripe.api_version == NEW
