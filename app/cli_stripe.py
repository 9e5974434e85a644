"""The commands that talk to Stripe: catch up, reconcile."""

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import orjson
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from . import handlers
from .config import load_settings
from .errors import ServiceError
from .reconcile import Report
from .service import Service, make_service
from .stripe_api import required

T = TypeVar("T")

UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
BUSY = "Another process is doing it now; it goes on by itself."


def catch_up(
    since: Annotated[
        str | None,
        typer.Option(help="30d, 12h, 2026-11-01 or Unix seconds; since the last time if left out."),
    ] = None,
) -> None:
    """Take in the events that never arrived. Stripe keeps them for 30 days."""
    start = _since(since) if since is not None else None

    async def run(service: Service) -> int:
        assert service.catch_up is not None
        with _progress() as progress:
            task = progress.add_task("listing", total=None)

            def told(listed: int, missing: int) -> None:
                progress.update(task, description=f"{listed} events listed, {missing} were missing")

            found = await service.catch_up.run(start, told)
        if found is None:
            typer.echo(BUSY)
            return 1
        typer.echo(f"{found.listed} events listed, {found.missing} were missing and are taken in.")
        return 0

    raise typer.Exit(_with_stripe(run))


def reconcile(
    repair: Annotated[bool, typer.Option("--repair", help="Make the records what Stripe says.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Compare every subscription and customer with Stripe's; exit code 1 when any differs.

    With --repair also the first import, for a team that already has subscribers.
    """

    async def run(service: Service) -> int:
        assert service.reconcile is not None
        began = time.monotonic()
        with _progress() as progress:
            task = progress.add_task("comparing", total=None)

            def told(kind: str, compared: int, differing: int) -> None:
                rate = compared / (time.monotonic() - began)
                progress.update(task, description=f"{compared} compared ({rate:.0f}/s), {differing} differ")

            report = await service.reconcile.run(repair=repair, told=told)
        if report is None:
            typer.echo(BUSY)
            return 1
        if as_json:
            typer.echo(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2).decode())
        else:
            _show(report, repair, report.compared / (time.monotonic() - began))
        return 1 if report.differing > report.repaired else 0

    raise typer.Exit(_with_stripe(run))


def _show(report: Report, repair: bool, rate: float) -> None:
    if report.differences:
        table = Table("kind", "id", "column", "here", "at Stripe")
        for each in report.differences:
            table.add_row(each.kind, each.id, each.column, str(each.here), str(each.at_stripe))
        Console(width=None if sys.stdout.isatty() else 160).print(table)
    verb = f"{report.repaired} repaired" if repair else "nothing was changed; --repair makes them alike"
    typer.echo(f"{report.compared} compared ({rate:.0f}/s), {report.differing} differ, {verb}.")
    for object_id in report.not_repaired:
        typer.echo(
            f"  not repaired: {object_id}: Stripe has no such object in this mode, or it keeps changing"
        )


def _with_stripe(work: Callable[[Service], Awaitable[int]]) -> int:
    """Run with a service that takes events in, and nothing else; the exit code."""

    async def run() -> int:
        handlers.connect()
        service = make_service(load_settings(), time.time)
        required(service.stripe)
        async with service.taking_in():
            return await work(service)

    try:
        return asyncio.run(run())
    except ServiceError as error:
        typer.secho(error.detail, err=True, fg=typer.colors.RED)
        return 1


def _progress() -> Progress:
    """On the terminal alone: what is piped gets only the result."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _since(text: str) -> int:
    """Unix seconds of `30d`, a date, or Unix seconds."""
    if match := re.fullmatch(r"(\d{1,5})([mhdw])", text):
        return int(time.time()) - int(match[1]) * UNITS[match[2]]
    if re.fullmatch(r"\d{1,11}", text):
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time: write 30d, 12h, 2026-11-01 or Unix seconds."
        ) from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
