"""The plan catalogues that were in force: stored when a process starts with another one than the last."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from ..db import Database
from ..db.models import StoredCatalogue, table_of
from ..errors import ConfigurationError, NotFound
from ..plans import Catalogue, parse_catalogue

STORE = text(
    "INSERT INTO billing_catalogue (since, hash, content) "
    "SELECT CAST(:since AS BIGINT), CAST(:hash AS TEXT), CAST(:content AS TEXT) WHERE NOT EXISTS "
    "(SELECT 1 FROM billing_catalogue AS newest WHERE newest.hash = CAST(:hash AS TEXT) "
    "AND newest.since = (SELECT max(since) FROM billing_catalogue)) ON CONFLICT DO NOTHING"
)
KNOWN_SINCE = text("SELECT min(since) FROM billing_catalogue")
FORGET: tuple[TextClause, ...] = (
    text(
        "DELETE FROM billing_catalogue WHERE since < "
        "(SELECT max(since) FROM billing_catalogue WHERE since <= :before)"
    ),
    text("UPDATE billing_catalogue SET since = :before WHERE since < :before"),
)
"""What was before a moment is not known any more: the catalogue of that moment is known from then on."""


class CatalogueInForce(NamedTuple):
    """A catalogue, and since when (Unix seconds) it is known to have been in force."""

    catalogue: Catalogue
    hash: str
    since: int


class CatalogueLog:
    """Stores the catalogue that this process works by. `clock` gives Unix seconds."""

    def __init__(self, database: Database, catalogue: Catalogue, clock: Callable[[], float]) -> None:
        self._database = database
        self._content = catalogue.source
        self._clock = clock
        self._since: int | None = None
        self._stored = False

    def begin(self) -> None:
        """The process works by the catalogue from now on, whenever that can be stored."""
        if self._since is None:
            self._since = int(self._clock())

    async def store(self) -> None:
        """Store the catalogue, unless it is the newest one that is stored. Once in a process."""
        if self._stored:
            return
        self.begin()
        values = {"since": self._since, "hash": hash_of(self._content), "content": self._content}
        async with self._database.session() as session:
            await (await session.connection()).execute(STORE, values)
        self._stored = True


def hash_of(content: str) -> str:
    """The SHA-256 of a plans file, in hexadecimal."""
    return hashlib.sha256(content.encode()).hexdigest()


async def known_since(connection: AsyncConnection) -> int | None:
    """Since when it is known what users had, in Unix seconds; None: nothing is."""
    found: int | None = await connection.scalar(KNOWN_SINCE)
    return found


async def catalogue_at(connection: AsyncConnection, at: int) -> CatalogueInForce:
    """The catalogue that was in force at a moment (Unix seconds).

    Raises:
        NotFound: when that is not known, saying since when it is.
        ConfigurationError: when this release cannot read the catalogue of then.
    """
    table = table_of(StoredCatalogue)
    query = select(table).where(col(StoredCatalogue.since) <= at)
    row = (await connection.execute(query.order_by(table.c.since.desc(), table.c.hash).limit(1))).first()
    if row is None:
        raise unknown_at(at, await known_since(connection))
    name = f"the plan catalogue of {shown(row.since)}"
    try:
        return CatalogueInForce(parse_catalogue(row.content, name), row.hash, row.since)
    except ConfigurationError as error:
        raise ConfigurationError(f"This release cannot read {name}. {error.detail}") from None


def unknown_at(at: int, since: int | None) -> NotFound:
    """The error for a moment of which too little is stored."""
    known = "nothing is known of the past yet" if since is None else f"known back to {shown(since)}"
    return NotFound(
        f"What the user had at {shown(at)} is not known: {known}. What was before that was not stored, or "
        "its retention is over.",
        known_since=since,
    )


def shown(moment: int) -> str:
    """Unix seconds as a time in UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
