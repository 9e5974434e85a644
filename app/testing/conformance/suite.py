"""Starts the application under test, and plays the scenarios in it."""

import asyncio
import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from fastapi import FastAPI
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from ...config import Settings, load_settings
from ...db import is_sqlite, open_database
from ...db.migrations import migrate
from ...db.models import Customer
from ...errors import ConfigurationError
from ..adapter import Adapter
from ..environment import variables
from ..portal import RunningApp, running
from ..trace import recording
from .races import concurrent_creations, repeated_deletes, rollback
from .statuses import STATUSES, Scenario, cancellation, downgrade_below_usage, late_renewal, status
from .tiers import Tiers, find_tiers
from .user import PREFIX, User

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {f"status_{name}": status(name) for name in STATUSES}
    | {
        each.__name__: each
        for each in (
            downgrade_below_usage,
            cancellation,
            late_renewal,
            concurrent_creations,
            rollback,
            repeated_deletes,
        )
    }
)
"""By name, in the order in which they are played."""


def load_adapter(name: str) -> type[Adapter]:
    """The adapter that `module:Class` names.

    Raises:
        ConfigurationError: when there is none.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute or "Adapter")
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"The adapter {name!r} cannot be imported ({error}). Name a class as module:Class, from the "
            "folder that pytest runs in: tests.billing_adapter:Projects."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        raise ConfigurationError(f"{name} is no subclass of {Adapter.__module__}.{Adapter.__name__}.")
    if not getattr(found, "feature", None):
        raise ConfigurationError(f"{name} has no feature: write which one limits the thing.")
    return found


class Suite:
    """One application at a time, on one database. `database_url`: None is a SQLite file of its own."""

    def __init__(self, database_url: str | None = None) -> None:
        self._url = database_url
        self._prepared = ExitStack()
        self._started = ExitStack()
        self._settings: Settings | None = None
        self._adapter: Adapter | None = None
        self._running: RunningApp | None = None

    def play(self, adapter: type[Adapter], scenario: str) -> None:
        """Play one scenario for a new user.

        Raises:
            BrokenPromise: when the application breaks a promise.
            NotApplicable: when there is no occasion to test it.
            ConfigurationError: when adapter, catalogue or database cannot be used.
        """
        app = self._app(adapter)
        assert self._adapter is not None
        tiers = find_tiers(self._adapter, app.service.limits.catalogue)
        app.call(_play, User(app, self._adapter), SCENARIOS[scenario], tiers)

    def close(self) -> None:
        """Stop the application, and restore the environment."""
        self._started.close()
        self._prepared.close()

    def _app(self, adapter: type[Adapter]) -> RunningApp:
        """The running application of the adapter: the one that runs, if the adapter shares it."""
        if self._settings is None:
            self._settings = self._prepare()
        if self._running is None or type(self._adapter) is not adapter:
            self._adapter, made = None, adapter()
            app = made.make_app(self._settings)
            _check_app(app, self._settings)
            if self._running is None or app is not self._running.app:
                self._start(app)
            assert self._running is not None
            made.service = self._running.service
            self._adapter = made
        return self._running

    def _start(self, app: FastAPI) -> None:
        self._started.close()
        self._running = None
        self._running = self._started.enter_context(running(app))

    def _prepare(self) -> Settings:
        folder = self._prepared.enter_context(TemporaryDirectory(prefix="billing-conformance-"))
        url = self._url or f"sqlite:///{Path(folder) / 'conformance.db'}"
        self._prepared.enter_context(environment(variables(url)))
        self._prepared.enter_context(recording())
        settings = load_settings()
        if not is_sqlite(url) or self._url is not None:
            _migrate(url)
        return settings


def _check_app(app: FastAPI, settings: Settings) -> None:
    """
    Raises:
        ConfigurationError: when the application does not have the settings of the test: it might write to a
            database of yours, or call Stripe.
    """
    service = getattr(app.state, "billing", None)
    if service is None:
        raise ConfigurationError("make_app: the service is not installed in the application: install(app).")
    if service.settings.database_url != settings.database_url or service.stripe is not None:
        raise ConfigurationError(
            "make_app: the application does not have the settings of the test. It was imported before, or "
            "reads other ones. Import it inside make_app only, or pass `settings` to install()."
        )


async def _play(user: User, scenario: Scenario, tiers: Tiers) -> None:
    await user.enter()
    try:
        await scenario(user, tiers)
    finally:
        await user.leave()


def _migrate(url: str) -> None:
    """Bring the database up to the code.

    Raises:
        ConfigurationError: when it has customers of others: it is no database for tests.
    """
    if asyncio.run(_others(url)):
        raise ConfigurationError(
            "The database of --billing-database has customers that no conformance test made. "
            "Name an empty one."
        )
    migrate(url)


async def _others(url: str) -> int:
    database = open_database(url)
    is_ours = func.coalesce(col(Customer.email), "").startswith(PREFIX)
    others = select(func.count()).select_from(Customer).where(~is_ours)
    try:
        async with database.reading() as session:
            return int(await (await session.connection()).scalar(others) or 0)
    except SQLAlchemyError as error:
        if database.lies_under(error):
            raise
        return 0  # there is no such table yet
    finally:
        await database.close()


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment, within the block."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
