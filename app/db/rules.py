"""By which rules a row was written: those of an earlier release are reapplied."""

from typing import Protocol

RULES_VERSION = 2
"""The rules by which events become records. Count it up when a rule changes: a backfill reapplies all rows.

Rows without a version were written by rules 1, from before rows said so.
"""


class RuledRow(Protocol):
    """A row that says by which rules it was written."""

    @property
    def rules_version(self) -> int | None: ...
    @property
    def rules_row_version(self) -> int | None: ...
    @property
    def version(self) -> int: ...


def follows_rules(row: RuledRow) -> bool:
    """Whether a row follows today's rules.

    A process of an earlier release leaves `rules_version` as it is and counts `version` up: the row then has
    another version than it had when the rules were applied.
    """
    return row.rules_version == RULES_VERSION and row.rules_row_version == row.version
