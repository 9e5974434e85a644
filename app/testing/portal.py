"""Runs an application in a thread with an event loop of its own, for callers that are not asynchronous."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI

from .. import limits
from ..inbox import webhook
from ..web.server import MARK
from .trace import traced

T = TypeVar("T")
BASE_URL = "http://application.test"


class RunningApp:
    """An application inside its lifespan. Only the portal's thread may touch its database."""

    def __init__(self, app: FastAPI, state: Mapping[str, Any] | None, portal: BlockingPortal) -> None:
        self.app = app
        self.service = app.state.billing
        self._state = dict(state or {})
        self._portal = portal

    def call(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run a coroutine function in the application's event loop, and wait for what it returns."""
        return self._portal.call(function, *arguments)

    def client(self) -> httpx.AsyncClient:
        """A client of the application, with cookies of its own; for use in its event loop."""
        transport = httpx.ASGITransport(self._answer, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=BASE_URL, follow_redirects=False)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = self._state | {MARK: True}  # there are no connections that could stay open
        trace = traced.get()
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            if trace is not None:
                trace.error = error
            raise
        finally:
            if trace is not None:
                trace.endpoint = scope.get("endpoint")

    @property
    def webhook_path(self) -> str:
        """Where the service takes events, with the prefix that it was installed with."""
        found = [getattr(each, "path", "") for each in self.app.router.routes]
        return next(path for path in found if path.endswith(webhook.PATH))


@contextmanager
def running(app: FastAPI) -> Iterator[RunningApp]:
    """Start the application, and stop it when the block ends.

    Raises:
        RuntimeError: when the service is not installed in it.
    """
    if not hasattr(app.state, "billing"):
        raise RuntimeError("The service is not installed in this application: call install(app) first.")
    limits.use(app.state.billing.limits)  # another application may have been made since
    with start_blocking_portal() as portal:
        lifespan = app.router.lifespan_context(app)
        with portal.wrap_async_context_manager(lifespan) as state:
            yield RunningApp(app, state, portal)
