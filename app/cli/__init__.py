"""The commands: `python -m app …`, or `subscription-service …` where the wheel is installed."""

import asyncio
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from rich.console import Console

from .. import NAME, __version__
from ..config import DEFAULT_DATABASE_URL, DatabaseSettings, Settings, load_settings
from ..db import is_sqlite, shown
from ..db.migrations import migrate as migrate_database
from ..db.migrations import migrate_if_behind
from ..errors import ConfigurationError
from ..observability import metrics
from ..observability.logs import configure_logging
from ..service import make_service
from .admin import admin
from .customers import customers
from .demo import run_demo
from .doctor import doctor
from .events import events, replay
from .grants import grants
from .keys import keys
from .limits import limits
from .outbox import outbox
from .output import complaint, stopped_by_signal
from .plans import plans
from .simulate import simulate
from .spool import spool
from .status import status
from .stripe import stripe
from .sync import catch_up, reconcile
from .typed import typed_command
from .users import users
from .webhooks_out import webhooks_out

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Subscription records in step with Stripe.",
    pretty_exceptions_show_locals=False,  # among them are the secrets
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@cli.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Subscription records in step with Stripe."""


cli.command()(simulate)
cli.command()(catch_up)
cli.command()(reconcile)
cli.command()(doctor)
cli.command()(status)
cli.command()(replay)  # of the group `events`; it is wanted in a hurry
cli.add_typer(events, name="events")
cli.add_typer(users, name="users")
cli.add_typer(customers, name="customers")
cli.add_typer(limits, name="limits")
cli.add_typer(grants, name="grants")
cli.add_typer(plans, name="plans")
cli.add_typer(spool, name="spool")
cli.add_typer(outbox, name="outbox")
cli.add_typer(webhooks_out, name="webhooks-out")
cli.add_typer(stripe, name="stripe")
cli.add_typer(keys, name="keys")
cli.add_typer(admin, name="admin")

APP = f"{NAME}.main:app"
GRACEFUL_SHUTDOWN_SECONDS = 20
WROTE_ENV = "Wrote .env with random secrets. Only you can read it."
Port = Annotated[int, typer.Option(help="Port to listen on.", envvar="PORT")]
PLAIN_WIDTH = 100
"""Columns of output that goes to no terminal."""


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(help="Processes. On SQLite, use one.", min=1)] = 1,
) -> None:
    """Serve the app with the environment's settings."""
    try:
        _migrate_sqlite(load_settings())
    except ConfigurationError as error:
        raise complaint(error.detail) from None
    configure_logging()
    with metrics.shared_by(workers):
        uvicorn.run(
            APP,
            host=host,
            port=port,
            workers=workers,
            loop="uvloop",
            http=f"{NAME}.web.protocol:BoundedHttp",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
        )


def _migrate_sqlite(settings: Settings) -> None:
    """Bring a SQLite file up to the code before anything runs, where an error is still one sentence."""
    if is_sqlite(settings.database_url):
        migrate_if_behind(settings.database_url)


@cli.command()
def init() -> None:
    """Write a `.env` with random secrets into the current folder, unless there is one."""
    typer.echo(WROTE_ENV if _write_env(Path(".env")) else "There is a .env already. Nothing was changed.")


@cli.command()
def run(port: Port = 8000) -> None:
    """Serve for development. The first run writes a `.env` with random secrets."""
    if _write_env(Path(".env")):
        typer.echo(WROTE_ENV)
    typer.echo(_next_steps(port))
    os.environ.setdefault("API_DOCS", "true")
    serve(host="127.0.0.1", port=port, workers=1)


def _next_steps(port: int) -> str:
    address = f"127.0.0.1:{port}"
    to = "" if port == 8000 else f" --url http://{address}/webhook/stripe"
    return f"""\
Webhook       http://{address}/webhook/stripe
Internal API  http://{address}/docs  (send the INTERNAL_API_KEY of .env as X-API-Key)

In a second terminal, in this folder:

  {typed_command()} simulate --scenario sign_up{to}

For events from your Stripe account:

  stripe listen --forward-to {address}/webhook/stripe

Put the whsec_… that it prints into .env as STRIPE_WEBHOOK_SECRET, and start again.
"""


@cli.command()
def migrate() -> None:
    """Apply the migrations that the database of DATABASE_URL lacks."""
    url = DatabaseSettings().database_url
    try:
        name = shown(url)
        note = migrate_database(url)
    except ConfigurationError as error:
        raise complaint(error.detail) from None
    typer.echo(f"Migrated {name}. {note or 'It is at the newest migration.'}")
    if url == DEFAULT_DATABASE_URL:
        typer.secho(
            "That is the default, as DATABASE_URL is not set. For PostgreSQL set it: "
            "postgresql://user:password@host/name.",
            err=True,
            fg=typer.colors.YELLOW,
        )


@cli.command()
def worker() -> None:
    """Retry failed events, drain the spool, deliver reactions; without HTTP. Each server does this too.

    RECEIVERS names the modules that connect your application's receivers. Event types that only your
    application handles are left to its own processes.
    """
    configure_logging()
    try:
        settings = load_settings()
        _migrate_sqlite(settings)
        service = make_service(settings, time.time)
        service.know_receivers()
    except ConfigurationError as error:
        raise complaint(error.detail) from None

    async def work() -> None:
        stopped = stopped_by_signal()
        async with service.running():
            await stopped.wait()

    asyncio.run(work())


@cli.command()
def demo() -> None:
    """Start a server, send it simulated events, show the records, and stop."""
    try:
        is_right = run_demo(Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH))
    except ConfigurationError as error:
        raise complaint(error.detail) from None
    raise typer.Exit(0 if is_right else 1)


def _write_env(path: Path) -> bool:
    """Write the required settings, once; False when the file exists."""
    lines = (
        "# Random secrets. For an endpoint at Stripe, put its signing secret (whsec_…) here.",
        f"STRIPE_WEBHOOK_SECRET=whsec_{secrets.token_hex(24)}",
        f"INTERNAL_API_KEY={secrets.token_urlsafe(32)}",
        "",
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(lines))
    return True
