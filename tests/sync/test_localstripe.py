"""A fake of Stripe that this project did not write: its signed deliveries verify, and end in the records.

`localstripe` runs as a process of its own; it is a development tool, and nothing of the project imports it.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.client import AUTH, SECRET
from tests.databases import free_port
from tests.faults.servers import Server
from tests.waiting import LONGEST_SECONDS

KEY = "sk_test_fake_localstripe"


@pytest.fixture
async def localstripe(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    pytest.importorskip("aiohttp")  # comes with localstripe
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "localstripe", "--port", str(port), "--from-scratch"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=base, auth=(KEY, ""), trust_env=False) as http:
            async with asyncio.timeout(LONGEST_SECONDS):
                while True:
                    try:
                        await http.get("/v1/customers")
                        break
                    except httpx.HTTPError:
                        assert process.poll() is None
                        await asyncio.sleep(0.05)
            yield http
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


async def call(http: httpx.AsyncClient, method: str, path: str, **form: Any) -> Any:
    answer = await http.request(method, path, data=form or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.long
async def test_from_sign_up_to_cancellation(
    sqlite_database: str, tmp_path: Path, localstripe: httpx.AsyncClient
) -> None:
    async with Server(sqlite_database, tmp_path) as server:
        hook = {"url": f"{server.url}/webhook/stripe", "secret": SECRET}
        configured = await localstripe.post("/_config/webhooks/ours", json=hook)
        assert configured.status_code == 200, configured.text
        product = await call(localstripe, "POST", "/v1/products", name="Team", type="service")
        plan = {"product": product["id"], "amount": "0", "currency": "usd", "interval": "month"}
        await call(localstripe, "POST", "/v1/plans", id="price_team", **plan)
        customer = await call(
            localstripe, "POST", "/v1/customers", **{"email": "ada@example.com", "metadata[user_id]": "ada"}
        )
        subscription = await call(
            localstripe,
            "POST",
            "/v1/subscriptions",
            **{"customer": customer["id"], "items[0][plan]": "price_team"},
        )
        async with httpx.AsyncClient(base_url=server.url, headers=AUTH, trust_env=False) as ours:
            await status_is(ours, subscription["id"], "active")
            entitlements = await ours.get("/internal/users/ada/entitlements")
            assert entitlements.json()["plan"] == "team"
            await call(localstripe, "DELETE", f"/v1/subscriptions/{subscription['id']}")
            await status_is(ours, subscription["id"], "canceled")
            entitlements = await ours.get("/internal/users/ada/entitlements")
            assert entitlements.json()["plan"] == "free"


async def status_is(ours: httpx.AsyncClient, subscription_id: str, status: str) -> None:
    """Wait until the record has the status: its webhook comes a second later."""
    async with asyncio.timeout(LONGEST_SECONDS):
        while True:
            answer = await ours.get(f"/internal/subscriptions/{subscription_id}")
            if answer.status_code == 200 and answer.json()["status"] == status:
                return
            await asyncio.sleep(0.1)
