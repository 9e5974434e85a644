"""Writes the reference pages in `docs/reference/` from the code: `make reference`.

Settings and signals come from their docstrings, routes from the OpenAPI description, commands from their
help, metrics and reasons from their tables. A test compares the pages with what this module would write.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import click
import typer
from fastapi import FastAPI
from prometheus_client import Counter, Histogram
from pydantic.fields import FieldInfo

from app import ROOT as PACKAGE
from app import signals
from app.api import health
from app.api import metrics as metrics_route
from app.api import router as internal
from app.cli import cli
from app.config import SHIPPED_PLANS, Settings, settings
from app.entitlements.access import Act
from app.entitlements.decisions import REASONS
from app.inbox.handlers import HANDLERS
from app.observability import metrics
from app.reactions.notifications import TEMPLATES

FOLDER = PACKAGE.parent / "docs" / "reference"
ACTS: dict[Act, str] = {
    "pay": "An invoice is open. Send the user to `pay_url`.",
    "update_payment_method": (
        "A payment failed and no invoice is open, or a trial ended without a payment method. "
        "Open the billing portal."
    ),
    "resume": "The subscription is paused for another cause. Resume it.",
}


INTRODUCTIONS = {
    "settings": """\
Settings are read from the environment, or from a file `.env` in the working directory. A missing or wrong
setting stops the start. The message names the variable and what to set.
""",
    "routes": """\
Every route of the internal API needs a key: `X-API-Key: <key>`, `Authorization: X-API-Key <key>` or
`Authorization: X-API-Key: <key>`. `/metrics` needs one too. `/healthz`, `/readyz` and the webhook do not.

Errors are problem+json (RFC 9457). Times are Unix seconds or null. Amounts are in the currency's minor
unit. Lists are `{"data": […], "next_cursor": …}` and take `limit` and `cursor`. With `API_DOCS=true` the
service shows schemas and examples at `/docs`. [The internal API](../internal-api.md) has requests to copy.
""",
    "commands": """\
`python -m app` in the repository, `subscription-service` where the wheel is installed. Run a command in
the folder of your `.env`, or with the environment of the server. Exit codes: 0 is fine, 1 means that
something needs attention or does not exist, 2 means wrong usage.
""",
    "events": """\
Each of these types has a handler. Each is also a blinker signal of that name (`app.signals.event_signal`),
sent inside the transaction. Other types are stored and ignored.
""",
    "signals": """\
Domain signals are sent after the commit, each with a `Reaction`. [Reactions](../reactions.md) says how to
connect a receiver. Those marked *yes* become messages to people where `NOTIFY_URLS` is set.
""",
    "reasons": """\
The `reason` of a decision. A denial is answered with 403, with 402 for `payment_required`, and with 429
and `Retry-After` where the feature resets.
""",
    "metrics": """\
`GET /metrics` serves these to Prometheus. [Operations](../operations.md#metrics) says how to read them.
""",
}


def pages() -> dict[str, str]:
    """The text of each page, by its file name."""
    return {
        "settings.md": _page("Settings", "app/config/settings.py", _settings()),
        "routes.md": _page("Routes", "the OpenAPI description", _routes()),
        "commands.md": _page("Commands", "app/cli/", _commands()),
        "events.md": _page("Events", "app/inbox/handlers/", _events()),
        "signals.md": _page("Signals", "app/signals.py", _signals()),
        "reasons.md": _page("Reasons", "app/entitlements/decisions.py", _reasons()),
        "metrics.md": _page("Metrics", "app/observability/metrics.py", _metrics()),
    }


def _page(title: str, source: str, lines: Iterable[str]) -> str:
    head = [f"<!-- Generated from {source} by `make reference`. Change the code, not this page. -->", ""]
    return "\n".join([*head, f"# {title}", "", *lines]).rstrip("\n") + "\n"


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{' --- |' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _one_line(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").strip()


def docstrings(module: ModuleType) -> dict[str, str]:
    """The docstring under each assignment of a module and of its classes, on one line, by the name."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    found: dict[str, str] = {}
    bodies = [tree.body, *(each.body for each in tree.body if isinstance(each, ast.ClassDef))]
    for body in bodies:
        for statement, following in pairwise(body):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else None
            target = statement.target if isinstance(statement, ast.AnnAssign) else target
            if not isinstance(target, ast.Name) or not isinstance(following, ast.Expr):
                continue
            if isinstance(following.value, ast.Constant) and isinstance(following.value.value, str):
                found[target.id] = _one_line(following.value.value)
    return found


def _settings() -> Iterator[str]:
    yield INTRODUCTIONS["settings"]
    told = docstrings(settings)
    rows = (
        (f"`{name.upper()}`", _default(field), told[name]) for name, field in Settings.model_fields.items()
    )
    yield from _table(("variable", "default", "meaning"), rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value == SHIPPED_PLANS:
        return "the shipped `plans.toml`"
    if value is None or not str(value) or value == ():
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{', '.join(value) if isinstance(value, tuple) else value}`"


def _routes() -> Iterator[str]:
    yield INTRODUCTIONS["routes"]
    yield from _table(("route", "what it does"), _route_rows())


def _route_rows() -> Iterator[tuple[str, ...]]:
    yield "`POST /webhook/stripe`", "Takes an event from Stripe. [The answers](../stripe.md#the-webhook)."
    description = FastAPI()
    for router in (internal, health.router, metrics_route.router):
        description.include_router(router)
    for path, operations in description.openapi()["paths"].items():
        for method, operation in operations.items():
            yield f"`{method.upper()} {path}`", _one_line(operation["description"])


def _commands() -> Iterator[str]:
    yield INTRODUCTIONS["commands"]
    for name, command in _walk(typer.main.get_command(cli), "python -m app"):
        yield ""
        yield f"## `{name}`"
        yield ""
        yield from (_one_line(part) + "\n" for part in (command.help or "").split("\n\n"))
        rows = list(_parameters(command))
        if rows:
            yield from _table(("option", "default", "meaning"), rows)


def _walk(command: Any, path: str) -> Iterator[tuple[str, click.Command]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name in children:
        yield from _walk(children[name], f"{path} {name}")


def _parameters(command: click.Command) -> Iterator[tuple[str, ...]]:
    for each in command.params:
        name = each.opts[0] if each.param_type_name == "option" else each.opts[0].upper()
        default = "" if each.default in (None, False) else f"`{each.default}`"
        yield f"`{name}`", default, _one_line(getattr(each, "help", ""))


def _events() -> Iterator[str]:
    yield INTRODUCTIONS["events"]
    types: dict[Any, list[str]] = {}
    for event_type, handler in HANDLERS.items():
        types.setdefault(handler, []).append(f"`{event_type}`")
    rows = (
        (", ".join(names), _one_line((handler.__doc__ or "").split("\n\n")[0]))
        for handler, names in types.items()
    )
    yield from _table(("event types", "what the handler does"), rows)


def _signals() -> Iterator[str]:
    yield INTRODUCTIONS["signals"]
    told = docstrings(signals)
    rows = ((f"`{name}`", told[name], "yes" if name in TEMPLATES else "") for name in signals.reactions)
    yield from _table(("signal", "when", "message"), rows)


def _reasons() -> Iterator[str]:
    yield INTRODUCTIONS["reasons"]
    yield from _table(("reason", "allowed", "meaning"), _reason_rows())
    yield ""
    yield "For `payment_required` and `paused` the decision also has an `act`: what the user can do."
    yield ""
    yield from _table(("act", "when, and what to do"), ((f"`{name}`", ACTS[name]) for name in get_args(Act)))


def _reason_rows() -> Iterator[tuple[str, ...]]:
    for name, text in REASONS.items():
        yield f"`{name}`", "yes" if name.startswith("ok") else "no", text


def _metrics() -> Iterator[str]:
    yield INTRODUCTIONS["metrics"]
    yield from _table(("metric", "type", "labels", "meaning"), sorted(_metric_rows()))


def _metric_rows() -> Iterator[tuple[str, ...]]:
    for each in vars(metrics).values():
        if isinstance(each, Counter | Histogram):
            (family,) = each.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(f"`{label}`" for label in each._labelnames)
            yield f"`{name}`", family.type, labels, family.documentation
    for name, (text, labelnames) in metrics.GAUGES.items():
        yield f"`{name}`", "gauge", ", ".join(f"`{label}`" for label in labelnames), text


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
    sys.stdout.write(f"Wrote {len(pages())} pages into {FOLDER}.\n")


if __name__ == "__main__":
    main()
