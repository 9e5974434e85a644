"""What sends events at Stripe: webhook endpoints, and the event destinations beside them.

The doctor, `stripe list` and `stripe show`, and the admin screen all show what is listed here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..errors import NotFound, StripeRefused
from ..inbox.handlers import stripe_types
from ..stripe.client import StripeApi
from ..stripe.objects import as_text
from .event_destination import DESTINATIONS, URL, handled_thin_types, list_destinations, url_of
from .webhook_endpoint import ALL_TYPES, ENDPOINTS, list_endpoints

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventSource:
    """A webhook endpoint or an event destination. `kind` is Stripe's word for where it sends to."""

    id: str
    kind: str
    url: str | None
    """None where it sends to no webhook, but to Amazon EventBridge or Azure Event Grid."""
    is_thin: bool
    """Whether it sends thin events; else snapshot events."""
    is_enabled: bool
    types: tuple[str, ...]
    api_version: str | None = None
    """That of its snapshot events; None for the account's own, and for thin events, which have none."""

    @property
    def form(self) -> str:
        return "thin" if self.is_thin else "snapshot"

    @property
    def sends_to(self) -> str:
        """Its address, without what may be secret in it; else Stripe's word for the service."""
        return shown_url(self.url) if self.url is not None else self.kind

    @property
    def status(self) -> str:
        return "enabled" if self.is_enabled else "disabled"

    @property
    def missing_types(self) -> list[str]:
        """The handled types that it does not send."""
        return [] if ALL_TYPES in self.types else sorted(self._handled() - set(self.types))

    @property
    def other_types(self) -> list[str]:
        """The types that it sends and nothing here handles."""
        return sorted(set(self.types) - self._handled())

    def _handled(self) -> set[str]:
        return set(handled_thin_types() if self.is_thin else stripe_types())


@dataclass(frozen=True, slots=True)
class EventSources:
    """All of them, endpoints first. `not_listed`: why the event destinations are not among them."""

    listed: Sequence[EventSource]
    not_listed: str | None = None

    def webhooks(self) -> list[EventSource]:
        """Those that send to a webhook."""
        return [each for each in self.listed if each.url is not None]


async def list_event_sources(api: StripeApi) -> EventSources:
    """All in the key's mode. A key that may not list event destinations still sees the endpoints.

    Raises:
        StripeRefused, StripeUnavailable: as `StripeApi.get`.
    """
    endpoints = [_endpoint(each) for each in await list_endpoints(api)]
    known = {each.id for each in endpoints}
    try:
        destinations = [_destination(each) for each in await list_destinations(api)]
    except (NotFound, StripeRefused) as error:
        return EventSources(endpoints, error.detail)
    return EventSources([*endpoints, *(each for each in destinations if each.id not in known)])


async def find_event_source(api: StripeApi, id: str) -> EventSource:
    """One of them, by its id.

    Raises:
        NotFound, StripeRefused, StripeUnavailable: as `StripeApi.get`.
    """
    if id.startswith("we_"):
        return _endpoint((await api.get(f"{ENDPOINTS}/{id}")).content)
    return _destination((await api.get(f"{DESTINATIONS}/{id}", include=[URL])).content)


def shown_url(url: str) -> str:
    """The address without user, password and query, which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _endpoint(content: Json) -> EventSource:
    return EventSource(
        content["id"],
        "webhook_endpoint",
        content["url"],
        False,
        content["status"] == "enabled",
        tuple(content["enabled_events"]),
        as_text(content.get("api_version")),
    )


def _destination(content: Json) -> EventSource:
    return EventSource(
        content["id"],
        str(content.get("type")),
        url_of(content),
        content.get("event_payload") == "thin",
        content.get("status") == "enabled",
        tuple(content["enabled_events"]),
        as_text(content.get("snapshot_api_version")),
    )
