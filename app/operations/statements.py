"""The statements of the operations."""

from functools import cache

from sqlalchemy import TextClause, bindparam, text


@cache
def make_due(dialect: str) -> TextClause:
    """Make events due now. Locked in the order of their ids, so that two at once wait in no circle."""
    order = 'ORDER BY id COLLATE "C" FOR UPDATE' if dialect == "postgresql" else ""
    return text(
        "UPDATE billing_event SET state = 'failed', attempts = 0, failing_since = NULL, next_attempt_at = 0 "
        "WHERE id IN (SELECT id FROM billing_event WHERE state IN :states AND source <> 'internal' "
        "AND (CAST(:id AS TEXT) IS NULL OR id = CAST(:id AS TEXT)) "
        "AND (CAST(:type AS TEXT) IS NULL OR type = CAST(:type AS TEXT)) "
        f"AND (CAST(:object_id AS TEXT) IS NULL OR object_id = CAST(:object_id AS TEXT)) {order})"
    ).bindparams(bindparam("states", expanding=True))


MAKE_OUTBOX_DUE = text(
    "UPDATE billing_outbox SET state = 'pending', attempts = 0, failing_since = NULL, next_attempt_at = 0 "
    "WHERE state IN ('pending', 'dead') AND receiver <> '' "
    "AND (CAST(:receiver AS TEXT) IS NULL OR receiver = CAST(:receiver AS TEXT)) "
    "AND (CAST(:id AS TEXT) IS NULL OR id = CAST(:id AS TEXT))"
)
"""Make what receivers have not taken due now; what is done stays done."""
