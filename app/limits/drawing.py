"""How a consumable is drawn down from grants, beyond the allowance of its period.

What was drawn lies in the row of usage, `drawn`: of each grant what was taken ever (`taken`), the period that
it was taken in last (`period`, its start), how much in that (`in`), and when (`last`, the row's version, and
`place` among the grants of then). What the grants are comes with the statement, as `:grants`, a JSON array
of `{"id", "amount"}` in the order of drawing; the user's version, which every change of a grant counts up,
says that it is still so. `used` counts all, from wherever it came. So one statement on one row is enough, as
it is without grants.
"""

from functools import cache

from ..plans import MAX_AMOUNT
from .words import AMOUNT, LIMIT, OVER, START, USED, Words

ALLOWANCE = "CAST(:allowance AS BIGINT)"
PERIOD_NOW = f"CASE WHEN {OVER} THEN {START} ELSE usage.period_start END"


class Drawing:
    """How a dialect reads and writes `drawn`."""

    def __init__(self, dialect: str) -> None:
        self.postgresql = dialect == "postgresql"
        self.words = Words(dialect)
        if self.postgresql:
            self.least, self.greatest, self.nothing = "LEAST", "GREATEST", "'{}'::jsonb"
            self.each = "jsonb_each(usage.drawn) AS each(id, entry)"
            self.grants = (
                "jsonb_array_elements(CAST(:grants AS jsonb)) WITH ORDINALITY AS listed(entry, place)"
            )
            self.id, self.place = "each.id", "listed.place"
        else:
            self.least, self.greatest, self.nothing = "MIN", "MAX", "'{}'"
            self.each = "json_each(usage.drawn) AS each"
            self.grants = "json_each(:grants) AS listed"
            self.id, self.place = "each.key", "listed.key"

    def member(self, name: str) -> str:
        """A number in an entry of `drawn`."""
        if self.postgresql:
            return f"CAST(each.entry ->> '{name}' AS BIGINT)"
        return f"json_extract(each.value, '$.{name}')"

    def of_grant(self, name: str) -> str:
        """The number in the entry of a listed grant; 0 where nothing was drawn from it yet."""
        if self.postgresql:
            return f"COALESCE(CAST(usage.drawn -> (listed.entry ->> 'id') ->> '{name}' AS BIGINT), 0)"
        path = f"""'$."' || json_extract(listed.value, '$.id') || '".{name}'"""
        return f"COALESCE(json_extract(usage.drawn, {path}), 0)"

    def listed(self, name: str) -> str:
        """A member of a listed grant."""
        if self.postgresql:
            return f"(listed.entry ->> '{name}')"
        return f"json_extract(listed.value, '$.{name}')"

    @property
    def in_period(self) -> str:
        """What the open period has drawn from all grants."""
        here = f"CASE WHEN {self.member('period')} = {PERIOD_NOW} THEN {self.member('in')} ELSE 0 END"
        total = f"(SELECT CAST(COALESCE(SUM({here}), 0) AS BIGINT) FROM {self.each})"
        return f"CASE WHEN usage.drawn = {self.nothing} THEN 0 ELSE {total} END"

    @property
    def left_of_grant(self) -> str:
        return f"{self.greatest}(CAST({self.listed('amount')} AS BIGINT) - {self.of_grant('taken')}, 0)"

    @property
    def left(self) -> str:
        """What is left of all listed grants."""
        return f"(SELECT CAST(COALESCE(SUM({self.left_of_grant}), 0) AS BIGINT) FROM {self.grants})"

    def free(self, limit: str) -> str:
        """What is free of the allowance, by this limit."""
        used = f"{self.greatest}({USED} - ({self.in_period}), 0)"
        return f"{self.greatest}({limit} - {used}, 0)"

    def fits(self, *holds: str) -> str:
        """Whether the amount fits into the allowance and the grants, beside the holds."""
        held = self.words.held(*holds)
        room = f"{AMOUNT} - {self.left} <= {self.free(LIMIT)} - {held}"
        return f"{USED} <= {MAX_AMOUNT} - {AMOUNT} AND {room}"

    def wanted(self, amount: str) -> str:
        """What of an amount is to be drawn from grants: what the allowance has no room for."""
        return f"{self.greatest}({amount} - {self.free(ALLOWANCE)}, 0)"

    def returned(self, measured: str) -> str:
        """What of the grants' is to be returned when less was measured than was used."""
        beyond = f"{self.greatest}({measured} - {ALLOWANCE}, 0)"
        return f"{self.greatest}({self.least}(({self.in_period}) - {beyond}, {USED} - {measured}), 0)"

    def _entry(self, taken: str, inside: str, last: str, period: str = PERIOD_NOW) -> str:
        made = "jsonb_build_object" if self.postgresql else "json_object"
        members = f"'taken', {taken}, 'period', {period}, 'in', {inside}, 'last', {last}, 'place', place"
        return f"{made}({members})"

    def drawn_more(self, amount: str) -> str:
        """`drawn` after the grants have given what the allowance has no room for, as far as they can."""
        here = f"{self.of_grant('period')} = {PERIOD_NOW}"
        grants = (
            f"SELECT {self.listed('id')} AS id, {self.place} AS place, {self.left_of_grant} AS room, "
            f"{self.of_grant('taken')} AS taken, "
            f"CASE WHEN {here} THEN {self.of_grant('in')} ELSE 0 END AS inside FROM {self.grants}"
        )
        entry = self._entry("taken + share", "inside + share", "usage.version + 1")
        return self._changed(grants, self.wanted(amount), "place", entry)

    def drawn_less(self, amount: str, period: str = PERIOD_NOW) -> str:
        """`drawn` after an amount was returned to the grants that the period has drawn from, the one drawn
        from last in front."""
        grants = (
            f"SELECT {self.id} AS id, {self.member('taken')} AS taken, {self.member('period')} AS period, "
            f"{self.member('in')} AS room, {self.member('last')} AS last, {self.member('place')} AS place "
            f"FROM {self.each} WHERE {self.member('period')} = {period}"
        )
        entry = self._entry("taken - share", "room - share", "last", "period")
        changed = self._changed(grants, amount, "last DESC, place DESC", entry)
        return f"CASE WHEN usage.drawn = {self.nothing} THEN usage.drawn ELSE {changed} END"

    def _changed(self, grants: str, wanted: str, order: str, entry: str) -> str:
        """`drawn` with what becomes of the grants that have a `share` of what is wanted, up to their `room`
        and in this order.

        Named queries, as SQLite's parser takes no deep nesting.
        """
        earlier = (
            f"CAST(COALESCE(SUM(room) OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING "
            "AND 1 PRECEDING), 0) AS BIGINT)"
        )
        share = f"{self.least}(room, wanted - earlier)"
        queries = (
            f"WITH asked(wanted) AS (SELECT {wanted}), given AS ({grants}), "
            f"summed AS (SELECT given.*, {earlier} AS earlier FROM given), "
            f"shares AS (SELECT summed.*, {share} AS share FROM summed, asked WHERE {share} > 0)"
        )
        if self.postgresql:
            made = f"COALESCE(jsonb_object_agg(id, {entry}), '{{}}'::jsonb)"
            return f"usage.drawn || ({queries} SELECT {made} FROM shares)"
        return f"json_patch(usage.drawn, ({queries} SELECT json_group_object(id, {entry}) FROM shares))"


@cache
def drawing(dialect: str) -> Drawing:
    return Drawing(dialect)
