"""What a user had at a moment, and why: for the commands, the internal API and the admin screen."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, or_
from sqlalchemy import select as sql_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..db.models import EventState, Invoice, Purchase, WebhookEvent
from ..db.ownership import owned_by
from ..entitlements import Entitlements
from ..errors import InvalidRequest, NotFound
from ..limits.catalogues import CatalogueInForce, shown
from ..limits.grants import purchases_of
from ..limits.past import PastEntitlements, load_past, objects_of, owned_later
from ..service import Service
from .accounts import linking_objects
from .lookup import find_one

Json = dict[str, Any]
MOST_EVENTS = 5
"""How many events of each kind are shown."""
MOST_OBJECTS = 1000
UNFINISHED = (EventState.PENDING, EventState.FAILED, EventState.DEAD)
FIRST_PROCESSED = func.coalesce(col(WebhookEvent.first_processed_at), col(WebhookEvent.processed_at))
"""When an event was first processed: a replay does not move it. Rows of older releases have the other one."""
EVENT_COLUMNS: tuple[Any, ...] = (
    col(WebhookEvent.id),
    col(WebhookEvent.type),
    col(WebhookEvent.object_id),
    col(WebhookEvent.received_at),
    FIRST_PROCESSED.label("first_processed_at"),
)


@dataclass(frozen=True, slots=True)
class PastLimits:
    """What a user had at a moment. Times are Unix seconds."""

    user_id: str
    at: int
    known_since: int
    """Since when it is known what users had."""
    entitlements: Entitlements
    catalogue: CatalogueInForce
    last_events: Sequence[Row[Any]]
    """The events about the user that had been processed last by then."""
    waiting_events: Sequence[Row[Any]]
    """The events about the user that had been received by then, and were processed later or never."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the answer leaves out."""
        features = self.entitlements.features
        granted = {each.feature for each in self.entitlements.grants if each.feature in features}
        consumables = {name for name in granted if name and features[name].kind == "consumable"}
        if not consumables:
            return ()
        names = ", ".join(sorted(consumables))
        return (
            f"What had been drawn from grants of {names} is not stored: the limits are those before any was.",
        )

    def as_json(self, feature: str | None = None) -> Json:
        """Everything, with all features or one.

        Raises:
            NotFound: when the catalogue of then has no such feature.
        """
        made = self.entitlements
        chosen = list(made.features) if feature is None else [feature]
        return {
            "user_id": self.user_id,
            "at": self.at,
            "known_since": self.known_since,
            "plan": made.plan,
            "status": made.status,
            "access": made.access,
            "grace_ends_at": made.grace_ends_at,
            "catalogue": {"hash": self.catalogue.hash, "since": self.catalogue.since},
            "notes": list(self.notes),
            "features": [asdict(made.explain(key)) for key in chosen],
            "last_events": [dict(row._mapping) for row in self.last_events],
            "waiting_events": [dict(row._mapping) for row in self.waiting_events],
        }


async def limits_at(service: Service, user_id: str, at: int) -> PastLimits:
    """What the user had at `at` (Unix seconds), from what had been processed by then. Nothing is written.

    Raises:
        InvalidRequest: when the moment lies in the future.
        NotFound: when that is not known any more, or not yet, saying since when it is.
        ConfigurationError: when this release cannot read the plan catalogue of then.
    """
    now = int(service.clock())
    if at > now:
        raise InvalidRequest(f"at: {at} lies in the future (now: {now}). Name a moment that is past.")
    async with service.database.read_only() as session:
        past = await load_past(await session.connection(), user_id, at)
        about = col(WebhookEvent.object_id).in_(past.object_ids[:MOST_OBJECTS])
        came = col(WebhookEvent.received_at) <= at
        done = col(WebhookEvent.state) == EventState.PROCESSED
        last = await _events(session, about & came & done & (at >= FIRST_PROCESSED))
        later = and_(done, at < FIRST_PROCESSED)
        unfinished = col(WebhookEvent.state).in_(UNFINISHED)
        concerned = about | col(WebhookEvent.object_id).in_(await _objects_since(session, user_id, past, at))
        waiting = await _events(session, concerned & came & or_(later, unfinished))
    return PastLimits(user_id, at, past.known_since, past.entitlements, past.catalogue, last, waiting)


async def _objects_since(session: AsyncSession, user_id: str, past: PastEntitlements, at: int) -> list[str]:
    """The ids of the objects that are known today of the user and of what the user had bought: an object
    whose first event was waiting at the moment is not among those of then."""
    owned = await owned_by(session, user_id)
    customers, subscriptions = owned.all_customers, owned.subscriptions
    bought = purchases_of(user_id) | col(Purchase.id).in_(past.purchase_ids[:MOST_OBJECTS])
    purchases = await session.exec(
        select(Purchase.session_id, Purchase.refunds, Purchase.disputes).where(bought).limit(MOST_OBJECTS)
    )
    changed = owned.invoices() & (col(Invoice.updated_at) > at)
    found = [row.id for row in (*customers, *subscriptions)] + objects_of(purchases)
    found += await linking_objects(session, customers, subscriptions)
    found += await session.exec(select(Invoice.id).where(changed).limit(MOST_OBJECTS))
    return found[:MOST_OBJECTS]


async def _events(session: AsyncSession, condition: ColumnElement[bool]) -> list[Row[Any]]:
    """The latest events that fit, in the order of their arrival."""
    order = (FIRST_PROCESSED.desc(), col(WebhookEvent.received_at).desc(), col(WebhookEvent.id).desc())
    query = sql_select(*EVENT_COLUMNS).where(condition).order_by(*order).limit(MOST_EVENTS)
    rows = list(await (await session.connection()).execute(query))
    return sorted(rows, key=lambda row: (row.received_at, row.id))


async def find_user_at(service: Service, words: str, at: int) -> str:
    """The user whom somebody means: as `find_one`, or by an id that only the past knows.

    Raises:
        NotFound: when nobody fits.
        Conflict: when several do.
    """
    async with service.database.read_only() as session:
        try:
            person = await find_one(session, words)
        except NotFound:
            person = None
        if person is not None and person.user_id is not None:
            return person.user_id
        if await owned_later(await session.connection(), words, at):
            return words
    raise NotFound(f"No user fits {words!r}, neither now nor at {shown(at)}. Give the id of a user.")
