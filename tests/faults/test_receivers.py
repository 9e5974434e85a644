"""Killed between commit and reaction: each durable receiver runs all the same."""

import asyncio
import random
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import select

from app.db import open_database
from app.db.migrations import migrate
from app.db.models import OutboxEntry, OutboxState
from app.signals import Reaction
from app.simulator import Account
from tests.waiting import LONGEST_SECONDS

from .kill import Delivery, kill_meanwhile
from .servers import Server

KILLS = 6


@pytest.mark.long
@pytest.mark.parametrize("subscriptions_per_kill", [15, pytest.param(40, marks=pytest.mark.deep)])
async def test_each_durable_receiver_ran_for_each_reaction(
    database_url: str, tmp_path: Path, subscriptions_per_kill: int
) -> None:
    rng, account = random.Random(1), Account(1, start=int(time.time()) - 3600)
    for number in range(KILLS * subscriptions_per_kill):
        account.create_subscription(account.create_customer(user_id=f"user_{number}"), "price_team")
    notes = tmp_path / "notes"
    notes.touch()
    await asyncio.to_thread(migrate, database_url)
    async with Server(
        database_url, tmp_path, app="tests.faults.receiver_app:app", NOTES=str(notes)
    ) as server:
        delivery = Delivery(server.url, list(account.events))
        async with asyncio.TaskGroup() as group:
            group.create_task(delivery.run())
            await kill_meanwhile(server, delivery, rng, KILLS)
        entries = await all_done(database_url)
    noted = notes.read_text().split()
    assert {entry.id.rsplit(":", 1)[0] for entry in entries} == set(noted)
    # Announced again with its user where the customer's event came after the subscription's.
    activated = [
        Reaction.of_json(entry.reaction) for entry in entries if entry.signal == "subscription_activated"
    ]
    assert {reaction.subscription_id for reaction in activated} == set(account.subscriptions)
    print(f"{KILLS} kills, {len(entries)} reactions, {len(noted)} calls")  # noqa: T201


async def all_done(database_url: str) -> list[OutboxEntry]:
    """Wait until every reaction has run."""
    database = open_database(database_url)
    try:
        # The leases of what killed servers had run out in a minute: the test does not wait so long.
        async with database.session() as session:
            await (await session.connection()).execute(
                text("UPDATE billing_outbox SET next_attempt_at = 0 WHERE state = 'pending'")
            )
        async with asyncio.timeout(LONGEST_SECONDS):
            while True:
                async with database.reading() as session:
                    entries = list(await session.exec(select(OutboxEntry)))
                if all(entry.state == OutboxState.DONE for entry in entries):
                    return entries
                await asyncio.sleep(0.1)
    finally:
        await database.close()
