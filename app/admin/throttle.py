"""Limits log-in attempts. In memory, of bounded size, for each process separately."""

import hashlib
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable

WINDOW_SECONDS = 15 * 60
MAX_KEYS = 10_000

PAIR_LIMIT, ADDRESS_LIMIT, NAME_LIMIT = 5, 20, 100
"""Failed attempts in the window: one name from one network, one network, one name from any network.

The last is high, and does not hold for a browser that the admin has logged in with before: strangers cannot
lock the admin out.
"""
IPV6_NETWORK = 64
"""Bits: so much is one customer of a provider, who can use every address in it."""


def network_of(address: str) -> str:
    """The network that an address counts for: itself, and the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_NETWORK), strict=False))


class Throttle:
    """Counts attempts. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._attempts: OrderedDict[bytes, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._attempts)

    def wait(self, name: str, address: str, browser: str | None = None) -> int:
        """Seconds until this name may be tried again from this address; 0 for now.

        `browser`: the id of a browser that has logged in before; it counts by itself.
        """
        now, waits = self._clock(), [0.0]
        for key, limit in _keys(name, address, browser):
            recent = self._recent(key, now)
            if len(recent) >= limit:
                waits.append(recent[-limit] + WINDOW_SECONDS - now)
        return math.ceil(max(waits))

    def count(self, name: str, address: str, browser: str | None = None) -> None:
        """Count an attempt, before the password is verified, so that concurrent attempts are counted."""
        now = self._clock()
        for key, limit in _keys(name, address, browser):
            self._attempts[key] = [*self._recent(key, now), now][-limit:]
            self._attempts.move_to_end(key)
        while len(self._attempts) > MAX_KEYS:
            self._attempts.popitem(last=False)

    def forgive(self, name: str, address: str, browser: str | None = None) -> None:
        """Take the attempt back: the password was right."""
        for key, _ in _keys(name, address, browser):
            if attempts := self._attempts.get(key):
                attempts.pop()
        self._attempts.pop(_key("pair", name, network_of(address)), None)

    def _recent(self, key: bytes, now: float) -> list[float]:
        # One of the future was counted before the clock was set back: it would lock people out for long.
        return [at for at in self._attempts.get(key, ()) if now - WINDOW_SECONDS < at <= now]


def _keys(name: str, address: str, browser: str | None) -> Iterable[tuple[bytes, int]]:
    if browser is not None:
        yield _key("browser", browser), PAIR_LIMIT
        return
    network = network_of(address)
    yield _key("pair", name, network), PAIR_LIMIT
    yield _key("address", network), ADDRESS_LIMIT
    yield _key("name", name), NAME_LIMIT


def _key(*parts: str) -> bytes:
    """Of one length, however long the name is."""
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).digest()[:16]
