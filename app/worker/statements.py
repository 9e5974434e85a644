"""The statements of the background work: taking due events, pruning."""

from functools import cache

from sqlalchemy import Boolean, TextClause, bindparam, text


@cache
def take_due(dialect: str) -> TextClause:
    """Lease the failed events that are due, the longest due first; other workers pass them over.

    Only those of `:types`, unless `:all_types`.
    """
    skip = "FOR UPDATE SKIP LOCKED" if dialect == "postgresql" else ""
    return text(
        "UPDATE billing_event SET next_attempt_at = :lease WHERE id IN (SELECT id FROM billing_event "
        "WHERE state = 'failed' AND source <> 'internal' "
        "AND (next_attempt_at <= :now OR next_attempt_at > :latest) "
        "AND (:all_types OR type IN :types) "
        f"ORDER BY next_attempt_at LIMIT :count {skip}) "
        "RETURNING id, type, object_id, created, api_version, livemode, account, "
        "body, signature, received_at, source, attempts, last_error, failing_since, next_attempt_at"
    ).bindparams(bindparam("types", expanding=True), bindparam("all_types", type_=Boolean()))


@cache
def take_states(dialect: str) -> TextClause:
    """Lease the users whose state is due, those that changed first; other workers pass them over."""
    skip = "FOR UPDATE SKIP LOCKED" if dialect == "postgresql" else ""
    return text(
        "UPDATE billing_user SET state_due_at = :lease WHERE id IN (SELECT id FROM billing_user "
        f"WHERE state_due_at <= :now ORDER BY state_due_at LIMIT :count {skip}) RETURNING id"
    )


RECOVER_STATES = text("UPDATE billing_user SET state_due_at = 1 WHERE state_due_at > :latest")
"""Nothing is due so late: what is was written by a clock that has been set back since."""
STATE_SEEN = text("SELECT version, state_version, state_digest FROM billing_user WHERE id = :id")
# What has changed since the state was read stays due.
NEXT_DUE = "state_due_at = CASE WHEN version = :version THEN :next ELSE state_due_at END"
KEEP_STATE = text(f"UPDATE billing_user SET {NEXT_DUE} WHERE id = :id AND state_version = :state_version")
ANNOUNCE_STATE = text(
    f"UPDATE billing_user SET {NEXT_DUE}, state_digest = :digest, state_version = state_version + 1 "
    "WHERE id = :id AND state_version = :state_version RETURNING id"
)


STATE_DUE = text("UPDATE billing_user SET state_due_at = 0, state_digest = NULL WHERE id = :id RETURNING id")


@cache
def states_due(dialect: str, *, again: bool) -> TextClause:
    """Make the state of the users with the next `:count` ids due; `again`: to be announced though it is the
    same. Locked in the order of their ids, as batches do. Returns their ids."""
    order = 'COLLATE "C"' if dialect == "postgresql" else ""
    lock = "FOR UPDATE" if dialect == "postgresql" else ""
    digest = ", state_digest = NULL" if again else ""
    return text(
        f"UPDATE billing_user SET state_due_at = CASE WHEN state_due_at = 0 THEN 0 ELSE 1 END{digest} "
        "WHERE id IN (SELECT id FROM billing_user WHERE id > :last "
        f"ORDER BY id {order} LIMIT :count {lock}) RETURNING id"
    )


@cache
def take_overages(dialect: str) -> TextClause:
    """Lease the periods whose overage is due to be announced; other workers pass them over."""
    skip = "FOR UPDATE SKIP LOCKED" if dialect == "postgresql" else ""
    return text(
        "UPDATE billing_usage_overage SET due_at = :lease WHERE (user_id, feature, period_start) IN "
        "(SELECT user_id, feature, period_start FROM billing_usage_overage WHERE due_at <= :now "
        f"ORDER BY due_at LIMIT :count {skip}) RETURNING user_id, feature, period_start"
    )


RECOVER_OVERAGES = text(
    "UPDATE billing_usage_overage SET due_at = :now WHERE due_at > :latest AND NOT EXISTS ("
    "SELECT 1 FROM billing_usage WHERE billing_usage.user_id = billing_usage_overage.user_id "
    "AND billing_usage.feature = billing_usage_overage.feature "
    "AND billing_usage.period_start = billing_usage_overage.period_start "
    "AND billing_usage.period_end >= billing_usage_overage.due_at - :margin)"
)
"""An overage is due no later than a short lease after its period ends. A later time was written by a clock
that was ahead, or the period has ended sooner."""
OVERAGE_OF = "user_id = :user_id AND feature = :feature AND period_start = :period_start"
MOVE_OVERAGE = text(f"UPDATE billing_usage_overage SET due_at = :due_at WHERE {OVERAGE_OF}")
END_OVERAGE = text(f"DELETE FROM billing_usage_overage WHERE {OVERAGE_OF} RETURNING feature")
USED_IN = "SELECT period_start, period_end, used, included FROM"
USED_IN_ROW = text(f"{USED_IN} billing_usage WHERE {OVERAGE_OF}")
USED_IN_CLOSED = text(f"{USED_IN} billing_usage_period WHERE {OVERAGE_OF}")


AFTER = "(received_at, id) > (:received_at, :id) AND received_at < :before"
PRUNE_WINDOW = text(
    f"SELECT received_at, id FROM billing_event WHERE {AFTER} ORDER BY received_at, id LIMIT :count"
)
PRUNE_KEYS = text(
    "DELETE FROM billing_usage_key WHERE (user_id, feature, operation, key) IN ("
    "SELECT user_id, feature, operation, key FROM billing_usage_key WHERE expires_at <= :before LIMIT :count)"
)
PRUNE_AUDIT = text(
    "DELETE FROM billing_audit WHERE id IN ("
    "SELECT id FROM billing_audit WHERE at < :before ORDER BY at, id LIMIT :count)"
)
PRUNE_HISTORY = text(
    "DELETE FROM billing_record_history WHERE (record_id, valid_until, version, kind) IN ("
    "SELECT record_id, valid_until, version, kind FROM billing_record_history WHERE valid_until <= :before "
    "ORDER BY valid_until LIMIT :count)"
)
PRUNE_USAGE_PERIODS = text(
    "DELETE FROM billing_usage_period WHERE (user_id, feature, period_start) IN ("
    "SELECT user_id, feature, period_start FROM billing_usage_period "
    "WHERE period_end < :before ORDER BY period_end LIMIT :count)"
)
PRUNE_CHECKOUT_SESSIONS = text(
    "DELETE FROM billing_checkout_session WHERE id IN ("
    "SELECT id FROM billing_checkout_session WHERE expires_at < :before ORDER BY expires_at LIMIT :count)"
)
NEEDED = (
    "EXISTS (SELECT 1 FROM {0} WHERE {0}.id = event.object_id "
    "AND (event.created >= {0}.snapshot_created OR {0}.snapshot_burst > 1))"
)
PRUNE = text(
    f"DELETE FROM billing_event AS event WHERE {AFTER} "
    "AND (received_at, id) <= (:last_received_at, :last_id) AND state IN ('processed', 'ignored') "
    "AND coalesce(created, 0) < :before "
    f"AND NOT {NEEDED.format('billing_subscription')} AND NOT {NEEDED.format('billing_customer')}"
)
"""Delete the finished events of a window that are not needed to find the newest snapshot of an object.

One that Stripe made since is kept: the clock here was behind when it came.
"""
