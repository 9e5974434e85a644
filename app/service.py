"""What a running service consists of; the routes find it on their application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from . import metrics
from .config import Settings
from .db import Database, open_database
from .inbox import Inbox
from .limits import Limits
from .migrations import migrate_async
from .plans import load_catalogue
from .signals import users_changed
from .spool import Spool
from .worker import Worker

STOP_SECONDS = 10
"""How long a task may take to end by itself."""


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one process. `clock` gives Unix seconds."""

    settings: Settings
    database: Database
    inbox: Inbox
    limits: Limits
    worker: Worker
    spool: Spool
    clock: Callable[[], float]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The service at work: its tasks run until the block ends. SQLite is brought up to the code first."""
        if self.database.name == "sqlite":
            await migrate_async(self.settings.database_url)
        self.inbox.start()
        listening = asyncio.create_task(self.database.listen(self.limits.snapshots.forget))
        working = asyncio.create_task(self.worker.run())
        counting = asyncio.create_task(metrics.flush_always())
        try:
            yield
        finally:
            self.worker.stop()
            listening.cancel()
            counting.cancel()
            # The worker hands events to the inbox, so it ends first.
            await asyncio.wait([working], timeout=STOP_SECONDS)
            working.cancel()
            await asyncio.gather(working, listening, counting, return_exceptions=True)
            await self.inbox.stop()
            await self.database.close()


def make_service(settings: Settings, clock: Callable[[], float]) -> Service:
    """Put the parts together; nothing is connected yet.

    Raises:
        ConfigurationError: when the database's address or the plan catalogue cannot be used.
    """
    database = open_database(settings.database_url)
    catalogue = load_catalogue(settings.plans_file)
    inbox = Inbox(database, catalogue=catalogue, livemode=settings.livemode, clock=clock)
    limits = Limits(database, catalogue, clock)
    users_changed.connect(limits.snapshots.on_users_changed)
    spool = Spool(settings.spool_dir, secrets=settings.signing_secrets)
    worker = Worker(database, inbox, spool, retention_days=settings.event_retention_days, clock=clock)
    return Service(settings, database, inbox, limits, worker, spool, clock)


def service_of(request: Request) -> Service:
    """The service that the request's application runs."""
    service: Service = request.app.state.billing
    return service


Running = Annotated[Service, Depends(service_of)]
"""The running service, as a FastAPI dependency: for routes of the application, too."""
