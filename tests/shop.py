"""A running service beside the simulator's server of Stripe's API, and a buyer between them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import AsyncMock, patch

import httpx
from pydantic import SecretStr
from sqlmodel import col, select

from app.db.models import AuditEntry
from app.service import Service
from app.simulator import Account, Subscription
from app.simulator.api import API_KEY, ApiFaults, Traffic, complete_checkout, serving
from app.sync.schedule import Schedule

from .client import AUTH, Client, running

ORIGIN = "https://app.example.com"
USER = "user_ada"


@dataclass
class Shop:
    """`client` speaks to the service, `account` is the truth at Stripe."""

    client: Client
    account: Account
    faults: ApiFaults
    traffic: Traffic
    delivered: int = field(default=0)

    @property
    def service(self) -> Service:
        service: Service = self.client.app.state.billing
        return service

    async def post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return await self.client.http.post(f"/internal/{path}", json=body, headers=AUTH)

    async def done(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """What a POST answers, which must be 200."""
        response = await self.post(path, body)
        assert response.status_code == 200, response.text
        return response.json()

    async def order(self, user_id: str = USER, **changes: Any) -> httpx.Response:
        """Ask for a checkout session."""
        return await self.post("checkout-sessions", ordered(user_id, **changes))

    async def opened(self, user_id: str = USER, **changes: Any) -> str:
        """The id of a new checkout session."""
        session_id: str = (await self.done("checkout-sessions", ordered(user_id, **changes)))["session_id"]
        return session_id

    async def bought(self, user_id: str = USER, *, pause: int = 60, **changes: Any) -> Subscription:
        """Buy, let Stripe tell of it, and wait for `pause` seconds by the account's clock."""
        subscription = complete_checkout(self.account, await self.opened(user_id, **changes))
        await self.hear()
        self.account.advance(pause)
        return subscription

    async def hear(self) -> None:
        """Deliver all events that have not been delivered yet."""
        events = self.account.events[self.delivered :]
        self.delivered += len(events)
        await self.client.deliver(*events)

    async def plan_of(self, user_id: str = USER) -> str | None:
        plan: str | None = (await self.client.read(f"/internal/users/{user_id}/entitlements"))["plan"]
        return plan

    async def audited(self, subject: str) -> list[AuditEntry]:
        """The trail of one thing, the oldest first."""
        async with self.service.database.reading() as session:
            query = select(AuditEntry).where(AuditEntry.subject == subject).order_by(col(AuditEntry.id))
            return list(await session.exec(query))


def ordered(user_id: str = USER, **changes: Any) -> dict[str, Any]:
    """A request for a checkout session."""
    plan = {} if "price_id" in changes else {"plan": "team"}
    return {
        "user_id": user_id,
        **plan,
        "success_url": f"{ORIGIN}/welcome?session={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{ORIGIN}/plans",
        **changes,
    }


@asynccontextmanager
async def shop(database_url: str, *, account: Account | None = None, **changes: Any) -> AsyncIterator[Shop]:
    """Both, with the account's clock for the service, too."""
    account = account or Account(1)
    faults, traffic = ApiFaults(), Traffic()
    # What the service asks Stripe by itself would take the faults that a test has planned.
    async with serving(account, faults=faults, traffic=traffic) as base:
        settings: dict[str, Any] = {
            "stripe_api_key": SecretStr(API_KEY),
            "stripe_api_base": base,
            "allowed_return_origins": (ORIGIN, "http://127.0.0.1:8000"),
        }
        with patch.object(Schedule, "run", AsyncMock()):
            running_one = running(database_url, clock=lambda: account.now, **(settings | changes))
            async with running_one as client:
                yield Shop(client, account, faults, traffic)
