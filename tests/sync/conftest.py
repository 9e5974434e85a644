"""A service beside a simulated Stripe, both on one clock, spoken to through the real client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from pydantic import SecretStr

from app.service import Service
from app.simulator import Account
from app.simulator.api import API_KEY, ApiFaults, Traffic, serving
from app.sync.schedule import Schedule
from app.worker.worker import Worker
from tests.client import Client, running


class Beside:
    """A running service, and the account that it asks."""

    def __init__(self, client: Client, account: Account, faults: ApiFaults, traffic: Traffic) -> None:
        self.client = client
        self.account = account
        self.faults = faults
        self.traffic = traffic

    @property
    def service(self) -> Service:
        service: Service = self.client.app.state.billing
        return service

    async def refresh(self) -> int:
        assert self.service.schedule is not None
        return await self.service.schedule._pending.refresh_due()


Start = Callable[[str, Account], AbstractAsyncContextManager[Beside]]


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a service whose tasks do nothing by themselves; its clock is the account's."""

    async def idle(_: object) -> None:
        await asyncio.sleep(0)

    for task in (Worker, Schedule):
        monkeypatch.setattr(task, "run", idle)

    @asynccontextmanager
    async def start(database_url: str, account: Account) -> AsyncIterator[Beside]:
        faults, traffic = ApiFaults(seed=1), Traffic()
        async with (
            serving(account, faults=faults, traffic=traffic) as base,
            running(
                database_url,
                clock=lambda: account.now,
                stripe_api_key=SecretStr(API_KEY),
                stripe_api_base=base,
            ) as client,
        ):
            yield Beside(client, account, faults, traffic)

    return start
