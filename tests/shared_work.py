"""What is the same for each service of a test process, made once.

A process serves with one engine, and loads its libraries' caches once. A test process makes thousands of
engines and clients: each would compile the same statements and read the same certificates again.
"""

import ssl
import sys
import weakref
from functools import cache
from typing import Any

from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

from app.plans import file

DIALECTS = (SQLiteDialect_aiosqlite, PGDialect_asyncpg)
STATEMENTS = 2000
"""How many compiled statements are kept for each kind of database."""


def share_work() -> None:
    """Share statements, TLS contexts, catalogues, and the knowledge that a library is not installed."""
    _share_statements()
    _share_tls_contexts()
    _share_catalogues()
    _remember_what_is_not_installed("sniffio")


def _share_statements() -> None:
    """Let all engines of one kind use one cache of compiled statements.

    SQLAlchemy's caches have the dialect object in their keys, which is another one for each engine. All
    databases of a test process are one release of SQLite and one PostgreSQL server, so their dialects
    compile alike.
    """
    caches: dict[type, LRUCache[Any, Any]] = {each: LRUCache(STATEMENTS) for each in DIALECTS}
    for each in DIALECTS:
        setattr(each, "__eq__", lambda ours, theirs: type(ours) is type(theirs))  # noqa: B010
        setattr(each, "__hash__", lambda ours: hash(type(ours)))  # noqa: B010
        setattr(each, "_type_memos", weakref.WeakKeyDictionary())  # noqa: B010 # what types mean to a dialect
    make = Engine.__init__

    def make_sharing(engine: Engine, pool: Any, dialect: Any, *given: Any, **options: Any) -> None:
        make(engine, pool, dialect, *given, **options)
        engine._compiled_cache = caches.get(type(dialect), engine._compiled_cache)

    setattr(Engine, "__init__", make_sharing)  # noqa: B010


def _share_tls_contexts() -> None:
    """Read each file of certificates once: each client of Stripe does, and it takes longer than a request."""
    setattr(ssl, "create_default_context", cache(ssl.create_default_context))  # noqa: B010


def _share_catalogues() -> None:
    """Parse the text of a plan catalogue once: nearly all tests have the same one, and nothing changes it."""
    setattr(file, "parse_catalogue", cache(file.parse_catalogue))  # noqa: B010


def _remember_what_is_not_installed(name: str) -> None:
    """httpx tries to import a module with each request; Python would look for it in each folder each time."""
    if name not in sys.modules:
        try:
            __import__(name)
        except ImportError:
            sys.modules[name] = None  # type: ignore[assignment]
