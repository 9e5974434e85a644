"""Limits log-in attempts. In memory, of bounded size, for each process separately."""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable

WINDOW_SECONDS = 15 * 60
MAX_KEYS = 10_000

PAIR_LIMIT, ADDRESS_LIMIT, NAME_LIMIT = 5, 20, 100
"""Failed attempts in the window: one name from one address, one address, one name from any address.

The last is high, so that a stranger cannot lock the admin out with a few requests.
"""


class Throttle:
    """Counts attempts. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._attempts: OrderedDict[bytes, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._attempts)

    def wait(self, name: str, address: str) -> int:
        """Seconds until this name may be tried again from this address; 0 for now."""
        now, waits = self._clock(), [0.0]
        for key, limit in _keys(name, address):
            recent = self._recent(key, now)
            if len(recent) >= limit:
                waits.append(recent[-limit] + WINDOW_SECONDS - now)
        return math.ceil(max(waits))

    def count(self, name: str, address: str) -> None:
        """Count an attempt, before the password is verified, so that concurrent attempts are counted."""
        now = self._clock()
        for key, limit in _keys(name, address):
            self._attempts[key] = [*self._recent(key, now), now][-limit:]
            self._attempts.move_to_end(key)
        while len(self._attempts) > MAX_KEYS:
            self._attempts.popitem(last=False)

    def forgive(self, name: str, address: str) -> None:
        """Take the attempt back: the password was right."""
        for key, _ in _keys(name, address):
            if attempts := self._attempts.get(key):
                attempts.pop()
        self._attempts.pop(_key("pair", name, address), None)

    def _recent(self, key: bytes, now: float) -> list[float]:
        return [at for at in self._attempts.get(key, ()) if at > now - WINDOW_SECONDS]


def _keys(name: str, address: str) -> Iterable[tuple[bytes, int]]:
    yield _key("pair", name, address), PAIR_LIMIT
    yield _key("address", address), ADDRESS_LIMIT
    yield _key("name", name), NAME_LIMIT


def _key(*parts: str) -> bytes:
    """Of one length, however long the name is."""
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).digest()[:16]
