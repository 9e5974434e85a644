"""A subscription's usage periods, from its record. Pure. Times are Unix seconds.

Stripe's `current_period_start` moves for several reasons, and not each of them opens a usage period ("How
subscriptions work"; "Using a custom billing cycle anchor"). A change of price or interval opens none, even
where Stripe begins a new billing period: else a yearly subscriber who changes to monthly and back would have
a new allowance each time. Which moves opened none is in the record's `period_changes`, a set of facts, each
from one event: `{"start", "from": [start, end], "anchor"}` says that the period which Stripe began at `start`
goes on with the usage period of the one before; `{"start", "opened"}` that one opened, and when. A fact that
was seen by comparing two fetched states is `weak`: an event knows it better.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

MAX_CHANGES = 20
"""How many facts a record keeps: those with the latest starts."""

SHORTEST_MONTH_SECONDS = 28 * 86_400

Fact = dict[str, Any]


class Span(NamedTuple):
    """From `start` up to, not including, `end`; and the anchor that monthly steps count from."""

    start: int
    end: int
    anchor: int


class Mark(NamedTuple):
    """A moment at which a month opened by itself (`anchor` None), or until which months count from `anchor`.

    Both in Unix seconds.
    """

    at: int
    anchor: int | None


@dataclass(frozen=True, slots=True)
class BillingCycle:
    """When the usage periods of one subscription open."""

    began: int
    """When the subscription began."""
    opened: int
    """When the newest usage period opened that Stripe's current period goes on with, or began."""
    closes: int
    """When that one ends, unless Stripe's period ends before."""
    ends: int
    """When Stripe's current period ends, as far as events say: then another one opens."""
    anchor: int
    """What monthly steps count from in the period that opened at `opened`."""
    anchor_then: int
    """The same in the one that opens at `closes`."""
    renewed: tuple[int, ...] = ()
    """When the periods after that one end, each beginning with the end of the one before: those that a paid
    invoice shows while the event of the renewal is missing."""
    ended: int | None = None
    """Since when it opens none any more: it is over, or paused. None while it renews."""
    lost_at: int | None = None
    """When a renewal that nobody has seen is no longer awaited."""
    months: "tuple[Mark, ...]" = ()
    """Where Stripe's periods are of days or weeks: what the months are counted by that go on over renewals.
    Empty: each of Stripe's periods has monthly steps of its own."""

    @property
    def last_end(self) -> int:
        """The end of the last known period, from an event or a paid invoice."""
        return self.renewed[-1] if self.renewed else self.ends

    def over_since(self, now: int) -> int | None:
        """As `ended`, at `now`."""
        lost = self.lost_at is not None and now >= self.lost_at
        return self.last_end if self.ended is None and lost else self.ended

    def span(self, now: int) -> Span:
        """The usage period at `now`. The last one stays open until a renewal is seen."""
        close = min(self.closes, self.ends)
        span = Span(self.opened, close, self.anchor)
        for end in (self.ends, *self.renewed):
            if span.end <= now and span.end < end:
                span = Span(span.end, end, self.anchor_then)
        return span


def billing_cycle(
    *,
    began: int,
    start: int,
    end: int,
    anchor: int | None,
    changes: Iterable[Mapping[str, Any]],
    renewed: tuple[int, ...] = (),
    ended: int | None = None,
    lost_at: int | None = None,
    by_days: bool = False,
) -> BillingCycle:
    """The cycle of a subscription whose current period at Stripe is from `start` to `end`.

    `by_days`: it is billed by days or weeks, which no month is made of.
    """
    own, facts = start if anchor is None else anchor, _by_start(changes)
    opened = _opened(Span(start, end, own), facts)
    before = start in facts and opened.end - opened.start < SHORTEST_MONTH_SECONDS
    months = _marks(began, end, own, facts) if by_days or before else ()
    return BillingCycle(
        began, opened.start, opened.end, end, opened.anchor, own, renewed, ended, lost_at, months
    )


def _marks(began: int, end: int, own: int, facts: Mapping[int, Mapping[str, Any]]) -> tuple[Mark, ...]:
    """What opened a period by itself, or moved the anchor, in the order of time.

    That one opened where it begins at Stripe counts where an anchor is: else a renewal began it.
    """
    anchors = {own, *(fact.get("anchor") for fact in facts.values())}
    known = [
        Mark(fact.get("opened", start), fact.get("anchor"))
        for start, fact in facts.items()
        if fact.get("opened") != start or start in anchors
    ]
    later = [mark for mark in known if began < mark.at < end]
    return (Mark(began, None), *sorted(later, key=lambda mark: (mark.at, mark.anchor is None, mark)))


def _opened(stripes: Span, facts: Mapping[int, Mapping[str, Any]]) -> Span:
    """The usage period that Stripe's period goes on with, as it was when Stripe's began."""
    fact = facts.get(stripes.start, {})
    if "from" not in fact:
        moment = fact.get("opened", stripes.start)
        return stripes._replace(start=moment) if stripes.start < moment < stripes.end else stripes
    start, end = fact["from"]
    before = Span(start, end, fact["anchor"])
    opened = _opened(before, facts)
    if opened.end <= stripes.start:  # it was over by then, and the next one was open
        return before._replace(start=opened.end)
    return opened


def _by_start(changes: Iterable[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    return {fact["start"]: fact for fact in sorted(changes, key=_strength)}


def _strength(fact: Mapping[str, Any]) -> tuple[int, ...]:
    """Of facts about one start the greatest counts: what an event says, a change of price, the latest."""
    return (not fact.get("weak"), "from" in fact, fact.get("opened", 0), *fact.get("from", ()))


def merged(known: Sequence[Fact] | None, found: Iterable[Fact]) -> list[Fact]:
    """Both sets of facts, in one order; of many those with the latest starts. Merges in any order."""
    facts = {_identity(fact): fact for fact in (*(known or ()), *found)}
    return [facts[key] for key in sorted(facts)[-MAX_CHANGES:]]


def _identity(fact: Mapping[str, Any]) -> tuple[Any, ...]:
    return (fact["start"], *_strength(fact), fact.get("anchor", 0))
