"""What `/metrics` tells, and that it is right: with several workers, and with the database down."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import httpx
import orjson
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from app import limits
from app.config import SHIPPED_PLANS
from app.db import open_database
from app.db.base import COUNT_UP
from app.db.postgres import PostgresDatabase
from app.errors import InvalidPayload, InvalidSignature, PayloadTooLarge, Unavailable
from app.inbox.outcome import Status
from app.observability import metrics
from app.operations import backlog
from app.operations.backlog import read_backlog
from app.simulator import NEW, Account, event_body, sign
from app.simulator.api import API_KEY, ApiFaults, Traffic, serving_in_thread
from app.stripe.client import RESOURCES
from app.worker.worker import Worker

from .. import ROOT
from ..cli.test_cli import answers
from ..client import AUTH, KEY, SECRET, Client, running
from ..databases import free_port
from ..limits.test_limits import Clock
from ..processes import Process
from ..waiting import LONGEST_SECONDS, until, wait_until
from ..worker.test_worker import broken, signed_up

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(
    database_url: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    # Neither takes events nor empties the cache beside a test.
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    monkeypatch.setattr(PostgresDatabase, "listen", lambda database, changed: asyncio.sleep(0))
    async with running(database_url, clock=clock, spool_dir=tmp_path / "spool") as client:
        yield client


def samples(exposition: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


async def scrape(client: Client) -> Samples:
    response = await client.get("/metrics")
    assert response.status_code == 200, response.text
    return samples(response.text)


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, tuple(sorted(labels.items()))), 0)


class Grown:
    """By how much each number has grown since this was made: the counters belong to the whole process."""

    def __init__(self, before: Samples, after: Samples) -> None:
        self._before, self._after = before, after

    def __call__(self, name: str, **labels: str) -> float:
        return value(self._after, name, **labels) - value(self._before, name, **labels)


async def test_events_are_counted_by_answer_batch_and_lag(client: Client, clock: Clock) -> None:
    before = await scrape(client)
    account = signed_up()
    statuses = await client.deliver(*account.events)
    applied = [event for event, status in zip(account.events, statuses, strict=True) if status == "processed"]
    count = len(applied)
    assert count == len(account.events)
    ignored = orjson.loads(event_body(account.events[0], NEW)) | {"id": "evt_ignored", "type": "payout.paid"}
    assert await client.send(ignored) == "ignored"
    await client.deliver(account.events[0])
    assert (await client.post_signed(b"{}", secret="whsec_test_wrong")).status_code == 400
    grown = Grown(before, await scrape(client))
    assert grown("billing_webhook_answers_total", status="200", result="processed") == count
    assert grown("billing_webhook_answers_total", status="200", result="duplicate") == 1
    assert grown("billing_webhook_answers_total", status="400", result="invalid_signature") == 1
    assert grown("billing_batch_events_sum") == len(account.events) + 2
    assert grown("billing_batch_seconds_count") == grown("billing_batch_events_count") > 0
    assert grown("billing_events_total", state="processed") == count
    assert grown("billing_event_lag_seconds_count") == count
    assert grown("billing_event_lag_seconds_sum") == sum(clock() - each.created for each in applied)


async def test_what_is_not_settled_is_told_with_its_age(client: Client, clock: Clock) -> None:
    account = signed_up()
    with broken():
        before = await scrape(client)
        await client.deliver(*account.events)
        clock.now += 6
        assert await client.app.state.billing.worker.retry_due() == 1
        clock.now += 100
        failed = await scrape(client)
    assert value(failed, "billing_inbox_events", state="failed") == 1
    assert value(failed, "billing_inbox_events", state="dead") == 0
    assert value(failed, "billing_inbox_oldest_seconds", state="failed") == 106
    assert value(failed, "billing_inbox_oldest_seconds", state="dead") == 0
    assert Grown(before, failed)("billing_event_retries_total", state="failed") == 1
    for _ in range(2):  # no event is given up before its fourth attempt, however far the clock jumps
        clock.now += 4 * 86_400
        with broken():
            assert await client.app.state.billing.worker.retry_due() == 1
    dead = await scrape(client)
    assert value(dead, "billing_inbox_events", state="dead") == 1
    assert Grown(failed, dead)("billing_events_total", state="dead") == 1


async def test_the_outbox_and_what_needs_a_refresh_are_told(client: Client, clock: Clock) -> None:
    database = client.app.state.billing.database
    columns = "(id, signal, receiver, reaction, created_at, state, attempts, next_attempt_at)"
    async with database.session() as session:
        connection = await session.connection()
        for id, state, age in (
            ("a", "pending", 30),
            ("b", "pending", 90),
            ("c", "dead", 500),
            ("d", "done", 1),
        ):
            row = {"id": id, "state": state, "at": int(clock()) - age}
            values = "(:id, 'plan_changed', 'mail', '{}', :at, :state, 0, 0)"
            await connection.execute(text(f"INSERT INTO billing_outbox {columns} VALUES {values}"), row)
    await client.deliver(*signed_up().events)
    async with database.session() as session:
        await (await session.connection()).execute(
            text("UPDATE billing_subscription SET needs_refresh = true")
        )
    found = await scrape(client)
    assert value(found, "billing_outbox_entries", state="pending") == 2
    assert value(found, "billing_outbox_oldest_seconds", state="pending") == 90
    assert value(found, "billing_outbox_entries", state="dead") == 1
    assert value(found, "billing_outbox_oldest_seconds", state="dead") == 500
    assert value(found, "billing_needs_refresh", kind="subscription") == 1
    assert value(found, "billing_needs_refresh", kind="customer") == 0


async def test_decisions_are_counted_by_feature_and_reason_each_once(client: Client) -> None:
    before = await scrape(client)
    entitlements = await limits.load("ada")
    for _ in range(3):
        assert entitlements.allows("projects")
        assert not entitlements.allows("sso")
        assert not entitlements.check("projects", used=3)
    assert entitlements.check("projects", used=0)
    database = client.app.state.billing.database
    async with database.session() as session:
        await limits.consume(session, "ada", "projects")
        await limits.release(session, "ada", "projects")  # a release is no decision
    with pytest.raises(limits.LimitExceeded):
        async with database.session() as session:
            await limits.consume(session, "ada", "projects", 99)
    await client.read("/internal/users/ada/entitlements")  # shows, and lets nobody do anything
    grown = Grown(before, await scrape(client))
    assert grown("billing_limit_decisions_total", feature="projects", reason="ok") == 3 + 1 + 1
    assert grown("billing_limit_decisions_total", feature="projects", reason="limit_reached") == 3 + 1
    assert grown("billing_limit_decisions_total", feature="sso", reason="not_in_plan") == 3


async def test_the_cache_tells_its_hits_and_how_old_they_were(client: Client, clock: Clock) -> None:
    before = await scrape(client)
    await limits.load("ada")
    clock.now += 2
    await limits.load("ada")
    clock.now += 4
    await limits.load("ada")
    grown = Grown(before, await scrape(client))
    assert grown("billing_limit_cache_answers_total", result="miss") == 1
    assert grown("billing_limit_cache_answers_total", result="hit") == 2
    assert grown("billing_limit_cache_age_seconds_total") == 2 + 6


async def test_a_taking_that_finds_its_memory_outdated_is_counted(client: Client) -> None:
    service = client.app.state.billing
    await limits.load("ada")
    async with service.database.session() as session:  # another process gives her an override
        await (await session.connection()).execute(text(COUNT_UP), {"id": "ada"})
    before = await scrape(client)
    async with service.database.session() as session:
        await limits.consume(session, "ada", "projects")
    grown = Grown(before, await scrape(client))
    assert grown("billing_limit_cache_outdated_total") == 1
    assert grown("billing_limit_decisions_total", feature="projects", reason="ok") == 1


async def test_while_the_database_is_down_the_spool_is_told_and_its_content_is_left_out(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = client.app.state.billing.database
    before = await scrape(client)

    def down(*_: object) -> Any:
        raise ConnectionRefusedError

    monkeypatch.setattr(database, "batch", down)
    monkeypatch.setattr(database, "reading", down)
    monkeypatch.setattr(database, "is_unavailable", lambda error: True)
    assert await client.deliver(signed_up().events[0]) == ["deferred"]
    found = await scrape(client)
    assert value(found, "billing_database_up") == 0
    assert not any(name.startswith("billing_inbox") for name, _ in found)
    assert value(found, "billing_spool_files", kind="waiting") == 1
    assert value(found, "billing_spool_bytes") > 500
    grown = Grown(before, found)
    assert grown("billing_spooled_events_total") == 1
    assert grown("billing_batch_failures_total") == 1


async def test_who_can_take_no_event_is_counted_as_503(sqlite_database: str) -> None:
    async with running(sqlite_database, clock=Clock()) as client:
        before = await scrape(client)
        database = client.app.state.billing.database
        async with database.engine.begin() as connection:
            await connection.execute(text("DROP TABLE billing_event"))
        body = event_body(signed_up().events[0], NEW)
        assert (await client.post_signed(body)).status_code == 503
        grown = Grown(before, await scrape(client))
    assert grown("billing_webhook_answers_total", status="503", result="service_unavailable") == 1


def test_every_answer_that_an_alert_waits_for_is_there_at_0_from_the_start() -> None:
    code = "from app.observability.exposition import exposition; print(exposition('', {})[0].decode())"
    started = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )
    answers = {
        (dict(labels)["status"], dict(labels)["result"]): count
        for (name, labels), count in samples(started.stdout).items()
        if name == "billing_webhook_answers_total"
    }
    assert set(answers.values()) == {0}
    titles = [InvalidSignature, InvalidPayload, PayloadTooLarge, Unavailable]
    told = {(str(error.status), error.title.lower().replace(" ", "_")) for error in titles}
    told |= {("500", "internal_error")} | {("200", status) for status in get_args(Status)}
    assert answers.keys() == told


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-API-Key": "wrong"}, 401),
        ({"Authorization": f"Bearer {KEY}"}, 401),
        ({"X-API-Key": KEY}, 200),
        ({"Authorization": f"X-API-Key {KEY}"}, 200),
    ],
)
async def test_the_metrics_are_behind_the_key_as_prometheus_can_send_it(
    sqlite_database: str, headers: dict[str, str], status: int
) -> None:
    async with running(sqlite_database) as client:
        assert (await client.http.get("/metrics", headers=headers)).status_code == status


async def test_a_scraper_that_takes_openmetrics_gets_it(sqlite_database: str) -> None:
    async with running(sqlite_database) as client:
        accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
        response = await client.http.get("/metrics", headers=AUTH | accept)
    assert response.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.text.endswith("# EOF\n")


async def test_the_backlog_reads_only_indexes_of_what_is_not_settled(database_url: str) -> None:
    database = open_database(database_url)
    explain = "EXPLAIN QUERY PLAN" if database.name == "sqlite" else "EXPLAIN"
    async with database.session() as session:
        connection = await session.connection()
        if database.name == "postgresql":  # small tables are read whole otherwise
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
        for statement, indexes in (
            (backlog.COUNT_UNSETTLED_EVENTS, ["ix_billing_event_unsettled"]),
            (backlog.COUNT_UNSETTLED_OUTBOX, ["ix_billing_outbox_unsettled"]),
            (
                backlog.COUNT_NEEDS_REFRESH,
                ["ix_billing_subscription_needs_refresh", "ix_billing_customer_needs_refresh"],
            ),
        ):
            plan = str((await connection.execute(text(f"{explain} {statement.text}"))).all())
            assert [index for index in indexes if index not in plan] == [], plan
    assert (await read_backlog(database)).inbox["dead"].count == 0
    await database.close()


ALERTS = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
METRIC = re.compile(r"\bbilling_\w+")


async def told_names(url: str) -> set[str]:
    """The names of all metrics, whether or not anything was counted yet."""
    async with running(url) as client:
        families = text_string_to_metric_families((await client.get("/metrics")).text)
        suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
        return {family.name + suffix for family in families for suffix in suffixes[family.type]}


async def test_every_alert_names_only_metrics_that_exist_and_says_what_to_do(sqlite_database: str) -> None:
    names = await told_names(sqlite_database)
    assert len(RULES) >= 7
    for rule in RULES:
        used = set(METRIC.findall(rule["expr"]))
        assert used <= names, rule["alert"]
        assert used or "up{" in rule["expr"], rule["alert"]
        assert rule["annotations"].keys() >= {"summary", "remedy"}
        assert rule["labels"]["severity"] in ("page", "ticket")


async def test_the_alerts_filter_by_labels_that_the_metrics_have(sqlite_database: str) -> None:
    labels = {name: names for name, (_, names) in metrics.GAUGES.items()}
    labels |= {"billing_webhook_answers_total": ("status", "result")}
    labels |= {"billing_limit_decisions_total": ("feature", "reason")}
    labels |= {"billing_stripe_requests_total": ("resource", "status")}
    for rule in RULES:
        for name, filters in re.findall(r"\b(billing_\w+)\{([^}]*)\}", rule["expr"]):
            assert set(re.findall(r"(\w+)\s*[=!]", filters)) <= set(labels[name]), rule["alert"]


async def test_operations_tells_of_every_metric_and_every_alert(sqlite_database: str) -> None:
    document = (ROOT / "docs" / "operations.md").read_text()
    for name in await told_names(sqlite_database):
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert f"`{family}`" in document, family
    assert [rule["alert"] for rule in RULES if f"`{rule['alert']}`" not in document] == []


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
