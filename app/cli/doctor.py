"""`doctor`: every known mistake of an installation, with its remedy."""

import asyncio
import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from ..config import examine_settings
from ..doctor import Level, Report, diagnose
from ..observability.logs import configure_logging
from .output import FINE, NEEDS_ATTENTION, Json, console, print_json, table

LEVELS: dict[Level, str] = {"error": "red", "warning": "yellow", "hint": "cyan", "ok": "green"}
"""The worst first, with their colours."""


def doctor(
    url: Annotated[
        str | None, typer.Option(help="The webhook's address; without it, endpoints on any host will do.")
    ] = None,
    json: Json = False,
) -> None:
    """Check the installation for every known mistake, and name the remedy. Exit code 1 on an error."""
    configure_logging()
    settings, problems = examine_settings()
    report = asyncio.run(diagnose(settings, problems, clock=time.time, url=url))
    if json:
        print_json(report.as_json())
    else:
        console().print(table("Findings", ("level", "check", "what", "remedy"), _rows(report)))
        levels = [finding.level for _, finding in report.findings]
        counts = [f"{levels.count(level)} {level}" for level in LEVELS]
        typer.echo(", ".join([*counts, f"{len(report.skipped)} skipped"]))
    raise typer.Exit(FINE if report.ok else NEEDS_ATTENTION)


def _rows(report: Report) -> Iterator[tuple[object, ...]]:
    for name, finding in report.findings:
        yield Text(finding.level, LEVELS[finding.level]), name, finding.what, finding.remedy
    for skipped in report.skipped:
        yield Text("skipped", "dim"), skipped.check, skipped.why, ""
