"""The commands, run as a user runs them."""

import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from app.simulator.api import API_KEY

from .. import ROOT
from ..databases import free_port
from ..processes import Process, run
from ..waiting import LONGEST_SECONDS, wait_until


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return kept | {"PYTHONPATH": str(ROOT)}


def app(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "app", *arguments], cwd=cwd, env=environment() | settings)


def answers(url: str) -> bool:
    """Whether a server answers there, and with success."""
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.mark.long
def test_the_demo_ends_by_itself_with_the_records_equal_to_the_truth(tmp_path: Path) -> None:
    result = app("demo", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "The records equal Stripe's." in result.stdout
    assert re.search(r"\b1 event\b", result.stdout)
    assert "1 events" not in result.stdout
    assert re.search(r"user_failed_payment +price_team .* past_due +grace", result.stdout)


@pytest.mark.long
def test_run_writes_its_env_once_and_the_simulator_reaches_it(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "app", "run", "--port", str(port)]
    server = Process(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        url = f"http://127.0.0.1:{port}/webhook/stripe"
        sent = app("simulate", "--url", url, "--scenario", "seats", "--duplicates", "1", cwd=tmp_path)
        assert sent.returncode == 0, sent.stderr
        assert "user_seats: active" in sent.stdout
        refused = app("simulate", "--url", url, "--secret", "whsec_test_other", cwd=tmp_path)
        assert refused.returncode == 1
        assert "STRIPE_WEBHOOK_SECRET" in refused.stderr
    finally:
        server.send_signal(signal.SIGINT)
        output, _ = server.communicate(timeout=LONGEST_SECONDS)
    assert "stripe listen --forward-to" in output
    assert f"  {sys.executable} -m app simulate --scenario sign_up --url {url}\n" in output
    written = tmp_path / ".env"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert (tmp_path / "var" / "app.db").exists()


@pytest.mark.long
def test_dead_events_are_replayed_and_worked_on_from_the_shell(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "app.db")
    settings = {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'app.db'}",
        "STRIPE_WEBHOOK_SECRET": "whsec_test_secret_a_0001",
        "INTERNAL_API_KEY": "test-key-of-the-internal-api-a",
    }
    assert app("migrate", cwd=tmp_path, **settings).returncode == 0
    customer = {"id": "cus_1", "object": "customer", "email": "ada@example.com"}
    body = {"id": "evt_1", "type": "customer.created", "created": 1, "data": {"object": customer}}
    columns = "(id, type, source, body, received_at, state, attempts)"
    with database:
        row = ("evt_1", "customer.created", "stripe", json.dumps(body), 1, "dead", 9)
        database.execute(f"INSERT INTO billing_event {columns} VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    replayed = app("events", "replay", "--state", "dead", cwd=tmp_path, **settings)
    assert replayed.stdout == "1 event due now.\n"
    command = [sys.executable, "-m", "app", "worker"]
    worker = Process(command, cwd=tmp_path, env=environment() | settings, stderr=subprocess.DEVNULL)
    try:
        state = "SELECT state FROM billing_event"
        wait_until(lambda: database.execute(state).fetchone() == ("processed",))
    finally:
        worker.send_signal(signal.SIGTERM)
        code = worker.wait(timeout=LONGEST_SECONDS)
    assert code == 0
    assert database.execute("SELECT email FROM billing_customer").fetchone() == ("ada@example.com",)
    database.close()


def test_simulate_serves_stripes_api_of_its_account_and_sends_what_happens_there(tmp_path: Path) -> None:
    port, received = free_port(), []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name is the library's
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["type"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    webhook = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=webhook.serve_forever, daemon=True).start()
    arguments = ["--url", f"http://127.0.0.1:{webhook.server_port}/", "--secret", "whsec_test_x"]
    arguments += ["--scenario", "sign_up", "--api-port", str(port)]
    command = [sys.executable, "-m", "app", "simulate", *arguments]
    simulator = Process(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert simulator.stdout is not None
        while "Ctrl-C ends it" not in (line := simulator.stdout.readline()):
            assert line, simulator.communicate()
        assert "customer.subscription.created" in received
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=(API_KEY, ""), trust_env=False) as client:
            (subscription,) = client.get("/v1/subscriptions").json()["data"]
            assert subscription["status"] == "active"
            client.delete(f"/v1/subscriptions/{subscription['id']}").raise_for_status()
            wait_until(lambda: "customer.subscription.deleted" in received)
            # The receiver has it before the simulator has read the answer and marks it as delivered.
            wait_until(lambda: client.get("/v1/events?delivery_success=false").json()["data"] == [])
        assert received[-1] == "customer.subscription.deleted"
    finally:
        simulator.send_signal(signal.SIGINT)
        _, errors = simulator.communicate(timeout=LONGEST_SECONDS)
        webhook.shutdown()
        webhook.server_close()
    assert (simulator.returncode, errors) == (0, "")


def test_simulate_says_what_is_wrong(tmp_path: Path) -> None:
    unknown = app("simulate", "--scenario", "nonsense", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "sign_up" in unknown.stderr
    nobody = app("simulate", "--secret", "whsec_test_x", "--url", "http://127.0.0.1:1/", cwd=tmp_path)
    assert nobody.returncode == 1
    assert "-m app run" in nobody.stderr
