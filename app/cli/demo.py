"""`make demo`: starts a server, sends it simulated events with faults, and shows the records."""

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from .. import ROOT
from ..config import SHIPPED_PLANS
from ..errors import ConfigurationError
from ..simulator import Faults, Report, simulate
from .demo_story import play_story

START_TIMEOUT_SECONDS = 180
SEED = 2030
PROJECT = ROOT.parent
EXAMPLE = "examples.main:app"
"""The example application with the service installed in it."""

Json = dict[str, Any]


def run_demo(console: Console) -> bool:
    """Play the demo; return whether the records equal the simulator's in the end.

    Raises:
        ConfigurationError: outside a checkout of the repository, whose example application the demo serves.
    """
    if not (PROJECT / "examples" / "main.py").is_file():
        raise ConfigurationError(
            "The demo serves the repository's example application: run `make demo` in a checkout of it."
        )
    with tempfile.TemporaryDirectory(prefix="billing-demo-") as folder, _server(Path(folder)) as server:
        url, key, secret = server
        console.print(f"The demo runs its own server on SQLite: [bold]{url}[/]")
        console.print("It gets signed events of Stripe's, out of order, and some of them twice.\n")
        faults = Faults(duplicates=0.3, reorder=True, delayed=0.2)
        report = asyncio.run(simulate(f"{url}/webhook/stripe", secret, seed=SEED, faults=faults))
        with httpx.Client(base_url=url, headers={"X-API-Key": key}, trust_env=False) as client:
            users = sorted(customer["user_id"] for customer in report.truth["customers"].values())
            records = [client.get(f"/internal/users/{user}").json() for user in users]
            stored = sum(1 for _ in _all_events(client))
        console.print(_records_table(records))
        console.print(_deliveries_table(report, stored))
        wrong = list(_differences(report, records))
        for difference in wrong:
            console.print(f"[red]{difference}[/]")
        story_is_right = play_story(console, url, secret)
        right = story_is_right and not wrong and stored == report.events and not report.refused
        console.print(
            "[green]The records equal Stripe's.[/]" if right else "[red]The records differ from Stripe's.[/]"
        )
        return right


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, str, str]]:
    """A running server with secrets of its own: its address, API key and signing secret."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    key, secret = secrets.token_urlsafe(32), f"whsec_{secrets.token_hex(24)}"
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{folder / 'demo.db'}",
        "STRIPE_WEBHOOK_SECRET": secret,
        "INTERNAL_API_KEY": key,
        "LIVEMODE": "false",
        "PLANS_FILE": str(SHIPPED_PLANS),
    }
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", EXAMPLE, "--port", str(port), "--no-access-log"],
            env=environment,
            cwd=PROJECT,
            stdout=output,
            stderr=output,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process, log)
        yield url, key, secret
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"The server did not start:\n{log.read_text()}")


def _all_events(client: httpx.Client) -> Iterator[Json]:
    params: dict[str, str | int] = {"limit": 100}
    while True:
        page = client.get("/internal/events", params=params).json()
        yield from page["data"]
        if page["next_cursor"] is None:
            return
        params["cursor"] = page["next_cursor"]


def _records_table(records: list[Json]) -> Table:
    table = Table(title="The records", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for column in ("user", "plan", "seats", "status", "access", "expiry"):
        table.add_column(column, justify="right" if column == "seats" else "left", no_wrap=True)
    colours = {"full": "green", "grace": "yellow", "none": "red"}
    for record in records:
        for entry in record["subscriptions"]:
            access = entry["access"]
            table.add_row(
                record["user_id"],
                entry["plan_id"],
                str(entry["quantity"]),
                entry["status"],
                f"[{colours[access]}]{access}[/]",
                datetime.fromtimestamp(entry["expiry_date"], UTC).strftime("%Y-%m-%d"),
            )
    return table


def _deliveries_table(report: Report, stored: int) -> Table:
    table = Table(title="The deliveries", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    counts = {
        "sent": report.sent,
        "stored": stored,
        "processed": report.by_status["processed"],
        "ignored": report.by_status["ignored"],
        "duplicate": report.by_status["duplicate"],
        "deferred": report.by_status["deferred"],
        "refused": len(report.refused),
    }
    for name in counts:
        table.add_column(name, justify="right")
    table.add_row(*(str(count) for count in counts.values()))
    return table


def _differences(report: Report, records: list[Json]) -> Iterator[str]:
    """Where the records that the API shows differ from the simulator's truth."""
    shown = {
        "subscriptions": {s["subscription_id"]: s for record in records for s in record["subscriptions"]},
        "invoices": {i["invoice_id"]: i for record in records for i in record["invoices"]},
        "customers": {
            c["customer_id"]: c | {"user_id": record["user_id"]}
            for record in records
            for c in record["customers"]
        },
    }
    for kind, expected in report.truth.items():
        if shown[kind].keys() != expected.keys():
            yield f"{kind}: {len(shown[kind])} records instead of {len(expected)}"
        for id, values in expected.items():
            found = shown[kind].get(id, {})
            wrong = {name: found.get(name) for name, value in values.items() if found.get(name) != value}
            if wrong:
                yield f"{id}: {json.dumps(wrong)} instead of {json.dumps({n: values[n] for n in wrong})}"
