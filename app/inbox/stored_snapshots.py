"""Remembers what judging needs of stored events, by their bodies.

A burst of one object is judged in several batches, and each of them reads the events of those before. To
parse them all again in each would cost more than to apply the batch.
"""

from collections import OrderedDict
from hashlib import sha256

from ..stripe.events import StripeEvent, parse
from ..stripe.ordering import Snapshot, snapshot_of

MAX_REMEMBERED = 4096
"""About 1 KB each, however large the events are."""


class StoredSnapshots:
    """The snapshots of the events that were judged last; each is a function of the body alone."""

    def __init__(self) -> None:
        self._by_body: OrderedDict[bytes, Snapshot | None] = OrderedDict()

    def note(self, event: StripeEvent) -> None:
        """Remember an event that was applied."""
        self._remember(_key(event.body), _counted(event))

    def of(self, body: str) -> Snapshot | None:
        """The snapshot that a stored event sent; None where it says nothing of its object."""
        key = _key(body)
        if key in self._by_body:
            self._by_body.move_to_end(key)
            return self._by_body[key]
        return self._remember(key, _counted(parse(body.encode())))

    def _remember(self, key: bytes, snapshot: Snapshot | None) -> Snapshot | None:
        self._by_body[key] = snapshot
        if len(self._by_body) > MAX_REMEMBERED:
            self._by_body.popitem(last=False)
        return snapshot


def _key(body: str) -> bytes:
    return sha256(body.encode()).digest()


def _counted(event: StripeEvent) -> Snapshot | None:
    # A thin event says nothing of its object, though it counts as processed once that was read; and what its
    # receivers were called with is no further snapshot.
    return None if event.thin or event.read_for is not None else snapshot_of(event)
