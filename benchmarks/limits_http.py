"""What a check and a consume cost over HTTP, beside a route of the same application that does nothing.

Part of `make bench-limits`. One client sends one request after the other on one connection, in turns with the
route that does nothing; of interest are the medians, and the difference between them.
"""

import http.client
import json
import statistics
import time
from pathlib import Path

from fastapi import FastAPI
from rich.console import Console
from rich.table import Table

from app.main import create_app

from .servers import ROOT, Server
from .workload import SECRET

ROUNDS = 7
REQUESTS = 100
KEY = "benchmark-key-of-the-internal-api"
USAGE = "/internal/users/ada/usage"
ASKED = {
    "no-op": ("/no-op", {}),
    "check": (f"{USAGE}/projects", {"op": "check"}),
    "consume": (f"{USAGE}/api_calls", {"op": "consume"}),
    "consume two features": (USAGE, {"op": "consume", "amounts": {"api_calls": 1, "storage_bytes": 1}}),
}


def make_app() -> FastAPI:
    """The service with a route that does nothing."""
    app = create_app()

    @app.post("/no-op")
    async def do_nothing() -> dict[str, bool]:
        return {"allowed": True}

    return app


def serve(name: str, url: str, folder: Path) -> Server:
    environment = {
        "DATABASE_URL": url,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "INTERNAL_API_KEY": KEY,
        "SPOOL_DIR": str(folder / "spool"),
        "PLANS_FILE": str(ROOT / "plans.toml"),
    }
    command = ["uvicorn", "--factory", "benchmarks.limits_http:make_app", "--port", "{port}"]
    return Server(name, url, [*command, "--log-level", "warning"], folder, environment)


def milliseconds(connection: http.client.HTTPConnection, path: str, body: object) -> list[float]:
    """How long each request took."""
    content, headers = json.dumps(body), {"X-API-Key": KEY, "Content-Type": "application/json"}
    took = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        connection.request("POST", path, content, headers)
        response = connection.getresponse()
        answer = response.read()
        took.append((time.perf_counter() - began) * 1000)
        assert response.status == 200, answer
    return took


def measure(name: str, url: str, folder: Path, console: Console) -> None:
    """`url`: a migrated database. The user is given a limit that the requests never reach."""
    server = serve(name, url, folder)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        override = json.dumps(
            {"op": "set", "value": "unlimited", "reason": "benchmark", "actor": "benchmark"}
        )
        headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
        for feature in ("projects", "api_calls", "storage_bytes"):
            connection.request("PUT", f"/internal/users/ada/overrides/{feature}", override, headers)
            answer = connection.getresponse()
            assert answer.read() and answer.status == 200, answer.status
        took: dict[str, list[float]] = {what: [] for what in ASKED}
        for _ in range(ROUNDS):
            for what, (path, body) in ASKED.items():
                took[what] += milliseconds(connection, path, body)
        connection.close()
    finally:
        server.stop()
    report(f"Limits over HTTP on {name}", took, console)


def report(title: str, took: dict[str, list[float]], console: Console) -> None:
    table = Table(title=title, title_justify="left")
    for column in ("request", "median, ms", "p99, ms", "more than the no-op, ms"):
        table.add_column(column, justify="left" if column == "request" else "right")
    base = statistics.median(took["no-op"])
    for what, each in took.items():
        middle, late = statistics.median(each), statistics.quantiles(each, n=100)[98]
        table.add_row(what, f"{middle:.2f}", f"{late:.2f}", f"{middle - base:.2f}")
    console.print(table)
