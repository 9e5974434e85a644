"""The event destination of thin events: created, given what is handled, enabled, pinged, and examined."""

from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidRequest
from app.operations.event_destination import (
    handled_thin_types,
    list_destinations,
    ping,
    set_up_thin,
    switch,
    url_of,
)
from app.operations.webhook_endpoint import set_up
from app.simulator import Account
from app.stripe.client import StripeApi

from ..doctor.patient import found, healthy
from .test_webhook_endpoint import URL, api_of


async def test_it_creates_the_destination_of_thin_events_and_then_nothing() -> None:
    account = Account(1)
    async with api_of(account) as api:
        done = await set_up_thin(api, URL, livemode=False)
        [destination] = account.destinations.values()
        assert (done.action, done.endpoint_id, done.secret) == ("created", destination.id, destination.secret)
        assert destination.secret not in repr(done)
        assert destination.payload == "thin"
        assert destination.enabled_events == handled_thin_types()
        assert "v1.customer.subscription.past_due" in destination.enabled_events
        again = await set_up_thin(api, URL.replace("billing", "BILLING"), livemode=None)
        assert (again.action, again.secret) == ("unchanged", None)
        assert [url_of(each) for each in await list_destinations(api)] == [URL]


async def test_it_adds_types_enables_and_removes_others_only_when_asked() -> None:
    account = Account(1)
    async with api_of(account) as api:
        created = await set_up_thin(api, URL, livemode=None)
        destination = account.destinations[created.endpoint_id]
        first, *rest = handled_thin_types()
        destination.enabled_events = [*rest, "v1.payout.paid"]
        await switch(api, destination.id, "disable")
        done = await set_up_thin(api, URL, livemode=None)
        assert done.changes == (f"Event types: added {first}.", "It was disabled, and is enabled.")
        assert destination.enabled_events == sorted([first, *rest, "v1.payout.paid"])
        done = await set_up_thin(api, URL, livemode=None, remove_others=True)
        assert done.changes == ("Event types: removed v1.payout.paid.",)


async def test_a_destination_takes_a_ping_and_an_endpoint_none() -> None:
    account = Account(1)
    async with api_of(account) as api:
        created = await set_up_thin(api, URL, livemode=None)
        assert (await ping(api, created.endpoint_id)).startswith("evt_")
        with pytest.raises(InvalidRequest, match="event destinations"):
            await ping(api, "we_1")


async def test_an_endpoint_is_switched_by_its_id_too() -> None:
    account = Account(1)
    async with api_of(account) as api:
        endpoint_id = (await set_up(api, URL, livemode=None)).endpoint_id
        await switch(api, endpoint_id, "disable")
        assert account.endpoints[endpoint_id].status == "disabled"
        await switch(api, endpoint_id, "enable")
        assert account.endpoints[endpoint_id].status == "enabled"


async def test_more_destinations_than_a_page_holds_are_all_listed() -> None:
    account = Account(1)
    async with api_of(account) as api:
        for number in range(12):
            await set_up_thin(api, f"https://host-{number}.example/webhook/stripe", livemode=None)
        pages = [page async for page in api.pages_v2("/v2/core/event_destinations", limit=5)]
        assert [len(page.content["data"]) for page in pages] == [5, 5, 2]


async def test_a_refused_url_and_a_key_of_the_other_mode_create_nothing() -> None:
    account = Account(1)
    async with api_of(account) as api:
        for url, livemode in (("http://billing.example", None), (URL, True)):
            with pytest.raises(InvalidRequest):
                await set_up_thin(api, url, livemode=livemode)
    assert account.destinations == {}


async def test_the_doctor_is_content_with_an_installation_fed_by_thin_events_alone(
    sqlite_database: str, tmp_path: Path
) -> None:
    async with healthy(sqlite_database, tmp_path) as patient:
        patient.account.endpoints.clear()
        assert [each.level for each in found(await patient.examine(), "endpoint")] == ["error"]
        api = StripeApi(patient.api_key, patient.environment["STRIPE_API_BASE"])
        try:
            created = await set_up_thin(api, URL, livemode=False)
            report = await patient.examine()
            assert {each.level for _, each in report.findings} == {"ok"}
            destination: Any = patient.account.destinations[created.endpoint_id]
            destination.enabled_events.remove("v1.invoice.paid")
            await switch(api, destination.id, "disable")
        finally:
            await api.close()
        report = await patient.examine()
        [lacking] = found(report, "endpoint-types")
        assert "v1.invoice.paid" in lacking.what and "--thin" in lacking.remedy
        [disabled] = found(report, "endpoint-enabled")
        assert destination.id in disabled.what and "--thin" in disabled.remedy
