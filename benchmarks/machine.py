"""What the numbers were measured on."""

import os
import platform
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path

import psutil

from .servers import processor_seconds

PACKAGES = ("asyncpg", "fastapi", "starlette", "uvicorn", "uvloop", "httptools", "orjson", "stripe")


def describe(postgres: str, settings: dict[str, str]) -> dict[str, str]:
    """Names and values, in the order in which they are shown."""
    memory = psutil.virtual_memory().total / 1024**3
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "processor": processor(),
        "cores": f"{os.cpu_count()}, shared by client, server and database",
        "memory": f"{memory:.0f} GiB",
        "load average before": load,
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "PostgreSQL": ", ".join([postgres, *(f"{name} = {value}" for name, value in settings.items())]),
        "SQLite": sqlite3.sqlite_version,
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }


def processor() -> str:
    """The model as Linux names it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


class Usage:
    """How much of the machine was taken since this was made, and by whom."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy = _busy_seconds()
        self._ours = processor_seconds(os.getpid())

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def others(self) -> float:
        """The share (0 to 1) of all cores that went to processes that are not ours, or to other machines."""
        ours = processor_seconds(os.getpid()) - self._ours
        taken = (_busy_seconds() - self._busy - ours) / (self.seconds() * (os.cpu_count() or 1))
        return min(max(taken, 0.0), 1.0)


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
