"""Webhook endpoints and event destinations in one list, for the doctor, the commands and the admin screen."""

from typing import Any

import pytest

from app.errors import StripeRefused
from app.operations import event_sources
from app.operations.event_destination import handled_thin_types, set_up_thin
from app.operations.event_sources import find_event_source, list_event_sources
from app.operations.webhook_endpoint import set_up
from app.simulator import Account, EventDestination
from app.stripe.client import StripeApi

from .test_webhook_endpoint import URL, api_of


async def test_all_that_sends_events_is_listed_once_and_found_by_its_id() -> None:
    account = Account(1)
    async with api_of(account) as api:
        endpoint = (await set_up(api, URL, livemode=None)).endpoint_id
        thin = (await set_up_thin(api, URL, livemode=None)).endpoint_id
        bridge = {"aws_account_id": "1", "aws_region": "eu-1"}
        others: list[tuple[str, Any, dict[str, str]]] = [
            ("ed_bridge", "amazon_eventbridge", bridge),
            (endpoint, "webhook_endpoint", {"url": URL}),  # Stripe lists an endpoint as a destination, too
        ]
        for id, kind, config in others:
            account.destinations[id] = EventDestination(
                id, account.now, "", kind, "snapshot", ["invoice.paid"], [], config, "whsec_test_b"
            )
        found = await list_event_sources(api)
        assert found.not_listed is None
        listed = {each.id: (each.form, each.status, each.sends_to) for each in found.listed}
        assert listed == {
            endpoint: ("snapshot", "enabled", URL),
            thin: ("thin", "enabled", URL),
            "ed_bridge": ("snapshot", "enabled", "amazon_eventbridge"),
        }
        assert len(found.listed) == 3
        assert {each.id for each in found.webhooks()} == {endpoint, thin}
        for each in found.listed:
            assert await find_event_source(api, each.id) == each


async def test_what_is_handled_and_not_sent_is_named_for_either_form() -> None:
    account = Account(1)
    async with api_of(account) as api:
        await set_up(api, URL, livemode=None)
        await set_up_thin(api, URL, livemode=None)
        account.destinations[next(iter(account.destinations))].enabled_events = [
            *handled_thin_types()[1:],
            "v1.x",
        ]
        next(iter(account.endpoints.values())).enabled_events = ["*"]
        endpoint, destination = (await list_event_sources(api)).listed
    assert endpoint.missing_types == []
    assert (destination.missing_types, destination.other_types) == ([handled_thin_types()[0]], ["v1.x"])


async def test_a_key_that_may_not_list_destinations_shows_the_endpoints_and_why_there_are_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(api: StripeApi) -> list[Any]:
        raise StripeRefused("This key may not.")

    monkeypatch.setattr(event_sources, "list_destinations", refuse)
    async with api_of(Account(1)) as api:
        endpoint = (await set_up(api, URL, livemode=None)).endpoint_id
        found = await list_event_sources(api)
    assert ([each.id for each in found.listed], found.not_listed) == ([endpoint], "This key may not.")


def test_an_address_is_shown_without_what_may_be_secret_in_it() -> None:
    shown = event_sources.shown_url("https://ada:secret@billing.example/webhook/stripe?key=secret")
    assert shown == "https://billing.example/webhook/stripe"
