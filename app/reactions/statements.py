"""The statements about the outbox, which both databases understand but for a few words."""

from functools import cache

from sqlalchemy import JSON, BigInteger, Integer, Text, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.selectable import TextualSelect

WAITING = text(
    "SELECT DISTINCT receiver FROM billing_outbox WHERE state = 'pending' "
    "AND (next_attempt_at <= :now OR next_attempt_at > :latest)"
)
"""The receivers for whom something is due."""


@cache
def take(dialect: str) -> TextualSelect:
    """Take what is due for a receiver, by pushing it into the future; a killed taker's entries come back."""
    skip = "FOR UPDATE SKIP LOCKED" if dialect == "postgresql" else ""
    taking = text(
        "UPDATE billing_outbox SET next_attempt_at = :lease WHERE id IN (SELECT id FROM billing_outbox "
        "WHERE state = 'pending' AND receiver = :receiver AND signal IN :signals "
        "AND (next_attempt_at <= :now OR next_attempt_at > :latest) "
        f"ORDER BY next_attempt_at LIMIT :count {skip}) "
        "RETURNING id, signal, receiver, reaction, attempts, failing_since"
    ).bindparams(bindparam("signals", expanding=True))
    return taking.columns(
        id=Text,
        signal=Text,
        receiver=Text,
        reaction=JSON().with_variant(JSONB(), "postgresql"),
        attempts=Integer,
        failing_since=BigInteger,
    )


# Not by a process whose lease has expired: another process has finished it since.
SETTLE: TextClause = text(
    "UPDATE billing_outbox SET state = :state, attempts = :attempts, last_error = :last_error, "
    "failing_since = :failing_since, next_attempt_at = :next_attempt_at, done_at = :done_at "
    "WHERE id = :id AND state = 'pending' AND attempts = :attempts - 1"
)
PRUNE: TextClause = text(
    "DELETE FROM billing_outbox WHERE id IN (SELECT id FROM billing_outbox "
    "WHERE created_at < :before AND state = 'done' AND receiver <> '' ORDER BY created_at LIMIT :count)"
)
