"""The statements that take from a consumable with grants: as those without (`statements`), but see `drawing`.

They change the user's row of usage, which must be there.
"""

from functools import cache

from sqlalchemy import TextClause, text

from ..plans import MAX_AMOUNT
from .drawing import drawing
from .words import AMOUNT, CHANGED, NEW_KEY, PERIOD, ROW, SAME_VERSION, USED


@cache
def consume(dialect: str, *, keyed: bool) -> TextClause:
    """As `statements.consume`, with grants."""
    own = drawing(dialect)
    key = f" AND {NEW_KEY}" if keyed else ""
    return text(
        f"UPDATE billing_usage AS usage SET used = {USED} + {AMOUNT}, over_since = NULL, "
        f"drawn = {own.drawn_more(AMOUNT)}, {PERIOD}, {CHANGED} "
        f"{ROW} AND {SAME_VERSION}{key} AND {own.fits()} RETURNING {own.words.returned}"
    )


@cache
def hold(dialect: str) -> TextClause:
    """As `statements.hold`, with grants. Nothing is drawn before the hold is committed."""
    own = drawing(dialect)
    return text(
        f"UPDATE billing_usage AS usage SET holds = {own.words.append.format(own.words.kept())}, "
        f"used = {USED}, {PERIOD}, {CHANGED} "
        f"{ROW} AND {SAME_VERSION} AND {own.fits()} RETURNING {own.words.returned}"
    )


@cache
def finish(dialect: str) -> TextClause:
    """As `statements.finish`, with grants."""
    own = drawing(dialect)
    words = own.words
    return text(
        f"UPDATE billing_usage AS usage SET used = {USED} + {AMOUNT}, holds = ({words.kept(words.others)}), "
        f"drawn = {own.drawn_more(AMOUNT)}, {PERIOD}, {CHANGED} "
        f"{ROW} AND {SAME_VERSION} AND {USED} <= {MAX_AMOUNT} - {AMOUNT} "
        f"AND ({AMOUNT} <= {words.held(words.mine)} OR ({own.fits(words.others)})) "
        f"RETURNING {words.returned}"
    )
