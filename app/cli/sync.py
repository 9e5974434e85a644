"""`catch-up` and `reconcile`: what never arrived, and what differs from Stripe."""

import re
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from ..formatting import counted
from ..service import Service
from ..stripe.client import required
from ..sync.catch_up import Cursor
from ..sync.leases import LEASE_SECONDS
from ..sync.reconcile import Report
from .output import FINE, NEEDS_ATTENTION, Json, complaint, console, print_json, progress, run, table

UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
BUSY = (
    f"Another process is doing it now, or was killed while it did, less than {LEASE_SECONDS} s ago; "
    "what is left goes on from there."
)


def catch_up(
    since: Annotated[
        str | None,
        typer.Option(help="30d, 12h, 2026-11-01 or Unix seconds; since the last time if left out."),
    ] = None,
) -> None:
    """Take in the events that never arrived. Stripe keeps them for 30 days."""
    start = _seconds(since) if since is not None else None
    found = run(lambda service: _catch_up(service, start))
    if found is None:
        raise complaint(BUSY)
    typer.echo(f"{counted(found.listed, 'event')} listed; missing, and applied now: {found.missing}.")


async def _catch_up(service: Service, since: int | None) -> Cursor | None:
    required(service.stripe)
    assert service.catch_up is not None
    async with service.taking_in():
        with progress(endless=True) as bar:
            task = bar.add_task("Listing", total=None)
            return await service.catch_up.run(
                since,
                lambda listed, missing: bar.update(
                    task, description=f"{counted(listed, 'event')} listed; missing: {missing}"
                ),
            )


def reconcile(
    repair: Annotated[bool, typer.Option("--repair", help="Make the records what Stripe says.")] = False,
    json: Json = False,
) -> None:
    """Compare every subscription and customer with Stripe's; exit code 1 when any differs.

    With --repair also the first import, for a team that already has subscribers.
    """
    began = time.monotonic()
    report = run(lambda service: _reconcile(service, repair=repair, quiet=json))
    if report is None:
        raise complaint(BUSY)
    if json:
        print_json(report.as_json())
    else:
        _print(report, repair, report.compared / (time.monotonic() - began))
    raise typer.Exit(NEEDS_ATTENTION if report.differing > report.repaired else FINE)


async def _reconcile(service: Service, *, repair: bool, quiet: bool) -> Report | None:
    required(service.stripe)
    assert service.reconcile is not None
    async with service.taking_in():
        with progress(quiet=quiet, endless=True) as bar:
            task = bar.add_task("Comparing", total=None)
            return await service.reconcile.run(
                repair=repair,
                on_progress=lambda kind, compared, differing: bar.update(
                    task, description=f"{kind}s: {compared} compared, {differing} differ"
                ),
            )


def _print(report: Report, repair: bool, rate: float) -> None:
    if report.differences:
        rows = [(each.kind, each.id, each.column, each.here, each.at_stripe) for each in report.differences]
        console().print(table("Differences", ("kind", "id", "column", "here", "at Stripe"), rows))
    done = (
        f", {report.repaired} repaired"
        if repair
        else ", nothing was changed; --repair applies Stripe's state"
    )
    if not report.differing:
        done = ""
    typer.echo(f"{report.compared} compared ({rate:.0f}/s), {report.differing} differ{done}.")
    for kind in report.not_compared:
        typer.echo(f"Of kind {kind} nothing was compared: the key of STRIPE_API_KEY may not read it.")
    for object_id in report.not_repaired:
        typer.echo(
            f"Not repaired: {object_id}. Stripe has no such object in this mode, or it keeps changing."
        )


def _seconds(text: str) -> int:
    """Unix seconds of `30d` ago, a date, or Unix seconds."""
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
