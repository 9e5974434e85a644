"""The metrics of several worker processes."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config import SHIPPED_PLANS
from app.observability import metrics
from app.simulator import NEW, Account, event_body, sign
from app.simulator.api import API_KEY, ApiFaults, Traffic, serving_in_thread
from app.stripe.client import RESOURCES

from .. import ROOT
from ..cli.test_cli import answers
from ..client import AUTH, KEY, SECRET, running
from ..databases import free_port
from ..processes import Process
from ..waiting import LONGEST_SECONDS, until, wait_until
from .metrics_samples import samples, value


async def test_with_several_workers_each_brings_what_it_counted_in_memory_to_the_others_by_itself(
    sqlite_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def brought() -> float:
        (family,) = metrics.DECISIONS.labels("projects", "flushed_by_itself").collect()
        return family.samples[0].value

    monkeypatch.setenv(metrics.MULTIPROCESS_DIR, str(tmp_path))
    monkeypatch.setattr(metrics, "FLUSH_SECONDS", 0.01)
    async with running(sqlite_database):
        metrics.decision_tally("projects", "flushed_by_itself")[0] += 3
        await until(lambda: brought() == 3)
        metrics.decision_tally("projects", "flushed_by_itself")[0] += 1
    assert brought() == 4  # also the last ones, at the end


@contextmanager
def serving(folder: Path, url: str, workers: int, **changes: str) -> Iterator[str]:
    """`serve` as a process: its address."""
    port = free_port()
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), "--workers", str(workers)]
    settings = {
        "DATABASE_URL": url,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "INTERNAL_API_KEY": KEY,
        "PLANS_FILE": str(SHIPPED_PLANS),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(folder),
    } | changes
    with (folder / "log").open("wb") as log:
        server = Process[bytes](command, cwd=folder, env=settings, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=LONGEST_SECONDS)


def ready(address: str) -> None:
    wait_until(lambda: answers(f"{address}/readyz"))


def once(address: str, method: str, path: str, **options: Any) -> httpx.Response:
    """On a connection of its own, so that any of the workers may answer."""
    return httpx.request(method, f"{address}{path}", trust_env=False, timeout=LONGEST_SECONDS, **options)


@pytest.mark.long
def test_several_workers_add_up_and_leave_nothing_behind(postgres_database: str, tmp_path: Path) -> None:
    account = Account(1, start=int(time.time()) - 60)
    for number in range(10):
        account.create_customer(user_id=f"user_{number}")
    with serving(tmp_path, postgres_database, workers=2) as address:
        ready(address)
        assert [path.name.startswith("billing-metrics-") for path in tmp_path.iterdir() if path.is_dir()]
        for number, event in enumerate(account.events):
            body = event_body(event, NEW)
            headers = {"Stripe-Signature": sign(body, SECRET, int(time.time()))}
            assert once(address, "POST", "/webhook/stripe", content=body, headers=headers).is_success
            path = f"/internal/users/user_{number}/usage/projects"
            assert once(address, "POST", path, json={"op": "check"}, headers=AUTH).is_success

        def add_up() -> bool:
            scrapes = [samples(once(address, "GET", "/metrics", headers=AUTH).text) for _ in range(8)]
            found = {
                (
                    value(each, "billing_webhook_answers_total", status="200", result="processed"),
                    value(each, "billing_limit_decisions_total", feature="projects", reason="ok"),
                    value(each, "billing_inbox_events", state="pending"),
                )
                for each in scrapes
            }
            return found == {(len(account.events), len(account.events), 0)}

        wait_until(add_up)
    assert [path for path in tmp_path.iterdir() if path.is_dir() and path.name != "var"] == []


@pytest.mark.long
def test_several_workers_add_up_what_they_asked_of_stripe(postgres_database: str, tmp_path: Path) -> None:
    account, faults, traffic = Account(1, start=int(time.time()) - 60), ApiFaults(), Traffic()
    with serving_in_thread(account, clock=time.time, faults=faults, traffic=traffic) as base:
        settings = {
            "STRIPE_API_KEY": API_KEY,
            "STRIPE_API_BASE": base,
            "ALLOWED_RETURN_ORIGINS": "https://app.example.com",
            "CATCH_UP_MINUTES": "0",
        }
        with serving(tmp_path, postgres_database, workers=2, **settings) as address:
            ready(address)
            faults.next("rate_limit", 2, seconds=0)
            home = "https://app.example.com/billing"
            for number in range(10):
                order = {"user_id": f"user_{number}", "plan": "team", "success_url": home, "cancel_url": home}
                path = "/internal/checkout-sessions"
                assert once(address, "POST", path, json=order, headers=AUTH).is_success
            scrapes = [samples(once(address, "GET", "/metrics", headers=AUTH).text) for _ in range(8)]
    name = "billing_stripe_requests_total"
    asked = sum(traffic.by_route.values())
    assert asked >= 22
    for each in scrapes:
        assert sum(count for (metric, _), count in each.items() if metric == name) == asked
        assert sum(value(each, name, resource=one, status="429") for one in RESOURCES) == 2
        assert value(each, name, resource="checkout/sessions", status="200") == 10
        assert value(each, "billing_stripe_request_seconds_count") == asked
