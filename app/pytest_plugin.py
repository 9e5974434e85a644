"""The plugin of pytest: fixtures for an application's tests, and `--billing-conformance`.

pytest imports it at its start, in every project whose environment has the package. So it imports nothing of
the package before a fixture or the option asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastapi import FastAPI

    from .config import Settings
    from .simulator import Account
    from .testing import Billing, Clock

ENTRY_POINT = "subscription_service"
"""The name under which pytest loads the plugin of an installed wheel by itself."""
STRIPE_API = "billing_stripe_api"
"""The fixture that gives the application Stripe's API, where a test names it."""
_SUITE = pytest.StashKey[Any]()
"""The suite that runs, where the option is given."""
WITHOUT_ADAPTER = (
    "--billing-conformance needs an adapter: write a subclass of Adapter, and name it with "
    "--billing-adapter=module:Class, or in the configuration of pytest: billing_adapters = module:Class."
)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not _replace_others(pluginmanager):
        _add_options(parser)


def _replace_others(plugins: pytest.PytestPluginManager) -> bool:
    """Leave this plugin as the only one of its kind. True: another was there, and has added the options.

    Where a checkout's plugin is named with `-p`, that of an installed wheel is not loaded. Of several that
    are named, the last one counts.
    """
    this = sys.modules[__name__]
    others = [each for each in plugins.get_plugins() if each is not this and _is_this_plugin(each)]
    for each in others:
        plugins.unregister(each)
    if plugins.get_name(this) != ENTRY_POINT:
        plugins.set_blocked(ENTRY_POINT)
    return bool(others)


def _is_this_plugin(plugin: object) -> bool:
    """Whether it is this plugin, imported under another name of the package."""
    name, _, module = getattr(plugin, "__name__", "").rpartition(".")
    package = sys.modules.get(name)
    return module == "pytest_plugin" and getattr(package, "_is_subscription_service", False) is True


def _add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("billing", "subscription service")
    group.addoption(
        "--billing-conformance",
        action="store_true",
        help="run the conformance test of your application, and no other test",
    )
    group.addoption(
        "--billing-adapter",
        action="append",
        default=[],
        metavar="MODULE:CLASS",
        help="the adapter of your application; may be given several times",
    )
    group.addoption(
        "--billing-database",
        metavar="URL",
        help="an empty database for the conformance test; without it a SQLite file of its own",
    )
    parser.addini("billing_adapters", "adapters for --billing-conformance: module:Class", type="linelist")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With the option no other test is run, so none is collected."""
    return True if config.getoption("--billing-conformance") else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    if not config.getoption("--billing-conformance"):
        return
    names = config.getoption("--billing-adapter") or config.getini("billing_adapters")
    if not names:
        raise pytest.UsageError(WITHOUT_ADAPTER)
    from .testing.conformance.items import promises
    from .testing.conformance.suite import Suite

    if (root := str(config.invocation_params.dir)) not in sys.path:
        sys.path.insert(0, root)
    suite = config.stash[_SUITE] = Suite(config.getoption("--billing-database"))
    items[:] = promises(session, names, suite)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    if not items or not config.getoption("--billing-conformance"):
        return []
    adapters = {item.nodeid.partition("::")[0] for item in items}
    return [f"billing conformance: {len(items)} promises, adapters: {', '.join(sorted(adapters))}"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (suite := session.config.stash.get(_SUITE, None)) is not None:
        suite.close()


@pytest.fixture
def billing_plans_file() -> Path | None:
    """The catalogue of the tests; None: that of your own PLANS_FILE. Override it to name another."""
    return None


@pytest.fixture
def billing_database_url(tmp_path: Path) -> str:
    """The database of the tests: a fresh SQLite file. Override it to name a PostgreSQL database for tests."""
    return f"sqlite:///{tmp_path / 'billing.db'}"


@pytest.fixture
def billing_stripe_api(billing_account: Account) -> Iterator[str]:
    """The address of the account's API at the simulator. In a test that names this fixture the application
    has it and a key, so checkout, portal and changes work."""
    from .simulator.api import serving_in_thread

    with serving_in_thread(billing_account) as address:
        yield address


@pytest.fixture
def billing_settings(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    billing_database_url: str,
    billing_plans_file: Path | None,
) -> Settings:
    """The settings of a service under test: the database, brought up to the code, fake keys, and nothing that
    reaches another system. They are in the environment, too."""
    from .config import load_settings
    from .db import is_sqlite
    from .db.migrations import migrate_if_behind
    from .testing.environment import variables

    plans = str(billing_plans_file) if billing_plans_file else None
    api = request.getfixturevalue(STRIPE_API) if STRIPE_API in request.fixturenames else None
    for name, value in variables(billing_database_url, plans, api).items():
        monkeypatch.setenv(name, value)
    if not is_sqlite(billing_database_url):  # a SQLite file is when the service starts
        migrate_if_behind(billing_database_url)
    return load_settings()


@pytest.fixture
def billing_account() -> Account:
    """The simulator's account: what is done to it happens at Stripe."""
    from .extras import needed_for

    with needed_for("simulator"):
        from .simulator import Account
    return Account(seed=1)


@pytest.fixture
def billing_clock(billing_account: Account) -> Clock:
    """The account's clock, which only a test moves: `install(app, billing_settings, clock=billing_clock)`."""
    from .testing import Clock

    return Clock(billing_account)


@pytest.fixture
def billing_app(billing_settings: Settings, billing_clock: Clock) -> FastAPI:
    """The application under test. Override it with your own; by default it is the service alone."""
    from .main import create_app

    return create_app(billing_settings, clock=billing_clock)


@pytest.fixture
def billing(
    request: pytest.FixtureRequest, billing_app: FastAPI, billing_account: Account, billing_clock: Clock
) -> Iterator[Billing]:
    """The application, running: requests to it, signed deliveries, users on plans, usage."""
    from .testing import Billing
    from .testing.portal import running

    with running(billing_app) as started:
        made = Billing(started, billing_account, billing_clock)
        if STRIPE_API in request.fixturenames:
            made.make_prices()
        yield made
        made.close()
