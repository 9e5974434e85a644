"""Two processes on one PostgreSQL: the same end state, no deadlock, no lost update."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.db import open_database
from app.simulator import NEW, OLD, Account, Event, Shape, event_body, random_history, truth

from .. import ROOT
from ..processes import Process
from ..records import stored
from ..waiting import LONGEST_SECONDS


def start(url: str, file: Path) -> subprocess.Popen[str]:
    return Process(
        [sys.executable, "-m", "tests.take_in", url, str(file)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def in_two_processes(url: str, folder: Path, halves: list[list[Event]], shape: Shape) -> list[dict[str, Any]]:
    """Both processes take their events in at the same time; what each counted."""
    processes = []
    for number, half in enumerate(halves):
        file = folder / f"{number}.json"
        file.write_text(json.dumps([event_body(event, shape).decode() for event in half]))
        processes.append(start(url, file))
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    counts = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, _ = process.communicate(timeout=LONGEST_SECONDS)
        assert process.returncode == 0
        counts.append(json.loads(output))
    return counts


@pytest.mark.long
@pytest.mark.parametrize("shape", [OLD, NEW])
async def test_random_histories_split_over_two_processes_end_in_the_truth(
    postgres_database: str, tmp_path: Path, shape: Shape
) -> None:
    rng, account = random.Random(7), Account(7)
    random_history(account, rng, customers=40, steps=600)
    halves: list[list[Event]] = [[], []]
    for event in account.events:
        for side in rng.choice(([0], [1], [0, 1], [0, 0])):
            halves[side].append(event)
    for half in halves:
        rng.shuffle(half)
    counts = in_two_processes(postgres_database, tmp_path, halves, shape)
    sent = sum(len(half) for half in halves)
    assert sum(count.get("duplicate", 0) for count in counts) == sent - len(account.events)
    await check(postgres_database, account)


@pytest.mark.long
async def test_fifty_new_subscriptions_hammered_from_both_sides(
    postgres_database: str, tmp_path: Path
) -> None:
    rng, account = random.Random(8), Account(8)
    subscriptions = [account.create_subscription(account.create_customer()) for _ in range(50)]
    for quantity in range(2, 12):
        account.advance(rng.choice((0, 1)))
        for subscription in subscriptions:
            account.change_quantity(subscription, quantity)
    forwards, backwards = list(account.events), account.events[::-1]
    in_two_processes(postgres_database, tmp_path, [forwards, backwards], NEW)
    await check(postgres_database, account)


async def check(url: str, account: Account) -> None:
    database = open_database(url)
    try:
        expected = truth(account)
        assert await stored(database, expected) == expected
    finally:
        await database.close()
