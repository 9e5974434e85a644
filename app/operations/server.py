"""How the HTTP server in front of the service was started: told to the log, and kept for `doctor`."""

import asyncio
from typing import Final

import structlog

from .. import NAME as PACKAGE
from ..db import Database
from ..db.models import Job
from ..service import Service

log = structlog.get_logger(__name__)

NAME: Final = "server"
"""Of the row among the jobs."""
ENDS_CONNECTIONS: Final = "ends_connections"
REMEDY: Final = (
    f"Start it with `python -m {PACKAGE} serve`, or uvicorn with `--http "
    f"{PACKAGE}.web.protocol:BoundedHttp`; or put a proxy before it, with the limits of docs/operations.md, "
    "Connections."
)

_reports: set[asyncio.Task[None]] = set()


def server_seen(service: Service, ends_connections: bool) -> None:
    """Warn where the server lets a client keep a connection for ever; store what was seen, in a task."""
    if not ends_connections:
        log.warning("connections_without_deadlines", remedy=REMEDY)
    report = asyncio.create_task(_store(service, ends_connections))
    _reports.add(report)
    report.add_done_callback(_reports.discard)


async def server_ends_connections(database: Database) -> bool | None:
    """What the server that saw its first request last was like; None when none has reported."""
    async with database.reading() as session:
        row = await session.get(Job, NAME)
    return None if row is None or row.result is None else bool(row.result.get(ENDS_CONNECTIONS))


async def _store(service: Service, ends_connections: bool) -> None:
    now = int(service.clock())
    result = {ENDS_CONNECTIONS: ends_connections}
    try:
        async with service.database.session() as session:
            await session.merge(Job(name=NAME, started_at=now, finished_at=now, result=result))
    except Exception as error:  # the database is down, or behind the code; the log has the warning
        log.info("server_not_reported", error=type(error).__name__)
