"""What the commands share: how they reach the service, how they print, and what their exit codes mean.

0: fine. 1: something needs attention, or is not there. 2: used wrongly (typer's own code for that).
"""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import orjson
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from ..config import load_settings
from ..errors import ServiceError
from ..observability.logs import configure_logging
from ..service import Service, make_service

T = TypeVar("T")

FINE: Final = 0
NEEDS_ATTENTION: Final = 1
PLAIN_WIDTH: Final = 140
"""Columns of output that goes to no terminal."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

COLOURS: Final = {
    "full": "green",
    "grace": "yellow",
    "none": "red",
    "processed": "green",
    "pending": "yellow",
    "failed": "yellow",
    "dead": "red",
}


def run(work: Callable[[Service], Awaitable[T]]) -> T:
    """Do the work with its own service, which serves nothing. An error is shown as one sentence."""
    configure_logging(logging.WARNING)
    try:
        service = make_service(load_settings(), time.time)
    except ServiceError as error:
        raise complaint(error.detail) from None
    try:
        return asyncio.run(_close_after(service, work))
    except ServiceError as error:
        raise complaint(error.detail) from None
    except Exception as error:
        if not service.database.lies_under(error):
            raise
        raise complaint(service.database.why_unavailable(error)) from None


async def _close_after(service: Service, work: Callable[[Service], Awaitable[T]]) -> T:
    try:
        return await work(service)
    finally:
        await service.close()


def complaint(problem: str) -> typer.Exit:
    """Say it on standard error; raise what this gives."""
    typer.secho(plain(problem), err=True, fg=typer.colors.RED)
    return typer.Exit(NEEDS_ATTENTION)


def print_json(value: Any) -> None:
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    typer.echo(orjson.dumps(value, default=_json_of, option=options).decode())


def _json_of(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if hasattr(value, "items"):  # a read-only mapping
        return dict(value)
    raise TypeError(type(value).__name__)


def console() -> Console:
    """Prints what it is given and reads no markup in it: much of it was typed by strangers."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """`>` before a column's name puts it to the right."""
    made = Table(title=Text(title, "bold"), title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.startswith(">") else "left"
        made.add_column(column.removeprefix(">"), justify=justify, overflow="fold")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return made


def facts(rows: Iterable[tuple[str, object]]) -> Table:
    """Names and values, one a line."""
    made = Table.grid(padding=(0, 2, 0, 0))
    for name, value in rows:
        made.add_row(Text(name, "dim"), _cell(value))
    return made


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    text = "–" if value is None or value == "" else plain(str(value))
    return Text(text, COLOURS.get(text, ""))


def plain(text: str) -> str:
    """Without what would move a terminal's cursor, colour it, or turn the reading direction around."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}" for char in text)


def moment(seconds: int | None) -> str:
    """Unix seconds as a time in UTC."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def progress(*, quiet: bool = False, endless: bool = False) -> Progress:
    """A bar on standard error, in a terminal alone: what reads the output must not find it there.

    `endless`: nobody knows how much there is, so the description says how far it is.
    """
    end: tuple[ProgressColumn, ...] = (TimeElapsedColumn(),) if endless else (MofNCompleteColumn(),)
    columns = (TextColumn("{task.description}"), BarColumn(), *end)
    return Progress(*columns, console=Console(stderr=True), disable=quiet or not sys.stderr.isatty())


def stopped_by_signal() -> asyncio.Event:
    """An event that is set once somebody wants us to end."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped
