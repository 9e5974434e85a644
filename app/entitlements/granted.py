"""A grant: a dated amount of a feature, or a plan, of one user's own. Times are Unix seconds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..plans import MAX_AMOUNT

GrantSource = Literal["operator", "code", "purchase"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn from a grant."""

    taken: int = 0
    """Ever."""
    in_period: int = 0
    """In the usage period that is open now."""


NOT_DRAWN = Drawn()


@dataclass(frozen=True, slots=True)
class Grant:
    """What was granted, and how much of it was drawn."""

    id: str
    source: GrantSource
    feature: str | None
    amount: int
    """Of the feature, less what was clawed back; 0 for a plan."""
    plan: str | None
    starts_at: int
    expires_at: int | None
    """When it ends, by its own time or because somebody ended it."""
    created_at: int
    priority: int = 0
    reason: str | None = None
    actor: str | None = None
    offer: str | None = None
    """What was bought, such as `credits.top_up_100`."""
    clawed_back: int = 0
    in_force: bool = True
    drawn: Drawn = NOT_DRAWN

    @property
    def left(self) -> int:
        """What may still be drawn, while the grant is in force."""
        return max(self.amount - self.drawn.taken, 0) if self.in_force else 0

    @property
    def order(self) -> tuple[Any, ...]:
        """Which of several grants is drawn down first: by priority, expiry, age."""
        ends = MAX_AMOUNT if self.expires_at is None else self.expires_at
        return (self.priority, ends, self.created_at, self.id)

    def at(self, now: int) -> "Grant":
        """The same, as it stands at `now`."""
        lasts = self.expires_at is None or now < self.expires_at
        return replace(self, in_force=self.starts_at <= now and lasts)

    def changes_after(self, now: int) -> int | None:
        """The next moment at which it begins or ends."""
        later = [each for each in (self.starts_at, self.expires_at) if each is not None and each > now]
        return min(later, default=None)


def in_draw_order(grants: Iterable[Grant], now: int) -> tuple[Grant, ...]:
    """All of them as they stand at `now`, the one that is drawn down first in front."""
    return tuple(sorted((each.at(now) for each in grants), key=lambda each: each.order))


def with_drawn(grants: Iterable[Grant], drawn: Mapping[str, Mapping[str, Drawn]]) -> tuple[Grant, ...]:
    """The same, with what was drawn from them: by feature, then by grant."""
    return tuple(
        replace(each, drawn=drawn.get(each.feature or "", {}).get(each.id, NOT_DRAWN)) for each in grants
    )
