"""The example application, as its users see it; and the service inside applications of others."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel

from app import limits
from app.simulator import DAY, Account
from examples import projects

from .. import ROOT
from ..client import Client, running
from ..limits.helpers import START, Clock
from ..waiting import LONGEST_SECONDS

pytestmark = pytest.mark.postgresql_in_long

ADA = {"X-User": "ada"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(database_url: str, clock: Clock) -> AsyncIterator[Client]:
    async with running(database_url, clock=clock) as client:
        client.app.include_router(projects.router)
        async with client.app.state.billing.database.engine.begin() as connection:
            await connection.run_sync(SQLModel.metadata.create_all)
        yield client


async def create(client: Client, name: str = "one") -> Any:
    return await client.http.post("/projects", params={"name": name}, headers=ADA)


async def names(client: Client) -> list[str]:
    found: list[str] = (await client.http.get("/projects", headers=ADA)).json()["names"]
    return found


async def test_a_users_story_from_free_to_team_to_grace_and_back(client: Client, clock: Clock) -> None:
    assert [(await create(client, name)).json()["left"] for name in "abc"] == [2, 1, 0]
    stopped = await create(client, "d")
    assert (stopped.status_code, stopped.json()["reason"]) == (403, "limit_reached")
    assert "team" in stopped.json()["upgrade_to"]
    assert await names(client) == ["a", "b", "c"]

    account = Account(1, start=START)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    await client.deliver(*account.events)
    assert (await create(client, "d")).status_code == 201
    assert (await client.http.get("/sign-in/sso", headers=ADA)).json() == {"plan": "team"}

    clock.now += 30 * DAY
    account.advance(30 * DAY)
    account.renew(subscription, paid=False)
    await client.deliver(*account.events)
    assert (await create(client, "e")).status_code == 201  # in grace

    clock.now += 8 * DAY
    account.advance(8 * DAY)
    due = await create(client, "f")
    assert (due.status_code, due.json()["reason"]) == (402, "payment_required")

    account.cancel_now(subscription)
    await client.deliver(account.events[-1])
    over = await create(client, "f")
    assert (over.status_code, over.json()["reason"], over.json()["used"]) == (403, "over_limit", 5)
    assert await names(client) == ["a", "b", "c", "d", "e"]  # nothing is deleted


async def test_eight_deletions_of_one_thing_at_once_give_it_back_once(client: Client) -> None:
    for size in (100, 200):
        await client.http.post("/files", params={"name": "a", "size": size}, headers=ADA)
    for name in "ab":
        await create(client, name)
    for path, feature, left in (("/files/1", "storage_bytes", 200), ("/projects/1", "projects", 1)):
        answers = await asyncio.gather(*(client.http.delete(path, headers=ADA) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {204}
        assert (await limits.load("ada")).look(feature).used == left


async def test_nobody_deletes_what_is_another_users(client: Client) -> None:
    await create(client)
    assert (await client.http.delete("/projects/1", headers={"X-User": "eve"})).status_code == 204
    assert await names(client) == ["one"]
    assert (await limits.load("ada")).look("projects").used == 1


async def test_a_deleted_project_makes_room_for_another(client: Client) -> None:
    ids = [(await create(client)).json()["id"] for _ in range(3)]
    assert (await create(client)).status_code == 403
    assert (await client.http.delete(f"/projects/{ids[0]}", headers=ADA)).status_code == 204
    assert (await client.http.delete(f"/projects/{ids[0]}", headers=ADA)).status_code == 204
    assert (await create(client)).status_code == 201
    assert (await create(client)).status_code == 403


async def test_files_take_their_bytes_and_give_them_back(client: Client) -> None:
    upload: dict[str, str | int] = {"name": "film", "size": 2**29}
    first = await client.http.post("/files", params=upload, headers=ADA)
    assert first.status_code == 201
    assert (await client.http.post("/files", params=upload, headers=ADA)).status_code == 201
    refused = await client.http.post("/files", params=upload | {"size": 1}, headers=ADA)
    assert (refused.status_code, refused.json()["feature"]) == (403, "storage_bytes")
    await client.http.delete(f"/files/{first.json()['id']}", headers=ADA)
    assert (await client.http.post("/files", params=upload, headers=ADA)).status_code == 201


async def test_reconcile_finds_what_the_application_did_past_the_limits(client: Client) -> None:
    await create(client)
    database = client.app.state.billing.database
    async with database.session() as session:
        session.add(projects.Project(owner="ada", name="imported"))

    async def count() -> dict[str, int]:
        async with database.reading() as session:
            return await projects.count_projects(session)

    drifts = await limits.reconcile("projects", count)
    assert [(drift.used, drift.counted) for drift in drifts] == [(1, 2)]


FOREIGN_APP = """
import asyncio
import httpx
from contextlib import asynccontextmanager
from fastapi import FastAPI

from billing import limits
from billing.main import install
from billing.simulator import NEW, Account, event_body, sign
import time

started = []

@asynccontextmanager
async def lifespan(app):
    started.append("theirs")
    yield
    started.append("ended")

app = FastAPI(lifespan=lifespan)
service = install(app)

@app.post("/things")
async def make_thing():
    async with service.database.session() as session:
        return (await limits.consume(session, "ada", "projects"))._asdict()

async def main():
    account = Account(1, start=int(time.time()))
    account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    transport = httpx.ASGITransport(app)
    client = httpx.AsyncClient(transport=transport, base_url="http://x")
    async with app.router.lifespan_context(app), client as http:
        assert started == ["theirs"]
        for _ in range(3):
            assert (await http.post("/things")).json()["plan"] == "free"
        refused = await http.post("/things")
        assert refused.status_code == 403, refused.text
        for event in account.events:
            body = event_body(event, NEW)
            headers = {"Stripe-Signature": sign(body, "whsec_test_secret_a_0001", int(time.time()))}
            assert (await http.post("/webhook/stripe", content=body, headers=headers)).status_code == 200
        assert (await http.post("/things")).json()["plan"] == "team"
        assert (await http.get("/nothing")).json() == {"detail": "Not Found"}  # theirs, as it was
    assert started == ["theirs", "ended"]
    print("well")

asyncio.run(main())
"""


@pytest.mark.long
def test_the_folder_may_live_in_another_application_under_another_name(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "app", tmp_path / "billing", ignore=ignore)
    shutil.copytree(ROOT / "alembic", tmp_path / "billing" / "alembic", ignore=ignore)
    (tmp_path / "main.py").write_text(FOREIGN_APP)
    settings = {
        "STRIPE_WEBHOOK_SECRET": "whsec_test_secret_a_0001",
        "INTERNAL_API_KEY": "test-key-of-the-internal-api-a",
        "PLANS_FILE": str(ROOT / "plans.toml"),
    }
    result = subprocess.run(
        [sys.executable, "main.py"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]} | settings,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert result.stdout == "well\n", result.stderr
