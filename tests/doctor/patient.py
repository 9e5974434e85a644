"""An installation for the doctor: healthy, with a simulated account, until a test breaks something."""

import copy
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.config import Settings, examine_settings
from app.db import is_sqlite, open_database, sqlite_path
from app.db.models import Job
from app.doctor import Finding, Report, diagnose
from app.operations.webhook_endpoint import set_up
from app.simulator import Account, Customer
from app.simulator.api import ApiFaults, serving
from app.simulator.model import WebhookEndpoint
from app.stripe.client import StripeApi

from ..client import KEY, Client, running

URL = "https://billing.example/webhook/stripe"
NOTIFY_URL = "json://ada:secret-of-notify@127.0.0.1:1/"
WEBHOOK_SECRET = "whsec_fake_of_the_endpoint_0001"


@dataclass
class Patient:
    """`environment`: its settings as the process sees them. `skew`: how many seconds its clock is ahead."""

    account: Account
    database_url: str
    folder: Path
    environment: dict[str, str]
    faults: ApiFaults = field(default_factory=ApiFaults)
    skew: float = 0
    url: str | None = URL

    @property
    def endpoint(self) -> WebhookEndpoint:
        return next(iter(self.account.endpoints.values()))

    @property
    def api_key(self) -> str:
        return f"sk_{'live' if self.account.livemode else 'test'}_fake_of_the_doctor"

    def clock(self) -> float:
        return self.account.now + self.skew

    async def examine(self) -> Report:
        """What the doctor finds; nothing secret is in it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            for name in Settings.model_fields:
                patch.delenv(name.upper(), raising=False)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            settings, problems = examine_settings()
            report = await diagnose(settings, problems, clock=self.clock, url=self.url)
        self.assert_no_secret_in(str(report.as_json()))
        return report

    def assert_no_secret_in(self, shown: str) -> None:
        secrets = [self.environment.get(name, "") for name in SECRET_SETTINGS]
        parts = [part for secret in secrets for part in secret.split(",")]
        assert [part for part in (*parts, "secret-of-notify") if len(part) > 8 and part in shown] == []

    async def deliver(self) -> None:
        """Send all that has happened to the service."""
        async with self.serving() as client:
            await client.deliver(*self.account.events)

    @asynccontextmanager
    async def serving(self, **settings: Any) -> AsyncIterator[Client]:
        livemode = self.account.livemode
        async with running(self.database_url, clock=self.clock, livemode=livemode, **settings) as client:
            yield client

    async def write(self, statement: str, **values: Any) -> None:
        """Change the database behind the service's back."""
        database = open_database(self.database_url)
        async with database.session() as session:
            await (await session.connection()).execute(text(statement), values)
        await database.close()

    async def subscribe(self, price: str | list[str] = "price_team", **metadata: str) -> Customer:
        customer = self.account.create_customer(**metadata)
        self.account.create_subscription(customer, price)
        self.account.advance(3600)
        await self.deliver()
        return customer


SECRET_SETTINGS = ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "INTERNAL_API_KEY")


@asynccontextmanager
async def healthy(database_url: str, folder: Path, *, livemode: bool = False) -> AsyncIterator[Patient]:
    """An installation without any mistake: it has an endpoint, a linked subscriber, and jobs that ran."""
    account = await _subscribed(database_url, livemode)
    faults = ApiFaults()
    async with serving(account, faults=faults) as base_url:
        patient = Patient(account, database_url, folder, {}, faults)
        plans = folder / "plans.toml"
        plans.write_text("# Ours.\n" + Settings.model_fields["plans_file"].default.read_text())
        patient.environment |= {
            "DATABASE_URL": database_url,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "INTERNAL_API_KEY": KEY,
            "STRIPE_API_KEY": patient.api_key,
            "STRIPE_API_BASE": base_url,
            "LIVEMODE": str(livemode).lower(),
            "NOTIFY_URLS": NOTIFY_URL,
            "PLANS_FILE": str(plans),
            "SPOOL_DIR": str(folder / "spool"),
            "RECONCILE_HOUR": "3",
        }
        api = StripeApi(patient.api_key, base_url)
        await set_up(api, URL, livemode=livemode)
        await api.close()
        await _jobs_ran(patient)
        yield patient


_prepared: dict[bool, tuple[Account, bytes]] = {}
"""An account with a subscriber, and a SQLite file that knows it, by whether it is of live mode."""


async def _subscribed(database_url: str, livemode: bool) -> Account:
    """An account whose clock shows what the database's does, with a subscriber that the database knows.

    What is delivered is the same each time, and took a fifth of these tests' time: a SQLite file is copied.
    """
    if is_sqlite(database_url) and livemode in _prepared:
        account, content = copy.deepcopy(_prepared[livemode][0]), _prepared[livemode][1]
        sqlite_path(database_url).write_bytes(content)
        account.advance(int(time.time()) - account.now)
        return account
    account = Account(1, start=int(time.time()) - 3600, livemode=livemode)
    patient = Patient(account, database_url, Path(), {})
    await patient.subscribe(user_id="ada")  # lets an hour pass
    if is_sqlite(database_url):
        _prepared[livemode] = copy.deepcopy(account), sqlite_path(database_url).read_bytes()
    return account


async def _jobs_ran(patient: Patient) -> None:
    database = open_database(patient.database_url)
    now = patient.account.now
    async with database.session() as session:
        session.add_all(
            Job(name=name, started_at=now - 60, finished_at=now - 30)
            for name in ("catch-up", "reconcile", "refresh")
        )
    await database.close()


def found(report: Report, check: str) -> list[Finding]:
    return [finding for name, finding in report.findings if name == check]
