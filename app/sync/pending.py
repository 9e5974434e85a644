"""Pending fetches: the objects of thin events, and records that the order of events could not determine.

One process at a time fetches them. A burst of thin events about one object is one fetch. While Stripe does
not answer they wait: no attempts are counted, and nothing becomes dead for want of an API.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import func, text, update
from sqlmodel import col, select

from ..backoff import has_come
from ..concurrency import run_all
from ..db import Database
from ..db.keyset import in_key_order
from ..db.manual import SETTLE
from ..db.models import Customer, EventState, Invoice, Subscription, WebhookEvent
from ..errors import InvalidPayload, NotFound, ServiceError, Stale, StripeUnavailable, Unavailable
from ..inbox.kinds import KINDS
from ..stripe.client import Answer, StripeApi
from ..stripe.events import StripeEvent, parse
from . import leases
from .objects import StripeObjects
from .thin import Object, ThinEvents, named_object

log = structlog.get_logger(__name__)

JOB = "refresh"
BATCH = 200
UNCHANGED_SECONDS = 5
"""How long a record must not have changed: for most, the next event already determines them."""
PAUSE_SECONDS = 15
"""After Stripe could not be reached."""
RETRY_SECONDS = 600
"""For what Stripe refuses or does not have, and what cannot be applied: each try leaves a failed event."""
GONE = "Stripe has no such object, or not in the mode of STRIPE_API_KEY."

OTHER_MODE = "The event is of {}, and STRIPE_API_KEY is not: set the key of that mode, or LIVEMODE."

UNREADABLE = "The stored body cannot be read."

NO_EVENT = (-1, "")

IN_TURN = ("customer", "subscription", "invoice", "invoice_payment", "payment_intent", "charge", "other")


def _turn_of(object: Object) -> str:
    return object[0] if object[0] in IN_TURN else "other"


class PendingFetches:
    """Fetches what is due. `clock` gives Unix seconds."""

    def __init__(
        self, database: Database, objects: StripeObjects, api: StripeApi, *, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._objects = objects
        self._api = api
        self._thin = ThinEvents(objects, api)
        self._clock = clock
        self._resume_at = 0.0
        self._not_before: dict[Object, float] = {}
        # Each pass goes on where the last one ended: what Stripe refuses must not hide what it would answer.
        self._last_event = NO_EVENT
        self._last_record: dict[str, str] = {}

    async def refresh_due(self) -> int:
        """Fetch what is due; how many objects were applied: 0 while another process does it."""
        if not has_come(self._resume_at, self._clock(), within=PAUSE_SECONDS):
            return 0
        thin, marked = await self._thin_events(), await self._marked()
        waiting = {object: thin.get(object, []) for object in [*thin, *marked] if self._is_due(object)}
        if not waiting or not await leases.acquire(self._database, JOB, int(self._clock())):
            return 0
        async with leases.released_after(self._database, JOB):
            done: list[bool] = []
            # Who pays, and by which payment, is known before what happens to it: so reactions name the user.
            for turn in IN_TURN:
                of_turn = [each for each in waiting.items() if _turn_of(each[0]) == turn]
                done += await run_all(self._finish(object, events) for object, events in of_turn)
            now = int(self._clock())
            await leases.update_job(self._database, JOB, finished_at=now, result={"read": sum(done)})
        return sum(done)

    def _is_due(self, object: Object) -> bool:
        return has_come(self._not_before.get(object, 0), self._clock(), within=RETRY_SECONDS)

    async def _finish(self, object: Object, events: Sequence[StripeEvent]) -> bool:
        """Fetch and apply one object; whether it could be done."""
        try:
            await self._read(object, events)
        except NotFound:
            await self._finish_gone(object, events)
        except StripeUnavailable:
            self._resume_at = self._clock() + PAUSE_SECONDS
        except (Stale, Unavailable) as error:
            log.warning("reading_failed", kind=object[0], object_id=object[1], error=type(error).__name__)
        except ServiceError as error:
            self._put_off(object, error.detail)
        except Exception as error:  # what Stripe sent, or what it was applied to, is not as it should be
            if self._database.lies_under(error):
                raise
            self._put_off(object, type(error).__name__)
        else:
            await self._mark([event.id for event in events], EventState.PROCESSED, None)
            self._not_before.pop(object, None)
            return True
        return False

    def _put_off(self, object: Object, error: str) -> None:
        self._not_before[object] = self._clock() + RETRY_SECONDS
        log.error("reading_refused", kind=object[0], object_id=object[1], error=error)

    async def _finish_gone(self, object: Object, events: Sequence[StripeEvent]) -> None:
        """Finish the events of an object that Stripe no longer has; some are applied as deletions."""
        log.warning("object_not_at_stripe", kind=object[0], object_id=object[1])
        self._not_before[object] = self._clock() + RETRY_SECONDS
        await self._resolve_manual(*object)
        deletions = [event.id for event in events if await self._thin.tell_deletion(event)]
        await self._mark(deletions, EventState.PROCESSED, None)
        await self._mark(
            [event.id for event in events if event.id not in deletions], EventState.IGNORED, GONE
        )

    async def _read(self, object: Object, events: Sequence[StripeEvent]) -> None:
        kind, object_id = object
        if kind not in ("subscription", "customer"):
            await self._thin.read(object, events)
            return
        if kind == "subscription":
            await self._objects.refresh_cut_invoices(object_id)
        stated = max(((event.created, event.id) for event in events), default=None)
        outcome = await self._objects.refresh(kind, object_id, stated=stated)
        if outcome.state == EventState.FAILED:
            raise ServiceError("What was read could not be applied: its event says why.")
        await self._thin.tell_all(events, Answer(outcome.event.object, outcome.event.created))

    async def _thin_events(self) -> dict[Object, list[StripeEvent]]:
        """The thin events that wait, by the object that each names."""
        place = (col(WebhookEvent.received_at), col(WebhookEvent.id))
        waiting_events = select(WebhookEvent).where(col(WebhookEvent.state) == EventState.PENDING)
        query = in_key_order(waiting_events, place, self._last_event).limit(BATCH)
        async with self._database.reading() as session:
            rows = list(await session.exec(query))
        self._last_event = (rows[-1].received_at, rows[-1].id) if len(rows) == BATCH else NO_EVENT
        waiting: dict[Object, list[StripeEvent]] = defaultdict(list)
        for row in rows:
            try:
                event = parse(row.body.encode())
            except InvalidPayload:
                problem = UNREADABLE
            else:
                if event.livemode in (None, self._api.livemode):
                    waiting[named_object(event)].append(event)
                    continue
                problem = OTHER_MODE.format("live mode" if event.livemode else "test mode")
            if row.last_error is None:
                log.error("stored_event_not_fetched", event_id=row.id, error=problem)
                await self._mark([row.id], EventState.PENDING, problem)
        return waiting

    async def _marked(self) -> list[Object]:
        """The records marked `needs_refresh` that have not changed for a while."""
        found: list[Object] = []
        models = (("subscription", Subscription), ("customer", Customer), ("invoice", Invoice))
        for kind, model in models:
            unchanged = col(model.updated_at) <= int(self._clock()) - UNCHANGED_SECONDS
            marked = select(KINDS[kind].id).where(col(model.needs_refresh), unchanged)
            query = in_key_order(marked, [col(model.id)], [self._last_record.get(kind, "")]).limit(BATCH)
            async with self._database.reading() as session:
                ids = list(await session.exec(query))
            self._last_record[kind] = ids[-1] if len(ids) == BATCH else ""
            found += [(kind, object_id) for object_id in ids]
        return found

    async def _resolve_manual(self, kind: str, object_id: str) -> None:
        """A record that only the internal API has spoken of is not fetched again and again."""
        if kind in SETTLE:
            async with self._database.session() as session:
                await (await session.connection()).execute(text(SETTLE[kind]), {"id": object_id})

    async def _mark(self, ids: Sequence[str], state: str, error: str | None) -> None:
        """Say what became of thin events."""
        if not ids:
            return
        done = None if state == EventState.PENDING else int(self._clock())
        processed = done if state == EventState.PROCESSED else None
        first = func.coalesce(col(WebhookEvent.first_processed_at), processed)
        values = {"state": state, "last_error": error, "processed_at": done, "first_processed_at": first}
        waiting = col(WebhookEvent.id).in_(ids)
        still = col(WebhookEvent.state) == EventState.PENDING
        async with self._database.session() as session:
            await (await session.connection()).execute(
                update(WebhookEvent).where(waiting, still).values(**values)
            )
