"""How the HTTP server was started: logged, and stored for `doctor`."""

from collections.abc import Callable
from typing import Final

import structlog

from .. import COMMAND
from .. import NAME as PACKAGE
from ..db import Database
from ..db.models import Job

log = structlog.get_logger(__name__)

ROW: Final = "server"
"""Its name among the jobs."""
ENDS_CONNECTIONS: Final = "ends_connections"
REMEDY: Final = (
    f"Start it with `{COMMAND} serve`, or uvicorn with `--http "
    f"{PACKAGE}.web.protocol:BoundedHttp`; or put a proxy before it, with the limits of docs/operations.md, "
    "Connections."
)


class ServerReport:
    """Stored by the worker: a request must not wait for it. `clock` gives Unix seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._seen: bool | None = None
        self._is_noted = False

    def seen(self, ends_connections: bool) -> None:
        """Note on the first request whether the server ends every connection; warn where it does not."""
        if self._is_noted:
            return
        self._seen, self._is_noted = ends_connections, True
        if not ends_connections:
            log.warning("connections_without_deadlines", remedy=REMEDY)

    async def store_when_seen(self) -> None:
        """Store what was noted, once."""
        if self._seen is None:
            return
        now = int(self._clock())
        result = {ENDS_CONNECTIONS: self._seen}
        async with self._database.session() as session:
            await session.merge(Job(name=ROW, started_at=now, finished_at=now, result=result))
        self._seen = None


async def server_ends_connections(database: Database) -> bool | None:
    """What the server that reported last is like; None when none has."""
    async with database.reading() as session:
        row = await session.get(Job, ROW)
    return None if row is None or row.result is None else bool(row.result.get(ENDS_CONNECTIONS))
