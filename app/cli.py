"""The commands: `python -m app …`."""

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import typer
import uvicorn
from rich.console import Console

from . import handlers, metrics, simulator
from .api_keys import new_key, read_key
from .audit import shell_user
from .cli_doctor import doctor, stripe
from .cli_stripe import catch_up, reconcile
from .commands.events import events
from .commands.limits import limits
from .commands.spool import spool
from .commands.status import status
from .commands.users import users
from .config import DatabaseSettings, load_settings
from .demo import run_demo
from .erase import erase_user
from .errors import ConfigurationError, NotFound
from .logs import configure_logging
from .migrations import migrate as migrate_database
from .routers.admin import hash_password
from .service import Service, make_service
from .simulator import SCENARIOS, SHAPES
from .simulator.api import API_KEY, serving

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Subscription records in step with Stripe.",
    pretty_exceptions_show_locals=False,  # among them are the secrets
)
cli.command()(catch_up)
cli.command()(reconcile)
cli.command()(doctor)
cli.command()(status)
cli.add_typer(events, name="events")
cli.add_typer(users, name="users")
cli.add_typer(limits, name="limits")
cli.add_typer(spool, name="spool")
cli.add_typer(stripe, name="stripe")
keys = typer.Typer(no_args_is_help=True, help="Keys of the internal API.")
cli.add_typer(keys, name="keys")
admin = typer.Typer(no_args_is_help=True, help="The admin screen.")
cli.add_typer(admin, name="admin")

APP = f"{__package__}.main:app"
GRACEFUL_SHUTDOWN_SECONDS = 20
MIN_PASSWORD_LENGTH = 12
PLAIN_WIDTH = 100
"""Columns of output that goes to no terminal."""


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes; on SQLite one is best.", min=1)] = 1,
) -> None:
    """Serve the app with the environment's settings."""
    try:
        load_settings()
    except ConfigurationError as error:
        raise typer.Exit(_complain(error.detail)) from None
    configure_logging()
    with metrics.shared_by(workers):
        uvicorn.run(
            APP,
            host=host,
            port=port,
            workers=workers,
            loop="uvloop",
            http=f"{__package__}.http_limits:BoundedHttp",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
        )


@cli.command()
def run(port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000) -> None:
    """Serve for development, with a `.env` that is written on first use."""
    if _write_env(Path(".env")):
        typer.echo("Wrote .env with random secrets, readable by you alone.")
    typer.echo(f"Webhook       http://127.0.0.1:{port}/webhook/stripe")
    typer.echo(f"Internal API  http://127.0.0.1:{port}/docs  (X-API-Key: INTERNAL_API_KEY in .env)")
    typer.echo(f"Try it        python -m app simulate --url http://127.0.0.1:{port}/webhook/stripe")
    typer.echo(f"From Stripe   stripe listen --forward-to 127.0.0.1:{port}/webhook/stripe")
    typer.echo("              (put the whsec_… that it prints into .env as STRIPE_WEBHOOK_SECRET)")
    serve(host="127.0.0.1", port=port, workers=1)


@cli.command()
def migrate() -> None:
    """Bring the database of DATABASE_URL up to the code."""
    try:
        migrate_database(DatabaseSettings().database_url)
    except ConfigurationError as error:
        raise typer.Exit(_complain(error.detail)) from None
    typer.echo("The database is at the newest migration.")


@cli.command()
def worker() -> None:
    """Retry failed events and drain the spool, without serving HTTP; every server does the same beside."""
    configure_logging()
    service = _service()

    async def work() -> None:
        handlers.connect()
        stopped = _stopped_by_signal()
        async with service.running():
            await stopped.wait()

    asyncio.run(work())


@keys.command()
def new(
    name: Annotated[
        str | None, typer.Option(help="What the audit trail calls it, such as billing-page.")
    ] = None,
) -> None:
    """Make a random key of the internal API: the key for its user, the digest for the settings."""
    key = new_key()
    digest = read_key(key).digest.hex()
    typer.echo(f"For the caller, as X-API-Key (shown this once):  {key}")
    typer.echo(
        f"For INTERNAL_API_KEY, beside those in use:       {f'{name}=' if name else ''}sha256:{digest}"
    )


@users.command()
def erase(
    user_id: Annotated[str, typer.Argument(help="The application's id of the user.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a user's personal data: e-mail, names, metadata, raw events. Ids, amounts and states stay."""
    if not yes:
        typer.confirm(f"Erase the personal data of {user_id}? There is no way back.", abort=True)
    service = _service()

    async def run() -> dict[str, int]:
        try:
            return await erase_user(service.database, user_id, actor=shell_user(), at=int(service.clock()))
        finally:
            await service.database.close()

    try:
        erased = asyncio.run(run())
    except NotFound as error:
        raise typer.Exit(_complain(error.detail)) from None
    typer.echo("Erased in " + ", ".join(f"{count} {kind}" for kind, count in erased.items()) + ".")


@admin.callback()
def _admin() -> None:
    """With this, `password` stays a command of its own while it is the only one."""


@admin.command(name="password")
def admin_password() -> None:
    """Ask for a password, and print its hash for ADMIN_PASSWORD_HASH."""
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if len(password) < MIN_PASSWORD_LENGTH:
        raise typer.Exit(_complain(f"The password needs {MIN_PASSWORD_LENGTH} characters or more."))
    typer.echo("Put this into the environment or .env, in single quotes, beside ADMIN_USERNAME:", err=True)
    typer.echo(f"ADMIN_PASSWORD_HASH='{hash_password(password)}'")


@cli.command()
def simulate(
    url: Annotated[str, typer.Option(help="The webhook's address.")] = "http://127.0.0.1:8000/webhook/stripe",
    scenario: Annotated[
        list[str] | None,
        typer.Option(help=f"One of {', '.join(SCENARIOS)}; may be repeated; all if left out."),
    ] = None,
    secret: Annotated[
        str | None, typer.Option(help="The signing secret; that of the environment or .env if left out.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed makes the same events; another each time if left out.")
    ] = None,
    shape: Annotated[
        str, typer.Option(help="API version: old (2024-06-20) or new (2026-10-28.endive).")
    ] = "new",
    duplicates: Annotated[float, typer.Option(help="Share of events sent twice, 0 to 1.", min=0, max=1)] = 0,
    delayed: Annotated[float, typer.Option(help="Share of events sent last, 0 to 1.", min=0, max=1)] = 0,
    reorder: Annotated[bool, typer.Option(help="Send in random order.")] = False,
    api_port: Annotated[
        int | None,
        typer.Option(help="Afterwards serve Stripe's API of this account on this port of 127.0.0.1."),
    ] = None,
) -> None:
    """Play scenarios of Stripe into a running server, each for a user of its own."""
    if seed is None:
        seed = secrets.randbelow(2**31)
    if unknown := sorted(set(scenario or ()) - SCENARIOS.keys()):
        raise typer.BadParameter(
            f"There is no scenario {', '.join(unknown)}. There are: {', '.join(SCENARIOS)}."
        )
    if shape not in SHAPES:
        raise typer.BadParameter(f"The shape is one of {', '.join(SHAPES)}.")
    try:
        report = asyncio.run(
            _simulate(
                url,
                secret or load_settings().stripe_webhook_secret[0].get_secret_value(),
                scenario or tuple(SCENARIOS),
                seed,
                SHAPES[shape],
                simulator.Faults(duplicates, reorder, delayed),
                api_port,
            )
        )
    except httpx.HTTPError as error:
        raise typer.Exit(_complain(f"{url} cannot be reached: {error}. Start it with `make run`.")) from None
    except ConfigurationError as error:
        raise typer.Exit(_complain(error.detail)) from None
    except OSError as error:
        raise typer.Exit(_complain(f"Port {api_port} cannot be served: {error.strerror}.")) from None
    raise typer.Exit(1 if report.refused else 0)


async def _simulate(
    url: str,
    secret: str,
    scenarios: Sequence[str],
    seed: int,
    shape: simulator.Shape,
    faults: simulator.Faults,
    api_port: int | None,
) -> simulator.Report:
    account = simulator.Account(seed)
    play = partial(
        simulator.simulate,
        url,
        secret,
        scenarios=scenarios,
        seed=seed,
        shape=shape,
        faults=faults,
        account=account,
    )
    if api_port is None:
        return _tell(await play())
    async with serving(account, port=api_port, api_version=shape, clock=time.time) as base_url:
        report = _tell(await play())
        typer.echo(f"Stripe's API: {base_url}, with the key {API_KEY}; what is done there is sent to {url}.")
        typer.echo("Ctrl-C ends it.")
        sending = asyncio.create_task(simulator.send_on(account, url, secret, shape=shape))
        await _stopped_by_signal().wait()
        sending.cancel()
    return report


def _tell(report: simulator.Report) -> simulator.Report:
    typer.echo(f"Sent {report.sent} deliveries of {report.events} events: {dict(report.by_status)}")
    for subscription in report.truth["subscriptions"].values():
        typer.echo(
            f"  {subscription['user_id']}: {subscription['status']} ({subscription['subscription_id']})"
        )
    for refused in report.refused[:10]:
        typer.secho(refused, err=True, fg=typer.colors.RED)
    return report


def _stopped_by_signal() -> asyncio.Event:
    """An event that is set once somebody wants us to end."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


@cli.command()
def demo() -> None:
    """Play Stripe into a server of its own, and show the records; ends by itself."""
    raise typer.Exit(0 if run_demo(Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)) else 1)


def _service() -> Service:
    try:
        return make_service(load_settings(), time.time)
    except ConfigurationError as error:
        raise typer.Exit(_complain(error.detail)) from None


def _write_env(path: Path) -> bool:
    """Write the settings that must not be empty, once; False when the file is there."""
    lines = (
        "# Made by `make run`. For a real endpoint put its signing secret here.",
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


def _complain(problem: str) -> int:
    typer.secho(problem, err=True, fg=typer.colors.RED)
    return 1
