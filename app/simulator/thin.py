"""Thin events: what a destination with `event_payload: thin` receives and `/v2/core/events` shows.

Stripe's "Migrate from snapshot events to thin events": a snapshot event `customer.created` has a thin version
`v1.customer.created`, an event object with an id of its own, whose `snapshot_event` is the snapshot's id.
"Adds semantic thin events for subscriptions, invoicing, and Financial Connections" (changelog, 2026-10-28):
one change also makes thin events that no snapshot corresponds to, such as `v1.customer.subscription.active`.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from .differences import difference
from .ids import derived_id
from .model import (
    Charge,
    CheckoutSession,
    Customer,
    Dispute,
    Entity,
    Event,
    EventDestination,
    Invoice,
    Price,
    Record,
    Subscription,
)
from .paths import PATHS
from .render import render
from .semantic import semantic_types
from .shapes import NEW, Json

ID_LENGTH = 40

WITHOUT_OBJECT = ("invoice.upcoming",)
"""Snapshot types whose thin version names no object, since none exists yet; the fetched event has `data`."""

RELATED: dict[type[Entity] | type[EventDestination], tuple[str, str]] = {
    Customer: ("customer", "/v1/customers"),
    Subscription: ("subscription", "/v1/subscriptions"),
    Invoice: ("invoice", "/v1/invoices"),
    CheckoutSession: ("checkout.session", "/v1/checkout/sessions"),
    Price: ("price", "/v1/prices"),
    Charge: ("charge", "/v1/charges"),
    Dispute: ("dispute", "/v1/disputes"),
    EventDestination: ("v2.core.event_destination", "/v2/core/event_destinations"),
}
"""By kind of object: its `type` in `related_object`, and the path that it is read at."""


@dataclass(frozen=True, slots=True)
class ThinEvent:
    """A thin event; `created` in Unix seconds, `snapshot_event` the id of the snapshot that says the same."""

    id: str
    type: str
    created: int
    after: Entity | EventDestination
    before: Entity | None = None
    snapshot_event: str | None = None


def thin_events(event: Event, *, livemode: bool = False) -> list[ThinEvent]:
    """The thin version of a snapshot event first, then the semantic thin events of the same change."""
    twin = ThinEvent(
        thin_id(event.id, event.type, livemode=livemode),
        f"v1.{event.type}",
        event.created,
        event.after,
        event.before,
        event.id,
    )
    return [twin] + [
        ThinEvent(
            thin_id(event.id, name, livemode=livemode), f"v1.{name}", event.created, event.after, event.before
        )
        for name in semantic_types(event)
    ]


def thin_id(source: str, name: str, *, livemode: bool = False) -> str:
    """An id as Stripe gives thin events; always the same for the same source and name."""
    prefix = "evt" if livemode else "evt_test"
    return derived_id(prefix, f"{source} {name}", ID_LENGTH).replace(f"{prefix}_1", f"{prefix}_65")


def thin_event(event: Event, *, livemode: bool = False, context: str | None = None) -> Json:
    """What a thin destination is sent in place of this snapshot event.

    `context`: the account that it is of, as an organization's destination receives it.
    """
    return notification(thin_events(event, livemode=livemode)[0], livemode=livemode, context=context)


def notification(event: ThinEvent, *, livemode: bool = False, context: str | None = None) -> Json:
    """A thin event as it is delivered: it names the object and says nothing of it."""
    content: Json = {
        "id": event.id,
        "object": "v2.core.event",
        "context": context,
        "created": iso_time(event.created),
        "livemode": livemode,
        "reason": None,
        "related_object": _related_object(event),
        "type": event.type,
    }
    return content | ({"snapshot_event": event.snapshot_event} if event.snapshot_event else {})


def fetched(event: ThinEvent, *, livemode: bool = False, context: str | None = None) -> Json:
    """A thin event as `/v2/core/events/{id}` shows it: with what changed, and its data where it has some."""
    content = notification(event, livemode=livemode, context=context)
    content |= {"changes": _changes(event), "snapshot_event": event.snapshot_event}
    if isinstance(event.after, Invoice) and content["related_object"] is None:
        content["data"] = {"customer": event.after.customer, "subscription": event.after.subscription}
    return content


def thin_body(event: ThinEvent, *, livemode: bool = False, context: str | None = None) -> bytes:
    """The bytes of a webhook delivery."""
    return json.dumps(notification(event, livemode=livemode, context=context)).encode()


def iso_time(seconds: int) -> str:
    """Unix seconds as API v2 writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _related_object(event: ThinEvent) -> Json | None:
    if event.type.removeprefix("v1.") in WITHOUT_OBJECT:
        return None
    if isinstance(event.after, Record):
        kind = event.after.object
        path = PATHS.get(kind, f"/v1/{kind.replace('.', '/')}s")
    else:
        kind, path = RELATED[type(event.after)]
    return {"id": event.after.id, "type": kind, "url": f"{path}/{event.after.id}"}


def _changes(event: ThinEvent) -> Json | None:
    """The values that changed, before and after, as the newest API version renders them."""
    if event.before is None or isinstance(event.after, EventDestination):
        return None
    before, after = render(event.before, NEW), render(event.after, NEW)
    return {"before": difference(before, after), "after": difference(after, before)}
