"""Entitlements kept in memory: for seconds, and never past the moment at which the answer changes."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ..entitlements import Entitlements

MAX_AGE_SECONDS = 9
"""A change by another process is seen at the latest after this, where no notification arrived."""
MAX_USERS = 10_000
"""An entry takes about 6 KB. A process reads fewer users than this before the first entry expires."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A user's entitlements, the version of the user that they were read with, and until when they hold."""

    entitlements: Entitlements
    version: int
    expires_at: float
    usage_is_current: bool = True
    """False once more was used, or where a transaction that may yet be rolled back has read it."""


def entry_of(entitlements: Entitlements, version: int, held_until: int | None = None) -> Entry:
    """An entry that ends with the first answer in it that time alone changes.

    `held_until`: when the first of the user's holds expires, in Unix seconds.
    """
    now = entitlements.as_of
    resets = (entitlements.resets_at(feature, now) for feature in entitlements.features)
    changes = (entitlements.valid_until, held_until, *resets)
    moments = [moment for moment in changes if moment is not None and moment > now]
    return Entry(entitlements, version, min([now + MAX_AGE_SECONDS, *moments]))


class Cache:
    """The least recently used users go first. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._loading: dict[str, object] = {}

    def get(self, user_id: str, now: float) -> Entry | None:
        with self._lock:
            entry = self._entries.get(user_id)
            # One that was read later than now was read before the clock went back: it would be kept for long.
            if entry is None or not entry.entitlements.as_of <= now < entry.expires_at:
                return None
            self._entries.move_to_end(user_id)
            return entry

    @contextmanager
    def loading(self, user_id: str) -> Iterator[object]:
        """While the user is being read: what is forgotten meanwhile will not be kept by `put`."""
        token = object()
        with self._lock:
            self._loading[user_id] = token
        try:
            yield token
        finally:
            with self._lock:
                if self._loading.get(user_id) is token:
                    del self._loading[user_id]

    def put(self, user_id: str, entry: Entry, token: object) -> None:
        with self._lock:
            if self._loading.get(user_id) is not token:
                return
            self._entries[user_id] = entry
            self._entries.move_to_end(user_id)
            if len(self._entries) > MAX_USERS:
                self._entries.popitem(last=False)

    def usage_changed(self, user_id: str) -> None:
        """What is used by the user is no longer what was read; what the user has is."""
        with self._lock:
            self._loading.pop(user_id, None)
            if entry := self._entries.get(user_id):
                self._entries[user_id] = replace(entry, usage_is_current=False)

    def forget(self, user_id: str | None) -> None:
        """Forget a user, or (None) all of them."""
        with self._lock:
            if user_id is None:
                self._entries.clear()
                self._loading.clear()
            else:
                self._entries.pop(user_id, None)
                self._loading.pop(user_id, None)
