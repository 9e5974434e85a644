"""Which listed events never arrived, in either form; and which thin events are listed at all."""

from collections.abc import Sequence
from typing import Any

from sqlmodel import col, select

from ..db import Database
from ..db.models import WebhookEvent
from ..inbox.handlers import handled, has_receivers_of_application
from ..stripe.event_types import V1, thin_only_types
from ..stripe.events import parse

Json = dict[str, Any]

NEWEST = 500
"""Whether thin events arrive here is seen in so many of the newest webhooks."""
TWINS_SECONDS = 3600
"""How far apart a snapshot event and its thin version may be made."""


class MissingEvents:
    """Compares listed events with the inbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unknown(self, events: Sequence[Json]) -> list[Json]:
        """Those that the inbox does not have, by their ids."""
        ids = [event["id"] for event in events]
        async with self._database.reading() as session:
            query = select(WebhookEvent.id).where(col(WebhookEvent.id).in_(ids))
            known = set(await session.exec(query))
        return [event for event in events if event["id"] not in known]

    async def with_twin(self, events: Sequence[Json]) -> set[str]:
        """The ids of those snapshot events whose thin version is in the inbox."""
        snapshots = [event for event in events if event.get("object") == "event"]
        if not snapshots:
            return set()
        created = [event["created"] for event in snapshots]
        objects = [id for event in snapshots if (id := event["data"]["object"].get("id"))]
        query = select(WebhookEvent.body).where(
            col(WebhookEvent.object_id).in_(objects),
            col(WebhookEvent.created) >= min(created) - TWINS_SECONDS,
            col(WebhookEvent.created) <= max(created) + TWINS_SECONDS,
            col(WebhookEvent.type).startswith(V1),
        )
        async with self._database.reading() as session:
            said = {parse(body.encode()).snapshot_event for body in await session.exec(query)}
        return {event["id"] for event in snapshots} & said

    async def awaited_thin_types(self) -> list[str]:
        """The handled types that no snapshot event has, as far as somebody waits for them.

        Where no thin events arrive, snapshots say to the service's own receivers what these would; then only
        those of the application wait for them.
        """
        types = thin_only_types(handled())
        if await self._thin_events_arrive():
            return types
        return [name for name in types if has_receivers_of_application(name)]

    async def _thin_events_arrive(self) -> bool:
        newest = (
            select(WebhookEvent.type)
            .where(col(WebhookEvent.source) == "stripe")
            .order_by(col(WebhookEvent.received_at).desc())
            .limit(NEWEST)
        )
        async with self._database.reading() as session:
            return any(name.startswith(V1) for name in await session.exec(newest))
