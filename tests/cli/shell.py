"""A shell: runs a command in this process, and gives what it printed and its exit code."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from typer.testing import CliRunner, Result

from app.cli import cli, output
from app.simulator import Account

from ..client import KEY, SECRET, Client, running

ADA = "ada@example.com"
CONFIGURING = ("app.cli", "app.cli.doctor", "app.cli.output", "app.cli.plans", "app.cli.stripe")
"""The modules of commands that configure logging."""


def keep_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no command configure logging: lines would go to a runner's output, which is closed by then."""
    for module in CONFIGURING:
        monkeypatch.setattr(import_module(module), "configure_logging", lambda *_: None)


class Shell:
    """The commands, run on one database with the settings of the environment."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.settings = {
            "DATABASE_URL": url,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "INTERNAL_API_KEY": KEY,
            "LIVEMODE": "false",
            "SPOOL_DIR": str(folder / "spool"),
        }

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments)

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)

    def served(self, work: Callable[[Client], Awaitable[object]]) -> None:
        """Do something with a server on the same database."""

        async def run() -> None:
            async with running(self.url, livemode=False) as client:
                await work(client)

        asyncio.run(run())

    def take_in(self, account: Account) -> None:
        self.served(lambda client: client.deliver(*account.events))

    def sql(self, statement: str) -> None:
        async def run(client: Client) -> None:
            async with client.app.state.billing.database.session() as session:
                await (await session.connection()).execute(text(statement))

        self.served(run)


@pytest.fixture
def shell(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    shell = Shell(database_url, tmp_path)
    for name, value in shell.settings.items():
        monkeypatch.setenv(name, value)
    keep_logging(monkeypatch)
    monkeypatch.setattr(
        output,
        "configure_logging",
        lambda level: structlog.configure(logger_factory=structlog.ReturnLoggerFactory()),
    )
    level = logging.getLogger().level
    yield shell
    structlog.reset_defaults()
    logging.getLogger().setLevel(level)


def signed_up(email: str = ADA, **metadata: str) -> Account:
    account = Account(1, start=int(time.time()) - 60)
    account.create_subscription(account.create_customer(email, **metadata), "price_team")
    return account
