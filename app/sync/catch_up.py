"""Catch-up: events that never arrived are listed from Stripe, and applied like any other.

Whatever was lost on the way, Stripe keeps its events for 30 days ("List all events"). All handled types are
listed, newest first: snapshot events, then the thin events that no snapshot says (`missing_events`). What the
inbox does not have goes through the same pipeline. Where it was is noted after every page, so that one that
was killed goes on there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from ..backoff import has_come
from ..concurrency import run_all
from ..db import Database
from ..errors import NotFound, NotStorable, StripeRefused
from ..inbox.arrivals import Arrivals
from ..inbox.delivery import Delivery, receive
from ..inbox.handlers import stripe_types
from ..inbox.inbox import Inbox
from ..stripe.client import StripeApi, type_groups
from . import leases
from .event_lists import EventList, SnapshotList, ThinList
from .missing_events import MissingEvents

log = structlog.get_logger(__name__)

JOB = "catch-up"
DAY = 86_400
KEPT_SECONDS = 30 * DAY
"""How long Stripe keeps events."""
OVERLAP_SECONDS = 3600
"""Listed again each time, since events may be made late."""

LISTING = "listing"
"""In the job's result while it runs: the types of each list. The cursor's `group` is a place among these."""
NOT_LISTED = "not_listed"
"""In the job's result: the types of thin events that Stripe refused to list."""

Json = dict[str, Any]
OnProgress = Callable[[int, int], None]
"""Called after each page with how many events were listed and how many were missing."""


@dataclass(slots=True)
class Cursor:
    """Where a catch-up is. Times in Unix seconds."""

    since: int
    began_at: int
    group: int = 0
    after: str | None = None
    listed: int = 0
    missing: int = 0

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class CatchUp:
    """Takes in what never arrived. `clock` gives Unix seconds."""

    def __init__(
        self,
        database: Database,
        inbox: Inbox,
        arrivals: Arrivals,
        api: StripeApi,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._arrivals = arrivals
        self._api = api
        self._clock = clock
        self._missing = MissingEvents(database)

    async def run(
        self, since: int | None = None, on_progress: OnProgress = lambda listed, missing: None
    ) -> Cursor | None:
        """Catch up with all events since `since` (Unix seconds), or since the last time; what was found.

        One that was interrupted goes on where it was, unless it began later than what is asked for now, or
        listed other types; what was made since it began is listed then. None while another process does it.

        Raises:
            StripeRefused, StripeUnavailable, Unavailable: it goes on from there the next time.
        """
        now = int(self._clock())
        if not await leases.acquire(self._database, JOB, now):
            return None
        async with leases.released_after(self._database, JOB):
            lists = await self._lists()
            cursor = await self._interrupted(lists)
            if cursor is None or (since is not None and since < cursor.since):
                cursor = Cursor(await self._since(since), now)
            done = await self._list(lists, cursor, on_progress)
            if done.began_at < now:
                rest = Cursor(await self._since(None), now, listed=done.listed, missing=done.missing)
                done = await self._list(lists, rest, on_progress)
            return done

    async def is_due(self, every_seconds: float) -> bool:
        """Whether the last one finished so long ago, or was interrupted."""
        job = await leases.load_job(self._database, JOB)
        return (
            job is None
            or job.finished_at is None
            or job.cursor is not None
            or has_come(
                job.finished_at + every_seconds, self._clock(), within=every_seconds + OVERLAP_SECONDS
            )
        )

    async def _lists(self) -> list[EventList]:
        thin_types = await self._missing.awaited_thin_types()
        lists: list[EventList] = [SnapshotList(types) for types in type_groups(stripe_types())]
        return lists + [ThinList(types) for types in type_groups(thin_types)]

    async def _interrupted(self, lists: Sequence[EventList]) -> Cursor | None:
        """Where the interrupted one was; at the start if the types have changed since, as by a release."""
        job = await leases.load_job(self._database, JOB)
        if job is None or not job.cursor:
            return None
        cursor = Cursor(**job.cursor)
        if (job.result or {}).get(LISTING) != _types_of(lists):
            cursor.group, cursor.after = 0, None
        return cursor

    async def _reached(self, cursor: Cursor) -> int | None:
        """Up to when nothing is missing: as before, where this one did not go back so far."""
        job = await leases.load_job(self._database, JOB)
        before = (job.result or {}).get("began_at") if job else None
        known = int(self._clock()) - KEPT_SECONDS if before is None else before
        return cursor.began_at if cursor.since <= known else before

    async def _since(self, asked: int | None) -> int:
        oldest = int(self._clock()) - KEPT_SECONDS
        if asked is None:
            job = await leases.load_job(self._database, JOB)
            last = (job.result or {}).get("began_at") if job else None
            is_usable = last is not None and last <= self._clock() + OVERLAP_SECONDS  # else it has jumped
            asked = last - OVERLAP_SECONDS if last is not None and is_usable else oldest
        return max(asked, oldest)

    async def _list(self, lists: Sequence[EventList], cursor: Cursor, on_progress: OnProgress) -> Cursor:
        job = await leases.load_job(self._database, JOB)
        listing = ((job.result if job else None) or {}) | {LISTING: _types_of(lists)}
        await leases.update_job(
            self._database, JOB, started_at=cursor.began_at, cursor=cursor.as_json(), result=listing
        )
        not_listed: list[str] = []
        for number in range(cursor.group, len(lists)):
            cursor.group = number
            not_listed += await self._list_types(lists[number], cursor, on_progress)
            cursor.after = None
        result = cursor.as_json() | {"began_at": await self._reached(cursor), NOT_LISTED: not_listed}
        await leases.update_job(
            self._database, JOB, finished_at=int(self._clock()), cursor=None, result=result
        )
        log.info("caught_up", since=cursor.since, listed=cursor.listed, missing=cursor.missing)
        return cursor

    async def _list_types(self, listed: EventList, cursor: Cursor, on_progress: OnProgress) -> Sequence[str]:
        """List events of some types; those types where Stripe refuses to list thin events.

        Raises:
            StripeRefused, StripeUnavailable, Unavailable: as `run`.
        """
        try:
            try:
                await self._list_pages(listed, cursor, on_progress)
            except (NotFound, StripeRefused):
                if cursor.after is None:
                    raise
                # The event that it stood at may be past Stripe's 30 days: list them from the start.
                cursor.after = None
                await self._list_pages(listed, cursor, on_progress)
        except (NotFound, StripeRefused) as error:
            if isinstance(listed, SnapshotList):
                raise
            log.warning("thin_events_not_listed", types=listed.types, error=error.detail)
            return listed.types
        return ()

    async def _list_pages(self, listed: EventList, cursor: Cursor, on_progress: OnProgress) -> None:
        async for events, following in listed.pages(self._api, cursor.since, cursor.after):
            cursor.missing += await self._take_in(events)
            cursor.listed += len(events)
            cursor.after = following
            await leases.renew(self._database, JOB, int(self._clock()))
            await leases.update_job(self._database, JOB, cursor=cursor.as_json())
            on_progress(cursor.listed, cursor.missing)

    async def _take_in(self, events: Sequence[Json]) -> int:
        """Take in those that the inbox does not have; how many never arrived, in either form."""
        new = await self._missing.unknown(events)
        arrived = await self._missing.with_twin(new)
        lost = [event for event in new if event["id"] not in arrived]
        now = int(self._clock())
        deliveries = [
            receive(orjson.dumps(event), signature=None, received_at=now, source="catch-up") for event in new
        ]
        await run_all(self._accept(delivery) for delivery in deliveries)
        # Beside every thin event that no snapshot says there are snapshots of the same change.
        if snapshots := sum(event["object"] == "event" for event in lost):
            self._arrivals.note("catch-up", snapshots)
        return len(lost)

    async def _accept(self, delivery: Delivery) -> None:
        """Take one in. What the database refuses, as it is, keeps none of the others out."""
        try:
            await self._inbox.accept(delivery)
        except NotStorable:
            log.error("listed_event_refused", event_id=delivery.event.id)


def _types_of(lists: Sequence[EventList]) -> list[list[str]]:
    return [list(each.types) for each in lists]
