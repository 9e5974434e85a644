"""`python -m app stripe setup`, the webhook endpoint, and `python -m app doctor`, what is wrong."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .config import Settings, examine_settings
from .doctor import Level, Report, diagnose
from .env_file import NAME, add_signing_secret, is_writable
from .errors import ServiceError
from .logs import configure_logging
from .stripe_api import StripeApi, required
from .stripe_setup import REVEAL, Done, set_up

stripe = typer.Typer(no_args_is_help=True, help="The account at Stripe.")
ENV_FILE = Path(".env")
PLAIN_WIDTH = 120
"""Columns of output that goes to no terminal."""
COLOURS: dict[Level, str] = {"ok": "green", "hint": "cyan", "warning": "yellow", "error": "red"}


@stripe.callback()
def group() -> None:
    """The account at Stripe."""  # with a callback, a single command keeps its name


@stripe.command()
def setup(
    url: Annotated[str, typer.Option(help="The webhook's address: https://your-host/webhook/stripe.")],
    write_env: Annotated[
        bool, typer.Option("--write-env", help="Put the secret into .env instead of printing it.")
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Create one beside an endpoint of another API version.")
    ] = False,
) -> None:
    """Create the webhook endpoint, or bring it to exactly the handled event types."""
    configure_logging()
    if write_env and not is_writable(ENV_FILE):
        # Said before there is a secret that Stripe shows only once.
        raise typer.Exit(_complain(".env cannot be written here. Nothing was done."))
    # The rest of the settings may still be missing: the signing secret comes from here.
    settings, problems = examine_settings()
    wrong = next((each for each in problems if each.setting in ("STRIPE_API_KEY", "LIVEMODE")), None)
    if wrong is not None:
        raise typer.Exit(_complain(f"{wrong.setting} {wrong.what}: {wrong.remedy}."))
    try:
        done = asyncio.run(_set_up(settings, url, new))
    except ServiceError as error:
        raise typer.Exit(_complain(error.detail)) from None
    _tell(done)
    if done.secret is None:
        typer.echo(REVEAL)
    elif write_env:
        _keep(done.secret)
    else:
        _print_secret(done.secret)
    raise typer.Exit(0 if done.pinned else 1)


def doctor(
    url: Annotated[
        str | None, typer.Option(help="The webhook's address; without it, endpoints on any host will do.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Look for every known mistake, and name its remedy. Fails where there is an error."""
    configure_logging()
    settings, problems = examine_settings()
    report = asyncio.run(diagnose(settings, problems, clock=time.time, url=url))
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        _show(report, Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH))
    raise typer.Exit(0 if report.ok else 1)


def _show(report: Report, console: Console) -> None:
    table = Table(box=SIMPLE)
    for column in ("", "check", "what", "remedy"):
        table.add_column(column, overflow="fold")
    for name, finding in report.findings:
        colour = COLOURS[finding.level]
        level = f"[{colour}]{finding.level}[/]"
        table.add_row(level, name, escape(finding.what), escape(finding.remedy))
    for skipped in report.skipped:
        table.add_row("[dim]skipped[/]", skipped.check, escape(skipped.why), "")
    console.print(table)
    levels = [finding.level for _, finding in report.findings]
    told = [f"{levels.count(level)} {level}" for level in ("error", "warning", "hint", "ok")]
    console.print(", ".join([*told, f"{len(report.skipped)} skipped"]))


async def _set_up(settings: Settings, url: str, new: bool) -> Done:
    key = settings.stripe_api_key
    api = required(StripeApi(key.get_secret_value(), settings.stripe_api_base) if key else None)
    try:
        return await set_up(api, url, livemode=settings.livemode, new=new)
    finally:
        await api.close()


def _tell(done: Done) -> None:
    what = {"created": "Created", "updated": "Updated", "unchanged": "Nothing to change at"}[done.action]
    typer.echo(f"{what} {done.endpoint_id} for {done.url}.")
    for change in done.changes:
        typer.echo(change)
    for note in done.notes:
        typer.secho(note, err=True, fg=typer.colors.YELLOW)


def _keep(secret: str) -> None:
    try:
        count = add_signing_secret(ENV_FILE, secret)
    except (OSError, UnicodeDecodeError) as error:
        _complain(f".env cannot be written ({type(error).__name__}): put the secret there yourself.")
        _print_secret(secret)
        raise typer.Exit(1) from None
    beside = f", beside {count - 1} that were there; remove those no longer in use" if count > 1 else ""
    typer.echo(f"Its signing secret is in .env{beside}. Restart the service.")
    if NAME in os.environ:
        typer.secho(f"{NAME} is set in the environment, too, which goes before .env.", err=True)


def _print_secret(secret: str) -> None:
    typer.echo(f"Its signing secret (shown this once), for {NAME}:")
    typer.echo(secret)


def _complain(problem: str) -> int:
    typer.secho(problem, err=True, fg=typer.colors.RED)
    return 1
