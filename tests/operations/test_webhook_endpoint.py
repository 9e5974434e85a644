"""The webhook endpoint is created, updated and left alone, through the official client."""

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import stripe

from app.errors import InvalidRequest, StripeRefused
from app.inbox.handlers import HANDLERS, handled, stripe_types
from app.inbox.unit_of_work import UnitOfWork
from app.operations.webhook_endpoint import SetupResult, same_url, set_up, webhook_url
from app.signals import event_signal
from app.simulator import OLD, Account
from app.simulator.api import API_KEY, ApiFaults, Traffic, serving, serving_in_thread
from app.simulator.model import WebhookEndpoint
from app.stripe.client import StripeApi
from app.stripe.event_types import unknown_types
from app.stripe.events import StripeEvent

from ..cli.test_cli import app

NOT_LISTED = {
    f"customer.subscription.{status}" for status in ("active", "trialing", "past_due", "unpaid")
} | {"invoice_payment.failed"}
"""Types that Stripe sends as thin events only, or does not list for an endpoint."""
URL = "https://billing.example/webhook/stripe"


@asynccontextmanager
async def api_of(
    account: Account, key: str = API_KEY, traffic: Traffic | None = None
) -> AsyncIterator[StripeApi]:
    async with serving(account, traffic=traffic) as base_url:
        api = StripeApi(key, base_url)
        try:
            yield api
        finally:
            await api.close()


def endpoint_in(account: Account, url: str = URL, version: str | None = None) -> WebhookEndpoint:
    """An endpoint with exactly what is handled, but for what is named."""
    id = account.new_id("we")
    endpoint = WebhookEndpoint(
        id, account.now, url, stripe_types(), "whsec_test_x", version or stripe.api_version
    )
    account.endpoints[id] = endpoint
    return endpoint


async def test_it_creates_the_endpoint_with_the_handled_types_and_the_librarys_version_and_then_nothing() -> (
    None
):
    account, traffic = Account(1), Traffic()
    async with api_of(account, traffic=traffic) as api:
        done = await set_up(api, URL, livemode=False)
        [endpoint] = account.endpoints.values()
        assert done == SetupResult("created", endpoint.id, URL, secret=endpoint.secret)
        assert endpoint.secret not in repr(done)
        assert set(endpoint.enabled_events) == {
            name for name in HANDLERS if not name.startswith("internal.") and name not in NOT_LISTED
        }
        assert (endpoint.url, endpoint.api_version) == (URL, stripe.api_version)
        assert await set_up(api, URL.replace("billing", "BILLING"), livemode=None) == SetupResult(
            "unchanged", endpoint.id, URL
        )
    assert traffic.by_route["POST /v1/webhook_endpoints"] == 1
    assert traffic.by_route["POST /v1/webhook_endpoints/{id}"] == 0


async def test_it_enables_the_endpoint_and_adds_the_handled_types_and_removes_others_only_when_asked() -> (
    None
):
    account = Account(1)
    other = endpoint_in(account, "https://billing.example/other")
    endpoint = endpoint_in(account)
    endpoint.enabled_events = [*stripe_types()[1:], "plan.created"]
    setattr(endpoint, "status", "disabled")  # noqa: B010  # for mypy it would stay so
    async with api_of(account) as api:
        done = await set_up(api, URL, livemode=None)
        assert (done.action, done.endpoint_id, done.secret) == ("updated", endpoint.id, None)
        assert endpoint.enabled_events == sorted([*stripe_types(), "plan.created"])
        assert endpoint.status == "enabled"
        first = stripe_types()[0]
        assert done.changes == (f"Event types: added {first}.", "It was disabled, and is enabled.")
        assert (await set_up(api, URL, livemode=None)).action == "unchanged"
        done = await set_up(api, URL, livemode=None, remove_others=True)
    assert done.changes == ("Event types: removed plan.created.",)
    assert endpoint.enabled_events == stripe_types()
    assert other.enabled_events == stripe_types()


async def test_an_endpoint_of_all_types_is_left_as_it_is() -> None:
    account = Account(1)
    endpoint = endpoint_in(account)
    endpoint.enabled_events = ["*"]
    async with api_of(account) as api:
        assert (await set_up(api, URL, livemode=None)).action == "unchanged"
    assert endpoint.enabled_events == ["*"]


async def test_a_type_with_a_receiver_of_the_application_is_handled_too() -> None:
    account = Account(1)
    endpoint = endpoint_in(account)
    assert "payout.paid" not in endpoint.enabled_events

    def hear(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
        raise AssertionError

    with event_signal("payout.paid").connected_to(hear), event_signal("no.such.type").connected_to(hear):
        async with api_of(account) as api:
            done = await set_up(api, URL, livemode=None)
        assert set(unknown_types(handled())) - HANDLERS.keys() == {"no.such.type"}
    assert done.changes == ("Event types: added payout.paid.",)
    assert "payout.paid" in endpoint.enabled_events
    assert "no.such.type" not in endpoint.enabled_events


async def test_an_endpoint_of_another_version_stays_and_a_new_one_beside_it_is_created_when_asked() -> None:
    account = Account(1)
    old = endpoint_in(account, version=OLD)
    async with api_of(account) as api:
        done = await set_up(api, URL, livemode=None)
        assert (done.action, done.endpoint_id, done.pinned) == ("unchanged", old.id, False)
        assert OLD in done.notes[0] and "--new" in done.notes[0]
        created = await set_up(api, URL, livemode=None, new=True)
        assert (created.action, created.pinned) == ("created", True)
        assert f"{old.id} leads here too" in created.notes[0]
        again = await set_up(api, URL, livemode=None, new=True)
        assert (again.action, again.endpoint_id) == ("unchanged", created.endpoint_id)
    assert len(account.endpoints) == 2


async def test_of_several_endpoints_the_one_in_use_is_kept_and_the_others_are_named() -> None:
    account = Account(1)
    disabled = endpoint_in(account)
    disabled.status = "disabled"
    account.advance(60)
    used = endpoint_in(account)
    account.advance(60)
    newest = endpoint_in(account)
    async with api_of(account) as api:
        done = await set_up(api, URL, livemode=None)
    assert (done.action, done.endpoint_id, done.pinned) == ("unchanged", used.id, True)
    [note] = done.notes
    assert disabled.id in note and newest.id in note


@pytest.mark.parametrize(
    "url",
    [
        "http://billing.example/webhook/stripe",
        "billing.example",
        "ftp://localhost/x",
        "https://",
        "https://ada:pw@billing.example/",
        "https://billing.example/#x",
        "",
    ],
)
async def test_it_refuses_addresses_that_stripe_would_not_send_to(url: str) -> None:
    account = Account(1)
    async with api_of(account) as api:
        with pytest.raises(InvalidRequest, match="https://your-host"):
            await set_up(api, url, livemode=None)
    assert not account.endpoints


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("https://billing.example", URL),
        ("https://billing.example/", URL),
        ("https://billing.example/hooks", "https://billing.example/hooks"),
        ("http://localhost:8000", "http://localhost:8000/webhook/stripe"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
    ],
)
def test_an_address_that_is_only_a_host_is_given_the_webhooks_path(url: str, full: str) -> None:
    assert webhook_url(url) == full


def test_addresses_are_the_same_whatever_the_case_of_their_host_and_with_the_usual_port() -> None:
    assert same_url(URL, "HTTPS://Billing.Example:443/webhook/stripe")
    assert not same_url(URL, URL + "/")
    assert not same_url(URL, URL.replace("webhook", "Webhook"))


async def test_it_refuses_a_key_of_the_other_mode_or_one_that_stripe_does_not_take() -> None:
    account = Account(1)
    async with api_of(account) as api:
        with pytest.raises(InvalidRequest, match="LIVEMODE"):
            await set_up(api, URL, livemode=True)
    async with api_of(account, "sk_test_other") as api:
        with pytest.raises(StripeRefused, match="STRIPE_API_KEY"):
            await set_up(api, URL, livemode=False)
    assert not account.endpoints


async def test_an_answer_that_breaks_off_makes_no_second_endpoint() -> None:
    account, faults = Account(1), ApiFaults()
    async with serving(account, faults=faults) as base_url:
        api = StripeApi(API_KEY, base_url)
        endpoint_in(account, "https://billing.example/other")
        original = api.post

        async def post(path: str, *, key: str | None = None, **params: object) -> object:
            faults.next("disconnect")
            return await original(path, key=key, **params)

        api.post = post  # type: ignore[assignment,method-assign]
        done = await set_up(api, URL, livemode=None)
        await api.close()
    assert len(account.endpoints) == 2
    assert account.endpoints[done.endpoint_id].secret == done.secret


@pytest.mark.long
def test_the_shell_prints_the_secret_once_though_other_settings_are_missing(tmp_path: Path) -> None:
    account = Account(1)
    with serving_in_thread(account) as base_url:
        settings = {"STRIPE_API_KEY": API_KEY, "STRIPE_API_BASE": base_url}
        first = app("stripe", "setup", "--url", URL, cwd=tmp_path, **settings)
        second = app("stripe", "setup", "--url", URL, cwd=tmp_path, **settings)
    [endpoint] = account.endpoints.values()
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.count(endpoint.secret) == 1
    assert (second.returncode, second.stderr) == (0, "")
    assert endpoint.secret not in second.stdout
    assert "Nothing to change" in second.stdout
    assert "only when it is created" in second.stdout
    assert not (tmp_path / ".env").exists()


def test_the_shell_writes_the_secret_into_env_beside_the_one_in_use(tmp_path: Path) -> None:
    account, env = Account(1), tmp_path / ".env"
    env.write_text(f"STRIPE_API_KEY={API_KEY}\nSTRIPE_WEBHOOK_SECRET=whsec_test_secret_old_0001\n# end\n")
    with serving_in_thread(account) as base_url:
        done = app("stripe", "setup", "--url", URL, "--write-env", cwd=tmp_path, STRIPE_API_BASE=base_url)
    [endpoint] = account.endpoints.values()
    assert done.returncode == 0, done.stderr
    assert endpoint.secret not in done.stdout + done.stderr
    assert "beside 1" in done.stdout
    assert env.read_text().splitlines() == [
        f"STRIPE_API_KEY={API_KEY}",
        f"STRIPE_WEBHOOK_SECRET=whsec_test_secret_old_0001,{endpoint.secret}",
        "# end",
    ]
    assert stat.S_IMODE(env.stat().st_mode) == 0o600


def test_the_shell_names_what_is_missing_and_does_nothing(tmp_path: Path) -> None:
    without = app("stripe", "setup", "--url", URL, cwd=tmp_path)
    assert without.returncode == 1 and "set STRIPE_API_KEY" in without.stderr
    wrong = app("stripe", "setup", "--url", URL, cwd=tmp_path, STRIPE_API_KEY="pk_test_fake_1")
    assert wrong.returncode == 1 and "STRIPE_API_KEY does not begin with" in wrong.stderr
    (tmp_path / ".env").mkdir()
    folder = app("stripe", "setup", "--url", URL, "--write-env", cwd=tmp_path, STRIPE_API_KEY=API_KEY)
    assert folder.returncode == 1 and "Nothing was done" in folder.stderr


def test_the_shell_fails_where_the_endpoint_keeps_another_version(tmp_path: Path) -> None:
    account = Account(1)
    endpoint_in(account, version=OLD)
    with serving_in_thread(account) as base_url:
        settings = {"STRIPE_API_KEY": API_KEY, "STRIPE_API_BASE": base_url}
        done = app("stripe", "setup", "--url", URL, cwd=tmp_path, **settings)
    assert done.returncode == 1
    assert OLD in done.stderr and stripe.api_version in done.stderr
