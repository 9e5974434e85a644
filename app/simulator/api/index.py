"""Where an object stands in a list, so that a page costs as much in a large account as in a small one."""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from typing import NamedTuple

Facet = tuple[str, Hashable]
"""A property that lists are filtered by, and its value."""

ALL: Facet = ("", "")


class Place(NamedTuple):
    """The order of a list: by creation (Unix seconds), within a second in the order of making."""

    created: int
    number: int
    id: str


class Index:
    """The ids of one kind of object in the order of their creation, for each facet apart.

    An object is put again when it has changed; only what is put here is found here.
    """

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self._facets: dict[str, tuple[Facet, ...]] = {}
        self._runs: dict[Facet, list[Place]] = {ALL: []}
        self._same: dict[Facet, Facet] = {}

    def put(self, id: str, created: int, facets: Mapping[str, Hashable]) -> None:
        """Add an object, or note what has become of it; a tuple for value stands for several values."""
        place = self.places.get(id)
        if place is None:
            place = self.places[id] = Place(created, len(self.places), id)
            insort(self._runs[ALL], place)
        had, has = self._facets.get(id, ()), tuple(self._pairs(facets))
        for facet in had:
            if facet not in has:
                run = self._runs[facet]
                del run[bisect_left(run, place)]
        for facet in has:
            if facet not in had:
                insort(self._runs.setdefault(facet, []), place)
        self._facets[id] = has

    def smallest(self, facets: Iterable[Facet]) -> Sequence[Place]:
        """The shortest run that holds all objects which have these facets."""
        return min((self._runs.get(facet, ()) for facet in (ALL, *facets)), key=len)

    def runs(self, facets: Iterable[Facet]) -> list[Sequence[Place]]:
        return [self._runs[facet] for facet in facets if facet in self._runs]

    def has(self, id: str, facet: Facet) -> bool:
        return facet in self._facets[id]

    def values(self, name: str) -> list[str]:
        """The values that any object ever had under this name."""
        return [str(value) for facet, value in self._runs if facet == name]

    def _pairs(self, facets: Mapping[str, Hashable]) -> Iterator[Facet]:
        """One tuple for all objects with the same facet: of 100,000 objects that is most of the memory."""
        for name, value in facets.items():
            for one in dict.fromkeys(value) if isinstance(value, tuple) else (value,):
                facet = (name, one)
                yield self._same.setdefault(facet, facet)


def newest_first(runs: Sequence[Sequence[Place]], low: Place, high: Place) -> Iterator[Place]:
    """What lies between both, without them, newest first; lazily."""
    return merge(*(_down(run, low, high) for run in runs), reverse=True)


def oldest_first(runs: Sequence[Sequence[Place]], low: Place, high: Place) -> Iterator[Place]:
    return merge(*(_up(run, low, high) for run in runs))


def _down(run: Sequence[Place], low: Place, high: Place) -> Iterator[Place]:
    for n in range(bisect_left(run, high) - 1, -1, -1):
        if run[n] <= low:
            return
        yield run[n]


def _up(run: Sequence[Place], low: Place, high: Place) -> Iterator[Place]:
    for n in range(bisect_left(run, low), len(run)):
        if run[n] >= high:
            return
        if run[n] > low:
            yield run[n]
