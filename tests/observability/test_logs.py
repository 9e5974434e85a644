"""Log lines: short and readable in a terminal, JSON everywhere else."""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest
import structlog

from app.observability.logs import configure_logging


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def line_to(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging()
    structlog.get_logger().info("price_without_plan", price="price_\x1b[31m")
    return stream.getvalue()


def test_a_terminal_gets_the_time_of_day_the_event_and_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", line_to(Terminal(), monkeypatch))
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[info\] price_without_plan price='?price_\\+x1b\[31m'?\n", shown)


def test_a_file_or_a_pipe_gets_json_with_the_full_time(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = json.loads(line_to(io.StringIO(), monkeypatch))
    assert shown["event"] == "price_without_plan"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", shown["timestamp"])
