"""Event destinations by the commands, as a user types them."""

import re
from pathlib import Path

import pytest

from app.operations.event_destination import handled_thin_types
from app.operations.webhook_endpoint import set_up
from app.simulator import Account
from app.simulator.api import API_KEY, serving_in_thread
from app.stripe.client import StripeApi

from .test_cli import app

URL = "https://billing.example/webhook/stripe"


class Stripe:
    """The command `stripe` in a folder, with a key of a simulated account."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self._folder = folder
        self._settings = {"STRIPE_API_KEY": API_KEY, "STRIPE_API_BASE": base_url}

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What it prints, on standard error too."""
        done = app("stripe", *arguments, cwd=self._folder, **self._settings)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.mark.long
def test_a_destination_is_created_found_completed_switched_and_pinged(tmp_path: Path) -> None:
    account = Account(1)
    with serving_in_thread(account) as base_url:
        stripe = Stripe(tmp_path, base_url)
        created = stripe("setup", "--url", URL, "--thin", "--write-env")
        [destination] = account.destinations.values()
        id = destination.id
        assert created.startswith(f"Created {id} for {URL}.")
        assert destination.secret not in created
        assert f"STRIPE_WEBHOOK_SECRET={destination.secret}" in (tmp_path / ".env").read_text()

        assert f"{id}  thin  enabled  {URL}" in stripe("list").splitlines()
        assert "Handled here, and not sent: none" in stripe("show", id)
        assert stripe("setup", "--url", URL, "--thin").startswith(f"Nothing to change at {id}")

        destination.enabled_events = [*handled_thin_types()[1:], "v1.payout.paid"]
        shown = stripe("show", id)
        assert "v1.payout.paid" in shown
        assert f"Handled here, and not sent: {handled_thin_types()[0]}" in shown
        assert stripe("disable", id) == f"{id} is disabled.\n"
        assert f"{id}  thin  disabled  {URL}" in stripe("list").splitlines()
        updated = stripe("setup", "--url", URL, "--thin", "--remove-others")
        assert updated.startswith(f"Updated {id}") and "It was disabled, and is enabled." in updated
        assert destination.enabled_events == handled_thin_types()

        stripe("disable", id)
        assert stripe("enable", id) == f"{id} is enabled.\n"
        assert destination.status == "enabled"
        pinged = re.fullmatch(r"Stripe sends (evt_\w+)\.\n", stripe("ping", id))
        assert pinged is not None and [each.id for each in account.pings] == [pinged[1]]


@pytest.mark.long
async def test_endpoints_and_destinations_stand_side_by_side(tmp_path: Path) -> None:
    account = Account(1)
    with serving_in_thread(account) as base_url:
        stripe = Stripe(tmp_path, base_url)
        api = StripeApi(API_KEY, base_url)
        endpoint = (await set_up(api, URL, livemode=None)).endpoint_id
        await api.close()
        stripe("setup", "--url", URL, "--thin")
        [destination] = account.destinations
        listed = [line.split() for line in stripe("list").splitlines()]
        assert listed == [
            [endpoint, "snapshot", "enabled", URL],
            [destination, "thin", "enabled", URL],
        ]
        assert "API version: " in stripe("show", endpoint)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ping", "we_1"), "event destinations"),
        (("ping", "ed_none"), "Stripe has no /v2/core/event_destinations/ed_none/ping"),
        (("enable", "ed_none"), "Stripe has no "),
        (("show", "we_none"), "Stripe has no "),
        (("show", "../account"), "Stripe has no object with such an id."),
    ],
)
@pytest.mark.rest_in_long(3)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    with serving_in_thread(Account(1)) as base_url:
        assert says in Stripe(tmp_path, base_url)(*arguments, code=1)


def test_without_a_key_the_commands_say_what_to_set(tmp_path: Path) -> None:
    for arguments in (("list",), ("show", "ed_1"), ("ping", "ed_1"), ("disable", "ed_1")):
        done = app("stripe", *arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "STRIPE_API_KEY" in done.stderr


def test_the_portal_is_configured_from_the_plans_file_once_it_has_been_shown(tmp_path: Path) -> None:
    account = Account(1)
    with serving_in_thread(account) as base_url:
        stripe = Stripe(tmp_path, base_url)
        shown = stripe("portal", code=1)
        assert "price_team" in shown and "Nothing was changed. Run it with --apply." in shown
        assert "billing_portal.configuration" not in account.records
        applied = stripe("portal", "--apply")
        [id] = account.records["billing_portal.configuration"]
        assert applied.startswith(f"Created {id}.") and f"STRIPE_PORTAL_CONFIGURATION={id}" in applied
        assert stripe("portal").startswith(f"Nothing to change at {id}.")
