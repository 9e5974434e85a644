"""Reads what thin events are about, and calls the receivers of their types with it.

The event names an object by type and path (`related_object`); one that names none is fetched itself, with the
data that its delivery left out ("Thin events"; "Retrieve an Event" of API v2).
"""

from collections.abc import Sequence

from ..errors import NotFound
from ..inbox.handlers import HANDLERS, READ_BEFORE
from ..inbox.thin import RECORDED, kind_of, names_of
from ..signals import event_signal, has_receivers
from ..stripe.client import Answer, StripeApi
from ..stripe.event_types import plain_type
from ..stripe.events import StripeEvent
from ..stripe.objects import as_dict, as_text
from ..stripe.paths import API_PATH, PATHS
from .objects import StripeObjects

Object = tuple[str, str]
"""Its kind, in Stripe's word, and its id; the path of one without an id, the event of no object."""

EVENT = "event"
V1_CUSTOMER_DELETED = "v1.customer.deleted"
"""It ends subscriptions, so it is applied even if Stripe's API does not have the customer any more."""
NO_PATH = "The event names an object without a path that it can be read at."


def named_object(event: StripeEvent) -> Object:
    """What the event is about."""
    kind = kind_of(event)
    if kind is None:
        return EVENT, event.id
    return kind, event.object_id or as_text(event.object.get("url")) or event.id


class ThinEvents:
    """Reads what thin events are about, and applies it through the inbox."""

    def __init__(self, objects: StripeObjects, api: StripeApi) -> None:
        self._objects = objects
        self._api = api

    async def read(self, object: Object, events: Sequence[StripeEvent]) -> None:
        """Fetch what the events are about, change its record, and call the receivers of their types.

        Without events, an object whose record is marked.

        Raises:
            NotFound: when Stripe does not have it, or the event does not say where it is.
            StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
        """
        answer = await self._fetch(object, events[0] if events else None)
        record_type = RECORDED.get(object[0])
        by_type = any(plain_type(event.type) in HANDLERS for event in events)
        if record_type is not None and not by_type:
            await self._objects.apply_object(record_type, answer)
        for event in _in_order(events):
            for name in names_of(event):
                if has_receivers(name):
                    await self._objects.tell(event, name, answer)

    async def tell_all(self, events: Sequence[StripeEvent], answer: Answer) -> None:
        """Call the receivers that wait for the types of the events, once the record has been changed.

        Raises:
            Unavailable: when the database cannot take it now.
        """
        for event in _in_order(events):
            for name in _not_announced(event):
                await self._objects.tell(event, name, answer)

    async def tell_deletion(self, event: StripeEvent) -> bool:
        """Tell that the object is deleted, where that is what the event says; whether it is.

        Raises:
            Unavailable: when the database cannot take it now.
        """
        names = [name for name in names_of(event) if has_receivers(name)]
        if not event.type.endswith(".deleted") or not names or event.object_id is None:
            return False
        content = {"id": event.object_id, "object": kind_of(event), "deleted": True}
        answer = Answer(content, event.created)
        if event.type == V1_CUSTOMER_DELETED:
            await self._objects.apply_object(plain_type(event.type), answer)
        for name in names:
            await self._objects.tell(event, name, answer)
        return True

    async def _fetch(self, object: Object, event: StripeEvent | None) -> Answer:
        kind, object_id = object
        if event is None:
            return await self._api.read(kind, object_id)
        if kind == EVENT:
            answer = await self._api.read_event(event.id)
            data = answer.content.get("data")
            return Answer(data if isinstance(data, dict) and data else answer.content, answer.at)
        if kind in PATHS and event.object_id is not None:
            return await self._api.read(kind, event.object_id)
        path = as_text(event.object.get("url")) or ""
        if not API_PATH.fullmatch(path):
            raise NotFound(NO_PATH)
        return await self._api.get(path)


def _in_order(events: Sequence[StripeEvent]) -> list[StripeEvent]:
    return sorted(events, key=lambda event: (event.created, event.id))


def _not_announced(event: StripeEvent) -> list[str]:
    """The signals whose receivers are called with what was read, beside the record that it changed."""
    says_status = "status" in as_dict(event.changes.get("after"))  # the fetched state does not say since when
    return [
        name for name in names_of(event) if _has_other_receivers(name) or (says_status and name in HANDLERS)
    ]


def _has_other_receivers(name: str) -> bool:
    """Whether anybody but the handlers waits for it that what was read was applied by already."""
    if not has_receivers(name):
        return False
    return any(receiver not in READ_BEFORE for receiver in event_signal(name).receivers_for(None))
