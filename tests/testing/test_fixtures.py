"""The fixtures for applications' own tests, and the page that describes them."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI, Request, Response

from app.config import Settings
from app.errors import ConfigurationError, NotFound
from app.main import install
from app.simulator import DAY, Account
from app.testing import Billing, Clock
from app.testing.portal import running

from .. import ROOT
from ..processes import run

PAGE = ROOT / "docs" / "testing.md"
PLANS = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
[plans.free]
projects = 1
[plans.by_key]
lookup_keys = ["team", "yearly"]
projects = { limit = 5, per_unit = true }
[plans.by_product]
products = ["prod_big"]
projects = 50
[plans.talk_to_us]
projects = "unlimited"
"""


@pytest.fixture
def billing_database_url(billing_database_url: str, sqlite_template: Path) -> str:
    """The plugin's own, migrated already: to migrate it takes most of the time of such a test."""
    shutil.copy(sqlite_template, billing_database_url.removeprefix("sqlite:///"))
    return billing_database_url


@pytest.fixture
def billing_plans_file(tmp_path: Path) -> Path:
    path = tmp_path / "plans.toml"
    path.write_text(PLANS)
    return path


@pytest.fixture
def billing_app(billing_settings: Settings, billing_clock: Clock) -> FastAPI:
    app = FastAPI()
    install(app, billing_settings, prefix="/money", clock=billing_clock)

    @app.get("/seen")
    async def seen(request: Request, response: Response) -> dict[str, str | None]:
        response.set_cookie("name", "ada")
        return {"name": request.cookies.get("name")}

    return app


def limit(billing: Billing, user: str = "ada") -> int | None:
    return billing.entitlements(user).look("projects").limit


def test_a_user_is_subscribed_to_plans_by_lookup_key_and_by_product(billing: Billing) -> None:
    assert limit(billing) == 1
    subscription = billing.subscribe("ada", "by_key", quantity=3)
    assert limit(billing) == 15
    billing.change_plan(subscription, "by_product")
    assert limit(billing) == 50
    assert len(billing.account.customers) == 1
    billing.account.cancel_now(subscription)
    assert billing.deliver() == ["processed"]
    assert limit(billing) == 1
    billing.subscribe("ada", "by_key")
    assert (limit(billing), len(billing.account.customers)) == (5, 1)


def test_usage_is_set_and_read(billing: Billing) -> None:
    billing.set_usage("ada", "projects", 7)
    assert (billing.usage("ada", "projects"), billing.usage("eve", "projects")) == (7, 0)


def test_the_clock_is_the_accounts_and_the_services(billing: Billing, billing_account: Account) -> None:
    start = billing_account.now
    billing.clock.advance(5, days=2)
    assert billing_account.now == billing.service.clock() == billing.clock.now == start + 2 * DAY + 5
    with pytest.raises(ValueError, match="moves forward only"):
        billing.clock.move_to(start)


async def test_a_test_that_is_a_coroutine_may_use_it_too(billing: Billing) -> None:
    billing.subscribe("ada", "by_key", trial_days=3)
    assert billing.entitlements("ada").status == "trialing"


def test_an_event_is_delivered_once_and_again_as_a_duplicate(billing: Billing) -> None:
    billing.subscribe("ada", "by_key")
    assert billing.deliver() == []
    assert billing.deliver(billing.account.events[-1]) == ["duplicate"]
    assert [billing.request("GET", "/seen").json()["name"] for _ in range(2)] == [None, "ada"]


def test_what_cannot_be_subscribed_to_is_said(billing: Billing) -> None:
    with pytest.raises(ConfigurationError, match="the plan talk_to_us: it has no prices"):
        billing.subscribe("ada", "talk_to_us")
    with pytest.raises(NotFound, match="nowhere"):
        billing.subscribe("ada", "nowhere")


def test_an_application_without_the_service_or_the_clock_is_refused(
    billing_settings: Settings, billing_account: Account, billing_clock: Clock
) -> None:
    with pytest.raises(RuntimeError, match=r"call install\(app\) first"), running(FastAPI()):
        pass
    app = FastAPI()
    install(app, billing_settings)
    with running(app) as started, pytest.raises(RuntimeError, match="does not have the clock"):
        Billing(started, billing_account, billing_clock)


def test_settings_are_those_of_tests_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "sk_live_0123456789abcdef")
    monkeypatch.setenv("NOTIFY_URLS", "json://example.com")
    monkeypatch.setenv("DATABASE_URL", "postgresql://example.com/production")
    monkeypatch.setenv("WEBHOOK_OUT_URLS", "https://example.com")
    settings: Settings = request.getfixturevalue("billing_settings")
    assert (settings.stripe_api_key, settings.notify_urls, settings.destinations) == (None, (), ())
    assert settings.database_url.startswith("sqlite:///")


ALONE = """
import sys

def test_alone():
    ours = [name for name in sys.modules if name == "app" or name.startswith("app.")]
    assert sorted(ours) == ["app", "app.pytest_plugin"]
    assert "sqlalchemy" not in sys.modules and "fastapi" not in sys.modules
"""


def pytest_in(folder: Path, *arguments: str) -> tuple[int, str]:
    """pytest with the plugin and no other, in a folder of its own."""
    variables = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    variables |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "app.pytest_plugin", "-W", "error", *arguments]
    done = run(command, cwd=folder, env=variables)
    return done.returncode, done.stdout + done.stderr


def test_the_plugin_imports_nothing_into_a_suite_that_does_not_use_it(tmp_path: Path) -> None:
    (tmp_path / "test_alone.py").write_text(ALONE)
    code, output = pytest_in(tmp_path)
    assert code == 0, output


def test_the_conformance_test_without_an_adapter_says_what_to_write(tmp_path: Path) -> None:
    code, output = pytest_in(tmp_path, "--billing-conformance")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "--billing-adapter=module:Class" in output


@pytest.mark.long
def test_the_tests_on_the_page_pass(tmp_path: Path) -> None:
    files = re.findall(r'```\w+ title="([\w.]+)"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    assert {name for name, _ in files} == {"conftest.py", "test_billing.py", "test_checkout.py", "plans.toml"}
    for name, text in files:
        (tmp_path / name).write_text(text)
    ignored = re.search(r"`(ignore:[^`]+)`", PAGE.read_text())
    assert ignored
    code, output = pytest_in(tmp_path, "-W", ignored[1])
    assert (code, "2 passed" in output) == (0, True), output


def test_a_test_that_names_the_api_has_every_price_that_the_catalogue_sells(
    billing: Billing, billing_stripe_api: str
) -> None:
    assert billing.service.settings.stripe_api_base == billing_stripe_api
    account, prices = billing.account, set(billing.account.prices)
    assert {"price_test_by_key", "price_test_by_product", "price_test_yearly"} <= prices
    billing.make_prices()
    billing.subscribe("ada", "by_key")
    assert set(account.prices) == prices, "no lookup key is given away twice"


def test_a_test_is_not_warned_of_connections_that_it_does_not_have(
    billing: Billing, caplog: pytest.LogCaptureFixture
) -> None:
    assert billing.request("GET", "/money/healthz").status_code == 200
    assert [line for line in caplog.messages if "connections_without_deadlines" in line] == []


def test_a_test_that_does_not_name_the_api_calls_nobody(billing: Billing) -> None:
    assert billing.service.settings.stripe_api_key is None


def test_the_adapter_on_the_page_is_the_examples() -> None:
    ((path, excerpt),) = re.findall(r'```\w+ title="(examples/[^"]+)"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    assert excerpt in (ROOT / path).read_text()
