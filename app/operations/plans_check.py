"""What another plan catalogue would change for whom: before a deploy, against the live database.

Every user's limits are computed by both catalogues from the same records at one moment. Nothing is written,
and the database is asked to refuse writes. Users who hold the same are computed once, so that 100,000 of them
take seconds; the answers are those of `entitle`, which a test compares user by user.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..checks.prices import unmapped_in_each
from ..db import Database
from ..errors import InvalidRequest
from ..limits.bulk import UserRecords, count_users, user_pages
from ..limits.bulk_answers import Answers, Given
from ..plans import Catalogue, KnownPrice, Value
from ..plans.values import EMPTY, strength

Json = dict[str, Any]
Change = Literal["gain", "lose", "over"]
CHANGES: tuple[Change, ...] = ("gain", "lose", "over")


@dataclass(frozen=True, slots=True)
class UserChange:
    """One user, one feature, and what the new catalogue does to it."""

    user_id: str
    feature: str
    change: Change
    """`over`: more is used than the new catalogue allows."""
    before: Value
    """The limit by the live catalogue; None is unlimited."""
    after: Value
    used: int | None
    """What is used of it now, where that is over the new limit."""
    payer: bool
    """Whether a subscription of the user entitles now."""
    plan: str | None
    new_plan: str | None
    allowed: bool
    """Whether `allow` names the feature or the user's plan."""

    @property
    def blocks(self) -> bool:
        """Whether it is a reason not to deploy."""
        return self.change == "lose" and self.payer and not self.allowed

    def as_json(self) -> Json:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class UnmappedInUse:
    """A price of live subscriptions that the new catalogue does not list, not even in [ignored]."""

    id: str
    subscriptions: int
    is_new: bool
    """Whether the live catalogue lists it."""
    remedy: str

    def as_json(self) -> Json:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class PlansCheck:
    """The counts, and the prices. The users are given to `on_change` one by one, as there may be many."""

    users: int = 0
    changed: int = 0
    """How many users gain, lose or are over."""
    counts: dict[str, Counter[Change]] = field(default_factory=dict)
    """By feature: how many users gain, lose, and would be over."""
    blocking: int = 0
    """How many losses of payers are not allowed."""
    unmapped: list[UnmappedInUse] = field(default_factory=list)

    @property
    def is_fine(self) -> bool:
        return not self.blocking and not self.unmapped

    def as_json(self) -> Json:
        features = {
            key: {change: counted[change] for change in CHANGES}
            for key, counted in sorted(self.counts.items())
        }
        return {
            "ok": self.is_fine,
            "users": self.users,
            "changed": self.changed,
            "blocking": self.blocking,
            "features": features,
            "unmapped_prices": [each.as_json() for each in self.unmapped],
        }


async def check_plans(
    database: Database,
    live: Catalogue,
    new: Catalogue,
    now: int,
    *,
    allow: Collection[str] = (),
    on_change: Callable[[UserChange], None] = lambda change: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PlansCheck:
    """Compare every user's limits at `now` (Unix seconds) by both catalogues.

    `allow`: features and plans whose payers may lose something. `on_progress` receives how many users are
    done, and of how many.

    Raises:
        InvalidRequest: when `allow` has what neither catalogue knows.
    """
    _check_allowed(allow, live, new)
    found = PlansCheck()
    known: dict[str, KnownPrice] = {}
    comparison = _Comparison(Answers(live, known, now), Answers(new, known, now), frozenset(allow), now)
    total = await count_users(database)
    async for page in user_pages(database, known):
        for records in page:
            changes = list(comparison.changes(records))
            found.changed += bool(changes)
            for change in changes:
                found.counts.setdefault(change.feature, Counter())[change.change] += 1
                found.blocking += change.blocks
                on_change(change)
        found.users += len(page)
        on_progress(found.users, max(total, found.users))
    found.unmapped = await _unmapped(database, live, new)
    return found


def _check_allowed(allow: Iterable[str], live: Catalogue, new: Catalogue) -> None:
    known = {*live.features, *new.features, *live.plans}
    names = sorted(known)
    if unknown := sorted(set(allow) - known):
        raise InvalidRequest(
            f"--allow {unknown[0]}: no feature and no plan has that name. Use: {', '.join(names)}."
        )


async def _unmapped(database: Database, live: Catalogue, new: Catalogue) -> list[UnmappedInUse]:
    by_live, by_new = await unmapped_in_each(database, [live, new])
    before = {each.id for each in by_live}
    return [
        UnmappedInUse(each.id, len(each.subscriptions), each.id not in before, each.remedy) for each in by_new
    ]


class _Comparison:
    def __init__(self, live: Answers, new: Answers, allow: frozenset[str], now: int) -> None:
        self._live, self._new, self._allow, self._now = live, new, allow, now

    def changes(self, records: UserRecords) -> Iterator[UserChange]:
        judged = self._live.judged(records)
        before = self._live.given(records, self._live, judged)
        after = self._new.given(records, self._live, judged)
        changed: list[tuple[str, Change, int | None]] = []
        if before != after:
            changed += [(each, change, None) for each, change in self._differences(before, after)]
        for row in records.usage:
            given = after.get(row.feature)
            used = None if given is None else self._new.used(records, row, given.ceiling)
            if used is not None:
                changed.append((row.feature, "over", used))
        if not changed:
            return
        payer = any(each.entitles and not each.grants_nothing for each in judged)
        plan_id, new_plan_id = self._live.plan(records), self._new.plan(records)
        for feature, change, used in sorted(changed, key=lambda each: each[:2]):
            was, now = before.get(feature), after.get(feature)
            yield UserChange(
                user_id=records.user_id,
                feature=feature,
                change=change,
                before=was.value if was else self._empty(feature),
                after=now.value if now else self._empty(feature),
                used=used,
                payer=payer,
                plan=plan_id,
                new_plan=new_plan_id,
                allowed=not self._allow.isdisjoint({feature, plan_id}),
            )

    def _differences(
        self, before: Mapping[str, Given], after: Mapping[str, Given]
    ) -> Iterator[tuple[str, Change]]:
        for feature in before.keys() | after.keys():
            empty = Given(self._empty(feature), False, 0)
            change = _difference(before.get(feature, empty), after.get(feature, empty))
            if change is not None:
                yield feature, change

    def _empty(self, feature: str) -> Value:
        """What a catalogue gives that does not have the feature."""
        known = self._live.catalogue.features.get(feature) or self._new.catalogue.features[feature]
        return EMPTY[known.type]


def _difference(before: Given, after: Given) -> Change | None:
    """Less is a loss, and so is another text in the place of one, or that a limit may no longer be passed."""
    was, now = strength(before.value), strength(after.value)
    if isinstance(before.value, str) and isinstance(after.value, str) and before.value != after.value:
        return "lose" if before.value else "gain"
    bounded = before.soft and not after.soft and after.value is not None
    if now < was or bounded:
        return "lose"
    return "gain" if now > was or (after.soft and not before.soft and before.value is not None) else None
