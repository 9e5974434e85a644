"""Stripe's lists of events, page by page: snapshot events of API v1, thin events of API v2."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from ..stripe.client import PAGE, StripeApi, next_page

Events = list[dict[str, Any]]


class EventList(Protocol):
    """The events of some types, newest first."""

    @property
    def types(self) -> Sequence[str]: ...

    def pages(
        self, api: StripeApi, since: int, after: str | None
    ) -> AsyncIterator[tuple[Events, str | None]]:
        """Pages with events since `since` (Unix seconds), each with the `after` that the next one begins at.

        Raises:
            NotFound, StripeRefused, StripeUnavailable: as `StripeApi.get`.
        """


@dataclass(frozen=True, slots=True)
class SnapshotList:
    """Stripe's "List all events": `after` is the last event's id."""

    types: Sequence[str]

    async def pages(
        self, api: StripeApi, since: int, after: str | None
    ) -> AsyncIterator[tuple[Events, str | None]]:
        found = api.pages("/v1/events", types=list(self.types), created={"gte": since}, after=after)
        async for page in found:
            events: Events = page.content["data"]
            yield events, str(events[-1]["id"])


@dataclass(frozen=True, slots=True)
class ThinList:
    """Stripe's "List all Event objects" of API v2: `after` is the address of a page.

    It takes types without an object since 2025-10-29.clover ("Adds support for filtering by event type").
    """

    types: Sequence[str]

    async def pages(
        self, api: StripeApi, since: int, after: str | None
    ) -> AsyncIterator[tuple[Events, str | None]]:
        created = {"gte": datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")}
        found = api.pages_v2(
            "/v2/core/events", page=after, types=list(self.types), created=created, limit=PAGE
        )
        async for page in found:
            yield page.content["data"], next_page(page)
