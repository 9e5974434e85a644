"""Work on one item after another: an item that fails must not keep the others from being done."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from .base import Database

log = structlog.get_logger(__name__)


@contextmanager
def skipped_on_error(event: str, *databases: Database, **item: object) -> Iterator[None]:
    """Log what the block raises, as `event` with what names the item, and go on behind the block.

    Raises:
        Exception: what is caused by one of the databases being unavailable: the other items would fail, too.
    """
    try:
        yield
    except Exception as error:
        if any(database.lies_under(error) for database in databases):
            raise
        log.warning(event, error=type(error).__name__, **item)
