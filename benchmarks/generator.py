"""Is the load generator fast enough? What wrk gets from the same server with the same requests."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from .servers import Server
from .trials import Trials
from .workload import requests

SCRIPT = Path(__file__).resolve().parent / "wrk.lua"
CONNECTIONS = 64
SECONDS = 3
REQUESTS = 2000
ROUNDS = 3
BURST = 30_000
RATE = re.compile(r"Requests/sec:\s*([\d.]+)")
WRONG = re.compile(r"Non-2xx or 3xx responses:\s*(\d+)")


def compare(servers: Mapping[str, Server], trials: Trials, folder: Path) -> list[str]:
    """A sentence a server: the rate that ours gets of it, and the rate that wrk gets; nothing without wrk."""
    if shutil.which("wrk") is None:
        return []
    file = folder / "requests"
    file.write_bytes(b"".join(b"%010d%b" % (len(r), r) for r in requests(0, REQUESTS, int(time.time()))))
    return [_compare(server, trials, file) for server in servers.values()]


def _compare(server: Server, trials: Trials, file: Path) -> str:
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(trials.send_all(server, BURST, CONNECTIONS).rate)
        theirs.append(wrk(server.port, file))
    best = f"ours sends {max(ours):,.0f} requests/s, wrk {max(theirs):,.0f}"
    return f"Against {server.name} {best} (best of {ROUNDS})."


def wrk(port: int, file: Path) -> float:
    """Requests a second."""
    url = f"http://127.0.0.1:{port}"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(SCRIPT), url]
    environment = os.environ | {"BENCH_REQUESTS": str(file)}
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return rate_of(output)


def rate_of(output: str) -> float:
    """The rate that wrk prints.

    Raises:
        ValueError: when there is none, or when requests were refused.
    """
    rate, wrong = RATE.search(output), WRONG.search(output)
    if rate is None or wrong is not None:
        raise ValueError(f"wrk measured nothing of use:\n{output}")
    return float(rate[1])
