"""The benchmark of the limits runs, with a few requests: nobody looks at it until its figures are wanted."""

import time
from pathlib import Path

import pytest
from rich.console import Console

from app.config import SHIPPED_PLANS
from app.db import open_database
from app.limits import Limits
from app.plans import load_catalogue
from benchmarks import limits as benchmark
from benchmarks import limits_http


async def test_each_figure_is_measured(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, few in (("ROUNDS", 1), ("LOOPS", 1), ("CONSUMES", 2), ("MANY_USERS", 2), ("FEW_USERS", 1)):
        monkeypatch.setattr(benchmark, name, few)
    database = open_database(database_url)
    limits, report = Limits(database, load_catalogue(SHIPPED_PLANS), time.time), benchmark.Report("few")
    await benchmark.checks(limits, report)
    await benchmark.consuming(database, limits, report)
    if database.name == "postgresql":
        await benchmark.flat(database, limits, report)
    await database.close()
    assert report.table.row_count == (5 if database.name == "postgresql" else 4)


@pytest.mark.long
def test_the_figures_over_http_are_measured(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_http, "ROUNDS", 1)
    monkeypatch.setattr(limits_http, "REQUESTS", 2)
    console = Console(width=120, record=True)
    limits_http.measure("few", database_url, tmp_path, console)
    shown = console.export_text()
    assert [what for what in limits_http.ASKED if f"│ {what} " not in shown] == []
