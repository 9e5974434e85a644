"""Alerts and documents name metrics that exist."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from app.db import open_database
from app.db.postgres import PostgresDatabase
from app.errors import InvalidPayload, InvalidSignature, PayloadTooLarge, Unavailable
from app.inbox.outcome import Status
from app.observability import metrics
from app.operations import backlog
from app.operations.backlog import read_backlog
from app.worker.worker import Worker

from .. import ROOT
from ..client import AUTH, KEY, Client, running
from ..limits.helpers import Clock
from ..waiting import LONGEST_SECONDS
from .metrics_samples import samples


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


async def test_the_backlog_reads_only_indexes_of_what_is_not_finished(database_url: str) -> None:
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
