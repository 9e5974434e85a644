"""The statements about usage, which both databases understand but for a few words.

A user's usage of a feature is one row. Every statement that takes from it is guarded by conditions on that
row alone and on the user's version: it needs no lock before it, and any number of transactions may run it at
once. Amounts never overflow: the limit is compared with what is left, not with a sum.
"""

from functools import cache

from sqlalchemy import TextClause, text

from ..plans import MAX_AMOUNT
from .drawing import drawing
from .words import (
    AMOUNT,
    CHANGED,
    END,
    INCLUDED,
    LIMIT,
    NEW_KEY,
    NOW,
    OVER,
    PERIOD,
    ROW,
    SAME_VERSION,
    START,
    USED,
    Words,
    still_over,
)


@cache
def consume(dialect: str, *, keyed: bool) -> TextClause:
    """Take `:amount`, if the limit that holds now allows it. One row if it did: `used`, `period_end`."""
    words = Words(dialect)
    conditions = f"{AMOUNT} <= {LIMIT} AND {SAME_VERSION}" + (f" AND {NEW_KEY}" if keyed else "")
    return text(
        "INSERT INTO billing_usage AS usage "
        "(user_id, feature, used, holds, period_start, period_end, included, updated_at) "
        f"SELECT CAST(:user_id AS TEXT), CAST(:feature AS TEXT), {AMOUNT}, {words.empty}, "
        f"{START}, {END}, {INCLUDED}, {NOW} "
        f"WHERE {conditions} "
        f"ON CONFLICT (user_id, feature) DO UPDATE SET "
        f"used = {USED} + {AMOUNT}, over_since = NULL, {PERIOD}, {CHANGED} "
        f"WHERE {USED} <= {LIMIT} - {AMOUNT} - {words.held()} "
        f"RETURNING {words.returned}"
    )


@cache
def hold(dialect: str) -> TextClause:
    """As `consume`, but add `:hold` to the row's holds. Holds that have expired are dropped."""
    words = Words(dialect)
    first = words.append.format(words.empty) if dialect == "postgresql" else f"json_array({words.json})"
    return text(
        "INSERT INTO billing_usage AS usage "
        "(user_id, feature, used, holds, period_start, period_end, included, updated_at) "
        "SELECT CAST(:user_id AS TEXT), CAST(:feature AS TEXT), 0, "
        f"{first}, {START}, {END}, {INCLUDED}, {NOW} "
        f"WHERE {AMOUNT} <= {LIMIT} AND {SAME_VERSION} "
        "ON CONFLICT (user_id, feature) DO UPDATE SET "
        f"holds = {words.append.format(words.kept())}, used = {USED}, {PERIOD}, {CHANGED} "
        f"WHERE {USED} <= {LIMIT} - {AMOUNT} - {words.held()} "
        f"RETURNING {words.returned}"
    )


@cache
def finish(dialect: str) -> TextClause:
    """Take `:amount` in place of the hold `:hold_id`: always what it still holds, beyond that guarded.

    Nothing where the user's version is another one: there may be a grant now to draw the amount from.
    """
    words = Words(dialect)
    guard = f"{USED} <= {LIMIT} - {AMOUNT} - {words.held(words.others)}"
    return text(
        f"UPDATE billing_usage AS usage SET used = {USED} + {AMOUNT}, "
        f"holds = ({words.kept(words.others)}), {PERIOD}, {CHANGED} "
        f"{ROW} AND {SAME_VERSION} AND {USED} <= {MAX_AMOUNT} - {AMOUNT} "
        f"AND ({AMOUNT} <= {words.held(words.mine)} OR ({guard})) "
        f"RETURNING {words.returned}"
    )


@cache
def drop_hold(dialect: str) -> TextClause:
    """Release the hold `:hold_id`."""
    words = Words(dialect)
    return text(
        f"UPDATE billing_usage AS usage SET holds = ({words.kept(words.others)}) {ROW} "
        f"RETURNING {words.returned}"
    )


@cache
def release(dialect: str, *, enough: bool = False) -> TextClause:
    """Give `:amount` back, to the grants that this period has drawn from, then to its allowance.

    Usage never falls below 0. `enough`: only where so much is used.
    """
    words, own = Words(dialect), drawing(dialect)
    returned = own.drawn_less(f"{own.least}({AMOUNT}, {USED})")
    guard = f"AND {USED} >= {AMOUNT} " if enough else ""
    left = f"CASE WHEN {USED} > {AMOUNT} THEN {USED} - {AMOUNT} ELSE 0 END"
    return text(
        f"UPDATE billing_usage AS usage SET used = {left}, drawn = {returned}, {still_over(left)}, {PERIOD}, "
        f"{CHANGED} {ROW} "
        f"{guard}RETURNING {words.returned}"
    )


@cache
def release_closed(dialect: str, enough: bool) -> TextClause:
    """Give `:amount` back to the row's own period, which is over and held the moment `:at`. `enough`: only
    where so much was used."""
    words = Words(dialect)
    guard = f"AND usage.used >= {AMOUNT} " if enough else ""
    returned = drawing(dialect).drawn_less(AMOUNT, "usage.period_start")
    return text(
        f"UPDATE billing_usage AS usage SET used = CASE WHEN usage.used > {AMOUNT} "
        f"THEN usage.used - {AMOUNT} ELSE 0 END, drawn = {returned}, {CHANGED} "
        f"{ROW} AND {OVER} AND usage.period_start <= CAST(:at AS BIGINT) "
        f"AND usage.period_end > CAST(:at AS BIGINT) {guard}RETURNING {words.returned}"
    )


@cache
def release_kept(enough: bool) -> TextClause:
    """Give `:amount` back to the closed period that held the moment `:at`, where it is still kept. `enough`:
    only where so much was used."""
    guard = f"AND used >= {AMOUNT} " if enough else ""
    return text(
        f"UPDATE billing_usage_period SET used = CASE WHEN used > {AMOUNT} THEN used - {AMOUNT} ELSE 0 END "
        "WHERE user_id = :user_id AND feature = :feature AND period_start = ("
        "SELECT MAX(period_start) FROM billing_usage_period AS kept WHERE kept.user_id = :user_id "
        "AND kept.feature = :feature AND kept.period_start <= CAST(:at AS BIGINT) "
        f"AND kept.period_end > CAST(:at AS BIGINT)) {guard}RETURNING used, period_start"
    )


@cache
def return_drawn(dialect: str) -> TextClause:
    """Return `:amount` to the grants that were last drawn from in the period that began at `:began`."""
    returned = drawing(dialect).drawn_less(AMOUNT, "CAST(:began AS BIGINT)")
    return text(f"UPDATE billing_usage AS usage SET drawn = {returned} {ROW}")


ENSURE_ROW = text(
    "INSERT INTO billing_usage (user_id, feature, used, holds, period_start, period_end, included, "
    "updated_at) VALUES (:user_id, :feature, 0, '[]', :period_start, :period_end, :included, :now) "
    "ON CONFLICT (user_id, feature) DO NOTHING"
)
"""A row that can be locked, for a user who has used nothing yet."""


@cache
def set_usage(dialect: str, *, granted: bool = False) -> TextClause:
    """Say what is used; with `:seen`, the row's version, only if nothing has changed since.

    What is more than before is drawn as it is by `consume`; what is less is returned to the grants, except
    for what the allowance has no room for. `granted`: the user has grants of the feature.
    """
    words, own = Words(dialect), drawing(dialect)
    drawn = f"CASE WHEN {AMOUNT} < {USED} THEN {own.drawn_less(own.returned(AMOUNT))} "
    if granted:
        more = own.drawn_more(f"({AMOUNT} - {USED})")
        drawn += f"WHEN {AMOUNT} > {USED} AND {SAME_VERSION} THEN {more} "
    return text(
        "INSERT INTO billing_usage AS usage "
        "(user_id, feature, used, holds, period_start, period_end, included, updated_at) "
        f"VALUES (:user_id, :feature, {AMOUNT}, {words.empty}, {START}, {END}, {INCLUDED}, {NOW}) "
        "ON CONFLICT (user_id, feature) DO UPDATE SET "
        f"used = {AMOUNT}, drawn = {drawn}ELSE usage.drawn END, {still_over(AMOUNT)}, {PERIOD}, {CHANGED} "
        "WHERE CAST(:seen AS BIGINT) IS NULL OR usage.version = CAST(:seen AS BIGINT) "
        f"RETURNING {words.returned}"
    )


@cache
def lock(dialect: str) -> TextClause:
    """Let nobody else change the usage until the transaction ends; SQLite has one writer anyway."""
    words = "FOR UPDATE" if dialect == "postgresql" else ""
    return text(f"SELECT used FROM billing_usage {ROW} {words}")


MARK_OVER = text(
    "UPDATE billing_usage SET over_since = CAST(:now AS BIGINT) WHERE user_id = :user_id "
    "AND feature = :feature AND over_since IS NULL RETURNING feature"
)
"""Note since when more is used than the limit. One row for who does so first."""
UNMARK_OVER = text(
    "UPDATE billing_usage SET over_since = NULL WHERE user_id = :user_id AND feature = :feature "
    "AND over_since IS NOT NULL"
)


@cache
def set_thresholds(dialect: str) -> TextClause:
    """Note which thresholds are announced. The transaction has the row's lock."""
    value = "CAST(:thresholds AS jsonb)" if dialect == "postgresql" else ":thresholds"
    return text(f"UPDATE billing_usage SET thresholds = {value} {ROW}")


PUT_OVERAGE = text(
    "INSERT INTO billing_usage_overage (user_id, feature, period_start, due_at) "
    "VALUES (:user_id, :feature, :period_start, :due_at) ON CONFLICT DO NOTHING"
)


@cache
def usage_of(dialect: str) -> TextClause:
    """What the user has used of every feature, live holds included, and until when those stay as they are."""
    words = Words(dialect)
    return text(
        f"SELECT feature, used, {words.held()} AS held, {words.held_until()} AS held_until, period_start, "
        "period_end, over_since, drawn "
        "FROM billing_usage AS usage WHERE user_id = :user_id"
    )


PUT_KEY = text(
    "INSERT INTO billing_usage_key AS stored "
    "(user_id, feature, operation, key, amount, decision, expires_at) "
    "VALUES (:user_id, :feature, :operation, :key, :amount, :decision, :expires_at) "
    "ON CONFLICT (user_id, feature, operation, key) DO UPDATE SET amount = excluded.amount, "
    "decision = excluded.decision, expires_at = excluded.expires_at "
    f"WHERE stored.expires_at <= {NOW} RETURNING key"
)
SET_KEY = text(
    "UPDATE billing_usage_key SET decision = :decision WHERE user_id = :user_id AND feature = :feature "
    "AND operation = :operation AND key = :key"
)
GET_KEY = text(
    "SELECT amount, decision FROM billing_usage_key WHERE user_id = :user_id AND feature = :feature "
    f"AND operation = :operation AND key = :key AND expires_at > {NOW}"
)


@cache
def lock_key(dialect: str) -> TextClause:
    """As `GET_KEY`, and nobody else changes the row until the transaction ends."""
    return text(GET_KEY.text + (" FOR UPDATE" if dialect == "postgresql" else ""))
