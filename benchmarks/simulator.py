"""What a page of the simulator's API costs in accounts of different size: `python -m benchmarks.simulator`.

The client is in the same process, so its share is in the times, and its garbage in the memory.
"""

import asyncio
import gc
import statistics
import time

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from app.simulator import Account
from app.simulator.api import API_KEY, serving

SIZES = (1_000, 10_000, 100_000)
MEGABYTE = 1 << 20


def memory() -> float:
    """Of this process, in MB."""
    gc.collect()
    return psutil.Process().memory_info().rss / MEGABYTE


async def page_through(base_url: str) -> list[float]:
    """Read all subscriptions; milliseconds for each page of 100."""
    times: list[float] = []
    cursor: dict[str, str] = {}
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False, timeout=60) as client:
        await client.get("/v1/subscriptions")  # the first request makes the index
        more = True
        while more:
            began = time.perf_counter()
            answer = await client.get("/v1/subscriptions", params={"status": "all", "limit": "100", **cursor})
            times.append((time.perf_counter() - began) * 1000)
            page = answer.json()
            more, cursor = page["has_more"], {"starting_after": page["data"][-1]["id"]}
    return times


async def measure(size: int) -> list[str]:
    before, account = memory(), Account(1)
    began = time.perf_counter()
    account.bulk(size)
    made, held = time.perf_counter() - began, memory()
    async with serving(account) as base_url:
        first = await page_through(base_url)
        indexed = memory()
        await page_through(base_url)
        again = memory()
    edge = max(1, len(first) // 10)
    return [
        f"{size:,}",
        f"{made:.1f}",
        f"{held - before:.0f}",
        f"{indexed - held:.0f}",
        f"{again - indexed:.0f}",
        f"{statistics.median(first[:edge]):.1f}",
        f"{statistics.median(first[-edge:]):.1f}",
    ]


def main() -> None:
    table = Table(
        "subscriptions",
        "made, s",
        "account, MB",
        "index, MB",
        "read again, MB",
        "first pages, ms",
        "last, ms",
    )
    for size in SIZES:
        table.add_row(*asyncio.run(measure(size)))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
