"""The statements of the overview. None reads more events than its window; counts stop at a cap.

States are written out, not bound: a partial index is used only where its condition is seen to hold.
"""

from functools import cache

from sqlalchemy import TextClause, text

REVENUE_STATUSES = "('active', 'past_due', 'trialing')"

BY_STATUS_AND_PRICE = text(
    "SELECT status, plan_id, COUNT(*) AS number FROM billing_subscription GROUP BY status, plan_id"
)


@cache
def amounts(dialect: str) -> TextClause:
    """What the items of paying subscriptions cost, by status, currency and interval; metered ones apart."""
    if dialect == "postgresql":
        each, member = "jsonb_array_elements(owner.items) AS item(value)", "item.value ->> '{}'"
    else:
        each, member = "json_each(owner.items) AS item", "json_extract(item.value, '$.{}')"
    metered = f"COALESCE(CAST({member.format('metered')} AS TEXT), '') IN ('true', '1')"
    price = f"CASE WHEN {metered} THEN NULL ELSE CAST({member.format('unit_amount')} AS NUMERIC) END"
    quantity = f"CAST(COALESCE({member.format('quantity')}, {_one(dialect)}) AS NUMERIC)"
    names = ", ".join(
        f"{member.format(name)} AS {alias}"
        for name, alias in (("currency", "currency"), ("interval", "unit"), ("interval_count", "units"))
    )
    return text(
        f"SELECT owner.status AS status, {names}, SUM({price} * {quantity}) AS amount, "
        f"SUM(CASE WHEN {price} IS NULL THEN 1 ELSE 0 END) AS unpriced "
        f"FROM billing_subscription AS owner, {each} "
        f"WHERE owner.status IN {REVENUE_STATUSES} GROUP BY 1, 2, 3, 4"
    )


def _one(dialect: str) -> str:
    return "'1'" if dialect == "postgresql" else "1"


PER_MINUTE = text(
    "SELECT (received_at - CAST(:since AS BIGINT)) / 60 AS minute, COUNT(*) AS number FROM billing_event "
    "WHERE received_at >= CAST(:since AS BIGINT) AND received_at < CAST(:until AS BIGINT) GROUP BY 1"
)
APPLIED_AFTER = text(
    "SELECT processed_at - created AS seconds FROM ("
    "SELECT processed_at, created, state, source FROM billing_event "
    "WHERE received_at >= CAST(:since AS BIGINT) ORDER BY received_at DESC, id DESC LIMIT 1000) AS newest "
    "WHERE state = 'processed' AND source <> 'internal' AND created IS NOT NULL ORDER BY 1"
)
"""Of the newest events of the window: how long after `created` each was applied."""


def capped(what: str, cap: int) -> TextClause:
    """How many rows of `what` (a table and its condition) there are, counted no further than the cap."""
    return text(f"SELECT COUNT(*) FROM (SELECT 1 FROM {what} LIMIT {cap + 1}) AS found")


def oldest(state: str) -> TextClause:
    """When the event was received that has been in this state the longest."""
    return text(f"SELECT received_at FROM billing_event WHERE state = '{state}' ORDER BY received_at LIMIT 1")
