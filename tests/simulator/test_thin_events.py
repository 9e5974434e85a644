"""Thin events: ids, relation to snapshots, semantic types, as the official library reads them."""

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import stripe
from stripe.events import _event_classes

from app.simulator import (
    DAY,
    NEW,
    Account,
    Subscription,
    render_event,
    sign,
    thin_body,
    thin_event,
    thin_events,
)
from app.simulator.api import serving
from app.simulator.thin import fetched, notification

from .client import client_of, connected, lived

SECRET = "whsec_test_thin"
SUBSCRIPTION = "v1.customer.subscription."


def _subscribed(trial_days: int = 0) -> tuple[Account, Subscription]:
    account = Account(1)
    return account, account.create_subscription(account.create_customer(), trial_days=trial_days)


def _since(account: Account, act: Callable[[], object]) -> list[str]:
    first = len(account.events)
    act()
    made = [thin for event in account.events[first:] for thin in thin_events(event)]
    return [thin.type.removeprefix(SUBSCRIPTION) for thin in made]


def test_a_thin_event_has_an_id_of_its_own_and_names_its_snapshot() -> None:
    account = lived()
    thins = account.thin_events()
    assert len({thin.id for thin in thins} | {event.id for event in account.events}) == len(thins) + len(
        account.events
    )
    twins = [thin for thin in thins if thin.snapshot_event]
    assert [(thin.snapshot_event, thin.type) for thin in twins] == [
        (event.id, f"v1.{event.type}") for event in account.events
    ]
    assert thin_event(account.events[0])["snapshot_event"] == account.events[0].id
    assert account.thin_events() == thins, "the same each time"


def test_every_subscription_type_of_the_library_is_made() -> None:
    account, subscription = _subscribed(trial_days=7)
    account.warn_of_trial_end(subscription)
    account.pause(subscription)
    account.resume(subscription)
    account.change_price(subscription, "price_starter")
    account.change_quantity(subscription, 3)
    account.change_tax_rates(subscription, "txr_1")
    account.change_payment_method(subscription, "pm_2")
    account.add_item(subscription, "price_more_projects")
    account.remove_item(subscription)
    account.cancel_at_period_end(subscription)
    account.propose_update(subscription, 4)
    account.apply_pending_update(subscription, 4)
    account.propose_update(subscription, 5)
    account.expire_pending_update(subscription)
    invoice = account.renew(subscription, paid=False)
    account.give_up(invoice)
    account.cancel_now(subscription)
    account.expire_sign_up(account.create_subscription(account.create_customer(), paid=None))
    made = {thin.type for thin in account.thin_events() if thin.type.startswith(SUBSCRIPTION)}
    declared = {name for name in _event_classes._V2_EVENT_CLASS_LOOKUP if name.startswith(SUBSCRIPTION)}
    assert made == declared and len(made) == 21


def test_a_change_makes_the_semantic_events_of_what_changed_and_no_others() -> None:
    account, subscription = _subscribed()
    assert _since(account, lambda: account.change_quantity(subscription, 5)) == [
        "updated",
        "item_quantity_changed",
    ]
    assert _since(account, lambda: account.set_metadata(subscription, tier="a")) == ["updated"]
    account.cancel_at_period_end(subscription)
    assert _since(account, lambda: account.un_cancel(subscription)) == ["updated", "cancel_at_changed"]
    account.advance(30 * DAY)
    invoice = account.renew(subscription, paid=False)
    assert _since(account, lambda: account.recover(invoice))[2:] == ["updated", "active"]


async def test_prices_and_products_have_semantic_events_as_well() -> None:
    account = Account(1)
    async with connected(account) as client:
        await client.v1.prices.update_async("price_team", {"active": False, "lookup_key": "team"})
        await client.v1.products.update_async(
            "prod_team", {"active": False, "default_price": "price_starter"}
        )
    assert [thin.type for thin in account.thin_events()] == [
        "v1.price.updated",
        "v1.price.deactivated",
        "v1.price.lookup_key_changed",
        "v1.product.updated",
        "v1.product.deactivated",
        "v1.product.default_price_changed",
    ]


def test_lines_and_payments_of_invoices_have_thin_events_and_an_upcoming_one_names_no_object() -> None:
    account = Account(1, sends_payments=True)
    subscription = account.create_subscription(account.create_customer())
    invoice = account.invoices[subscription.latest_invoice or ""]
    account.change_invoice(invoice, lines=[replace(invoice.lines[0], quantity=9)])
    account.announce_upcoming(subscription)
    account.warn_of_fraud(invoice)
    thins = {thin.type: thin for thin in account.thin_events()}
    assert "v1.invoice.line_item_quantity_changed" in thins
    assert notification(thins["v1.invoice.upcoming"])["related_object"] is None
    data = fetched(thins["v1.invoice.upcoming"])["data"]
    assert data == {"customer": subscription.customer, "subscription": subscription.id}
    related = notification(thins["v1.invoice_payment.paid"])["related_object"]
    assert related["type"] == "invoice_payment" and related["url"].startswith("/v1/invoice_payments/inpay_")
    warning = notification(thins["v1.radar.early_fraud_warning.created"])["related_object"]
    assert warning["url"].startswith("/v1/radar/early_fraud_warnings/issfr_")


def test_semantic_events_name_no_snapshot() -> None:
    account, subscription = _subscribed()
    account.change_quantity(subscription, 5)
    twin, semantic = thin_events(account.events[-1])
    assert (twin.snapshot_event, semantic.snapshot_event) == (account.events[-1].id, None)


def test_the_context_names_the_account_and_a_snapshot_tells_it_too() -> None:
    account, _ = _subscribed()
    event = account.events[-1]
    assert thin_event(event)["context"] is None
    assert thin_event(event, context=f"org_1/{account.id}")["context"] == f"org_1/{account.id}"
    told = render_event(event, NEW, account="acct_2", context="acct_2")
    assert (told["account"], told["context"]) == ("acct_2", "acct_2")
    assert not {"account", "context"} & render_event(event, NEW).keys()


async def test_the_library_parses_each_and_fetches_its_object_and_the_event() -> None:
    account = lived()
    invoice = next(invoice for invoice in account.invoices.values() if invoice.status == "paid")
    account.refund(invoice, 100)
    account.close_dispute(account.dispute(invoice), won=False)
    account.update_price("price_team", lookup_key="team")
    newest = {thin.type: thin for thin in account.thin_events()}
    async with connected(account) as client:
        for thin in newest.values():
            body = thin_body(thin)
            parsed = client.parse_event_notification(body, sign(body, SECRET, int(time.time())), SECRET)
            assert type(parsed).__name__ != "UnknownEventNotification", thin.type
            # The asynchronous fetches of the notification send a parameter that Stripe does not know.
            url = parsed.related_object.url  # type: ignore[union-attr]
            related = json.loads((await client.raw_request_async("get", url)).body)
            assert related["id"] == thin.after.id
            if thin.created < account.now - 30 * DAY:
                continue
            found = await client.v2.core.events.retrieve_async(parsed.id)
            assert (found.id, found.snapshot_event) == (thin.id, thin.snapshot_event)
    assert {"v1.charge.refunded", "v1.charge.dispute.closed", "v1.price.lookup_key_changed"} <= newest.keys()


async def test_a_fetched_event_shows_what_changed_before_and_after() -> None:
    account, subscription = _subscribed()
    account.cancel_at_period_end(subscription)
    twin = thin_events(account.events[-1])[0]
    async with connected(account) as client:
        found = json.loads(str(await client.v2.core.events.retrieve_async(twin.id)))
        changes = found["changes"]
        assert changes["before"]["cancel_at_period_end"] is False
        assert changes["after"]["cancel_at_period_end"] is True
        assert changes["before"].keys() == changes["after"].keys()
        assert "changes" not in thin_event(account.events[-1])
        created = thin_events(account.events[0])[0]
        assert json.loads(str(await client.v2.core.events.retrieve_async(created.id)))["changes"] is None


async def test_thin_events_are_listed_by_type_object_and_time_and_paged() -> None:
    account, subscription = _subscribed()
    for quantity in range(2, 9):
        account.advance(60)
        account.change_quantity(subscription, quantity)
    expected = [thin.id for thin in reversed(account.thin_events())]
    async with connected(account) as client:
        pages = await client.v2.core.events.list_async({"limit": 4})
        assert [event.id async for event in pages.auto_paging_iter()] == expected
        filtered = await client.v2.core.events.list_async(
            {
                "object_id": subscription.id,
                "types": ["v1.customer.subscription.item_quantity_changed"],
                "created": {"gt": "2030-01-01T00:02:00Z", "lte": "2030-01-01T00:05:00Z"},
                "limit": 2,
            }
        )
        assert len([event async for event in filtered.auto_paging_iter()]) == 3


async def test_the_context_of_a_request_may_name_only_the_account_itself() -> None:
    account, subscription = _subscribed()
    async with serving(account) as url, client_of(url) as client:
        options: stripe.RequestOptions = {"stripe_context": account.id}
        assert (await client.v1.subscriptions.retrieve_async(subscription.id, options=options)).id
        for other in ("acct_other", "org_1/acct_other"):
            with pytest.raises(stripe.PermissionError, match="does not have access to account 'acct_other'"):
                await client.v1.subscriptions.retrieve_async(
                    subscription.id, options={"stripe_context": other}
                )
        assert (await client.v1.accounts.retrieve_current_async()).id == account.id


async def test_events_are_not_kept_longer_than_stripe_keeps_them() -> None:
    account, _ = _subscribed()
    old = account.thin_events()[0]
    account.advance(31 * DAY)
    async with connected(account) as client:
        assert (await client.v2.core.events.list_async()).data == []
        with pytest.raises(stripe.InvalidRequestError, match="No such event"):
            await client.v2.core.events.retrieve_async(old.id)
