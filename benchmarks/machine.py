"""What the numbers were measured on."""

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path

import psutil

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
