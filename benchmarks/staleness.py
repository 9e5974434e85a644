"""How long until another process obeys: from a webhook's 200 in one to the new limit in the other.

Part of `make bench-limits`. `python -m benchmarks.staleness watch URL yes|no` is the other process.
"""

import asyncio
import statistics
import subprocess
import sys
import time

from rich.console import Console
from rich.table import Table

from app.config import SHIPPED_PLANS
from app.db import open_database
from app.db.migrations import migrate
from app.limits import Limits
from app.plans import load_catalogue
from app.simulator import Account
from tests.client import running
from tests.databases import PostgresServer

SAMPLES = {"yes": 40, "no": 6}
POLL_SECONDS = 0.001


async def watch(url: str, listen: bool) -> None:
    """Say when each user that is named on standard input is first seen on the plan `team`."""
    database = open_database(url)
    limits = Limits(database, load_catalogue(SHIPPED_PLANS), time.time)
    listener = asyncio.create_task(database.listen(limits.snapshots.forget)) if listen else None
    await asyncio.sleep(0.5)
    while user := (await asyncio.to_thread(sys.stdin.readline)).strip():
        await limits.load(user)
        sys.stdout.write("watching\n")
        sys.stdout.flush()
        while (await limits.load(user)).plan != "team":  # noqa: ASYNC110 # it is the polling that is measured
            await asyncio.sleep(POLL_SECONDS)
        sys.stdout.write(f"{time.monotonic()}\n")
        sys.stdout.flush()
    if listener is not None:
        listener.cancel()
    await database.close()


async def sample(url: str, listen: str) -> list[float]:
    """Seconds for each of the samples."""
    command = [sys.executable, "-m", "benchmarks.staleness", "watch", url, listen]
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    seconds = []
    async with running(url) as client:
        for number in range(SAMPLES[listen]):
            user = f"{listen}_{number}"
            watcher.stdin.write(f"{user}\n")
            watcher.stdin.flush()
            await asyncio.to_thread(watcher.stdout.readline)
            account = Account(1000 * (listen == "yes") + number, start=int(time.time()))
            customer = account.create_customer(user_id=user)
            account.create_subscription(customer, "price_team")
            await client.deliver(*account.events)
            answered = time.monotonic()
            seen = float(await asyncio.to_thread(watcher.stdout.readline))
            seconds.append(max(seen - answered, 0))
    watcher.stdin.close()
    watcher.wait()
    return seconds


def main(console: Console) -> None:
    server = PostgresServer(fsync=True)
    server.start()
    table = Table(title="From a webhook's 200 to the new limit in another process", title_justify="left")
    for column in ("", "samples", "median", "worst", "goal (worst)"):
        table.add_column(column, justify="right" if column else "left")
    try:
        migrate(server.url)
        for listen, name, goal in (("yes", "with LISTEN/NOTIFY", "1 s"), ("no", "with it cut", "10 s")):
            seconds = asyncio.run(sample(server.url, listen))
            median, worst = statistics.median(seconds), max(seconds)
            table.add_row(name, str(len(seconds)), f"{median * 1000:.1f} ms", f"{worst * 1000:.1f} ms", goal)
    finally:
        server.remove()
    console.print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["watch"]:
        asyncio.run(watch(sys.argv[2], sys.argv[3] == "yes"))
    else:
        main(Console(width=130))
