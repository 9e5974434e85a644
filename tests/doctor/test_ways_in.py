"""Each way in which events arrive, by docs/stripe.md: the doctor is content, and names what goes wrong."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.doctor import Report
from app.errors import StripeRefused
from app.operations import event_sources
from app.operations.event_destination import set_up_thin
from app.simulator import NEW, EventDestination, event_body
from app.stripe.client import StripeApi

from .. import ROOT
from .mistakes import received, thin_event
from .patient import URL, Patient, found, healthy

Step = Callable[[Patient], Awaitable[Any]]


async def as_it_is(patient: Patient) -> None:
    """A webhook endpoint, which every healthy installation has."""


async def thin_beside(patient: Patient) -> None:
    api = StripeApi(patient.api_key, patient.environment["STRIPE_API_BASE"])
    await set_up_thin(api, URL, livemode=False)
    await api.close()


async def thin_alone(patient: Patient) -> None:
    patient.account.endpoints.clear()
    await thin_beside(patient)


async def organization(patient: Patient) -> None:
    """Its events name the account; the key may not read it, so a setting does."""
    patient.environment["STRIPE_ACCOUNT"] = ours = patient.account.id
    event = orjson.loads(event_body(patient.account.events[-1], NEW))
    async with patient.serving(stripe_account=ours) as client:
        sent = event | {"id": "evt_of_us", "context": f"acct_organization/{ours}"}
        assert await client.send(sent) == "processed"


async def event_bridge(patient: Patient) -> None:
    types = list(patient.endpoint.enabled_events)
    patient.account.endpoints.clear()
    config = {"aws_account_id": "1", "aws_region": "eu-central-1"}
    patient.account.destinations["ed_bridge"] = EventDestination(
        "ed_bridge", 1, "", "amazon_eventbridge", "snapshot", types, [], config, "whsec_test_bridge"
    )


async def lacks_a_type(patient: Patient) -> None:
    sources: list[Any] = [*patient.account.endpoints.values(), *patient.account.destinations.values()]
    for source in sources:
        source.enabled_events = [name for name in source.enabled_events if not name.endswith("invoice.paid")]


async def key_is_gone(patient: Patient) -> None:
    await thin_event(patient)


async def account_is_unknown(patient: Patient) -> None:
    del patient.environment["STRIPE_ACCOUNT"]
    await received(context="acct_somebody", id="evt_unknown")(patient)


async def is_disabled(patient: Patient) -> None:
    for source in patient.account.destinations.values():
        source.status = "disabled"


WAYS: dict[str, tuple[Step, Step, str, str]] = {
    "Webhook endpoint (snapshot events)": (as_it_is, lacks_a_type, "endpoint-types", "stripe setup --url"),
    "Event destination (thin events)": (thin_alone, key_is_gone, "thin-events", "STRIPE_API_KEY"),
    "Both, while you migrate": (thin_beside, is_disabled, "endpoint-enabled", "--thin"),
    "An organization's destination, and Connect": (
        organization,
        account_is_unknown,
        "unknown-account",
        "STRIPE_ACCOUNT",
    ),
    "Amazon EventBridge and Azure Event Grid": (event_bridge, lacks_a_type, "endpoint-types", "Dashboard"),
}
"""By its heading in docs/stripe.md: how events come, what goes wrong, which check says so, and the remedy."""


def test_each_way_in_has_a_section_with_its_set_up() -> None:
    page = (ROOT / "docs" / "stripe.md").read_text()
    ways = page.split("\n## Ways in\n")[1].split("\n## ")[0]
    sections = dict(re.findall(r"^### (.+)\n((?:(?!^### ).*\n?)*)", ways, re.M))
    assert set(sections) == set(WAYS)
    assert [title for title, text in sections.items() if "```" not in text] == []


def wrong(report: Report) -> list[tuple[str, str]]:
    return [(name, each.what) for name, each in report.findings if each.level in ("warning", "error")]


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.rest_in_long(2)
async def test_the_doctor_is_content_and_names_what_goes_wrong(
    way: str, sqlite_database: str, tmp_path: Path
) -> None:
    set_up, break_it, check, remedy = WAYS[way]
    async with healthy(sqlite_database, tmp_path) as patient:
        await set_up(patient)
        assert wrong(await patient.examine()) == []
        await break_it(patient)
        findings = found(await patient.examine(), check)
    bad = [each for each in findings if each.level in ("warning", "error")]
    assert bad and all(remedy in each.remedy for each in bad), findings


async def test_a_relay_is_taken_for_possible_and_silence_has_to_be_watched(
    sqlite_database: str, tmp_path: Path
) -> None:
    async with healthy(sqlite_database, tmp_path) as patient:
        await event_bridge(patient)
        [finding] = found(await patient.examine(), "endpoint")
    assert finding.level == "hint" and "ed_bridge (amazon_eventbridge)" in finding.what
    assert "SILENCE_HOURS" in finding.remedy


async def test_a_key_that_may_not_list_destinations_is_named_where_nothing_leads_here(
    sqlite_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(api: StripeApi) -> list[Any]:
        raise StripeRefused("Stripe does not accept STRIPE_API_KEY for this.")

    monkeypatch.setattr(event_sources, "list_destinations", refuse)
    async with healthy(sqlite_database, tmp_path) as patient:
        assert [each.level for each in found(await patient.examine(), "endpoint")] == ["ok"]
        patient.account.endpoints.clear()
        [finding] = found(await patient.examine(), "endpoint")
    assert "Event destinations could not be listed with this key." in finding.what
