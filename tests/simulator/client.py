"""The official async client against the simulator's API, over real loopback HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Unpack

import httpx
from stripe import HTTPXClient, StripeClient, StripeObject

from app.simulator import SCENARIOS, Account, play
from app.simulator.api import API_KEY, serving
from app.simulator.api.app import Options


@asynccontextmanager
async def client_of(
    base_url: str, *, key: str = API_KEY, version: str | None = None, seconds: float = 60
) -> AsyncIterator[StripeClient]:
    """A client that tries once and waits `seconds` seconds for an answer."""
    http = HTTPXClient(timeout=seconds)
    try:
        yield StripeClient(
            key,
            base_addresses={"api": base_url},
            stripe_version=version,
            max_network_retries=0,
            http_client=http,
        )
    finally:
        await http.close_async()  # type: ignore[no-untyped-call]  # a connection left open is a warning, and those are errors here


@asynccontextmanager
async def connected(account: Account, **options: Unpack[Options]) -> AsyncIterator[StripeClient]:
    async with serving(account, **options) as base_url, client_of(base_url) as client:
        yield client


@asynccontextmanager
async def browsing(account: Account, **options: Unpack[Options]) -> AsyncIterator[httpx.AsyncClient]:
    """Plain HTTP, with the key: for what the library does not show."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with (
        serving(account, **options) as base_url,
        httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False) as browser,
    ):
        yield browser


def ids(page: Any) -> list[str]:
    return [entry.id for entry in page.data]


def plain(found: StripeObject) -> dict[str, Any]:
    """The JSON that the library was given; it makes Decimals of some texts."""
    content: dict[str, Any] = json.loads(str(found))
    return content


def lived() -> Account:
    """Every scenario, one after the other."""
    account = Account(1)
    for name in SCENARIOS:
        play(account, name, user_id=f"user_{name}")
    return account
