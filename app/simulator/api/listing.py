"""Lists as Stripe pages them: newest first, by cursors that are ids."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice

from ..shapes import Json
from . import forms
from .call import Call, Found
from .errors import invalid, no_such
from .expansion import expand
from .index import Facet, Index, Place, newest_first, oldest_first
from .rendering import show

COMMON = ("limit", "starting_after", "ending_before", "expand")
BOUNDS = ("gt", "gte", "lt", "lte")
BEGINNING = 0
END = 1 << 62


@dataclass(frozen=True)
class Selection:
    """What a list shows of an index: the objects with all facets of `every`, and one of `either` if given.

    `runs` are places to walk instead of the index's own; `allows` is asked last.
    """

    index: Index
    every: Sequence[Facet] = ()
    either: Sequence[Facet] | None = None
    runs: Sequence[Sequence[Place]] | None = None
    allows: Callable[[str], bool] = field(default=lambda id: True)
    since: int = BEGINNING

    def walked(self) -> Sequence[Sequence[Place]]:
        """The fewest places among which all that is wanted stands."""
        if self.runs is not None:
            return self.runs
        narrow = [self.index.smallest(self.every)]
        if self.either is None:
            return narrow
        wide = self.index.runs(self.either)
        return wide if sum(map(len, wide)) < len(narrow[0]) else narrow

    def __contains__(self, id: str) -> bool:
        has = self.index.has
        return (
            all(has(id, facet) for facet in self.every)
            and (self.either is None or any(has(id, facet) for facet in self.either))
            and self.allows(id)
        )


def page(
    call: Call,
    noun: str,
    selection: Selection,
    look_up: Callable[[str], Found],
    filters: Collection[str] = (),
) -> Json:
    """The page of a list that the request asks for; `filters` are the parameters that made the selection.

    Raises:
        ApiError: 400 for a limit not in 1 to 100, an unknown cursor or parameter, or both cursors.
    """
    forms.known(call.params, (*COMMON, "created", *filters))
    limit = limit_of(call)
    after, before = forms.text(call.params, "starting_after"), forms.text(call.params, "ending_before")
    low, high = _created(call, selection.since)
    if after and before:
        raise invalid(
            "You may only specify one of these parameters: starting_after, ending_before.", "starting_after"
        )
    if before:
        walk = oldest_first(
            selection.walked(), max(low, _cursor(call, noun, selection, "ending_before")), high
        )
    elif after:
        walk = newest_first(
            selection.walked(), low, min(high, _cursor(call, noun, selection, "starting_after"))
        )
    else:
        walk = newest_first(selection.walked(), low, high)
    chosen = (place.id for place in walk if place.id in selection)
    found = list(islice(chosen, limit + 1)) if not call.other_mode else []
    shown = found[:limit]
    if before:
        shown.reverse()
    content = envelope(call.path, [show(call, look_up(id)) for id in shown], has_more=len(found) > limit)
    return expand(call, content, forms.texts(call.params, "expand"))


def envelope(path: str, data: list[Json], *, has_more: bool = False) -> Json:
    return {"object": "list", "url": path, "has_more": has_more, "data": data}


def limit_of(call: Call) -> int:
    limit = forms.integer(call.params, "limit")
    if limit is None:
        return 10
    if limit < 1:
        raise invalid("This value must be greater than or equal to 1.", "limit", "parameter_invalid_integer")
    if limit > 100:
        raise invalid("This value must be less than or equal to 100.", "limit", "parameter_invalid_integer")
    return limit


def _cursor(call: Call, noun: str, selection: Selection, param: str) -> Place:
    id = call.params[param]
    place = selection.index.places.get(id)
    if place is None or call.other_mode or place.created < selection.since:
        raise no_such(noun, id, param=param, status=400)
    return place


def _created(call: Call, since: int) -> tuple[Place, Place]:
    """Places just below and just above those of the time asked for: `created=…` or `created[gte]=…`."""
    asked = call.params.get("created")
    if isinstance(asked, str):
        exact = forms.integer(call.params, "created") or 0
        return _before(max(exact, since)), _before(exact + 1)
    bounds = forms.hashed(call.params, "created")
    forms.known(bounds, BOUNDS, "created")
    times = {name: forms.integer(bounds, name, prefix="created") for name in bounds}
    lows = [since, times.get("gte") or 0, (times.get("gt", -1) or 0) + 1]
    highs = [END]
    if (lt := times.get("lt")) is not None:
        highs.append(lt)
    if (lte := times.get("lte")) is not None:
        highs.append(lte + 1)
    return _before(max(lows)), _before(min(highs))


def _before(created: int) -> Place:
    return Place(created, -1, "")
