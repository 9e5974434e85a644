"""A running service, spoken to over HTTP, with really signed bytes."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
from fastapi import FastAPI
from pydantic import SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from app.config import Settings
from app.main import create_app
from app.simulator import NEW, Event, Shape, event_body, sign

SECRET = "whsec_test_secret_endpoint"
KEY = "test-key-of-the-internal-api-0001"
AUTH = {"X-API-Key": KEY}


class GivenSettings(Settings):
    """Settings from what a test gives alone, and nothing else is looked at."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def settings_for(database_url: str, **changes: Any) -> Settings:
    """Settings for tests, from nowhere but here."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "stripe_webhook_secret": (SecretStr(SECRET),),
        "internal_api_key": (SecretStr(KEY),),
        "spool_dir": None,
        "api_docs": True,
    }
    return GivenSettings(**(values | changes))


class Client:
    """A client of one application, inside its lifespan."""

    def __init__(self, app: FastAPI, http: httpx.AsyncClient, clock: Callable[[], float]) -> None:
        self.app = app
        self.http = http
        self._clock = clock

    async def post_signed(self, body: bytes, *, secret: str = SECRET) -> httpx.Response:
        headers = {"Stripe-Signature": sign(body, secret, int(self._clock()))}
        return await self.http.post("/webhook/stripe", content=body, headers=headers)

    async def send(self, payload: dict[str, Any]) -> str:
        """Deliver an event; the status in the answer."""
        response = await self.post_signed(orjson.dumps(payload, option=orjson.OPT_INDENT_2))
        assert response.status_code == 200, response.text
        assert response.json()["received"] is True
        status: str = response.json()["status"]
        return status

    async def deliver(self, *events: Event, shape: Shape = NEW) -> list[str]:
        """Deliver events of the simulator; the statuses in the answers."""
        return [await self.send(orjson.loads(event_body(event, shape))) for event in events]

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.http.get(path, params=params, headers=AUTH)

    async def read(self, path: str, **params: Any) -> Any:
        """What a GET answers, which must be 200."""
        response = await self.get(path, **params)
        assert response.status_code == 200, response.text
        return response.json()


@asynccontextmanager
async def running(
    database_url: str, *, clock: Callable[[], float] = time.time, **changes: Any
) -> AsyncIterator[Client]:
    """The service on a database, with its lifespan."""
    app = create_app(settings_for(database_url, **changes), clock=clock)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://billing.test") as http,
    ):
        yield Client(app, http, clock)
