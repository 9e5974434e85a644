"""What goes wrong at the API, by a plan; and what was asked of it."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

FaultKind = Literal["rate_limit", "error", "delay", "late", "cut", "disconnect"]


class Hold:
    """Keeps requests waiting until it is released, on the event loop that serves the API."""

    def __init__(self) -> None:
        self._reached, self._released = asyncio.Event(), asyncio.Event()

    async def reached(self) -> None:
        """Return once a request waits here."""
        await self._reached.wait()

    def release(self) -> None:
        """Let every request go on, those included that are still to come."""
        self._released.set()

    async def wait(self) -> None:
        self._reached.set()
        await self._released.wait()


@dataclass(frozen=True)
class Fault:
    """One request's misfortune; `seconds` is the wait, or what `Retry-After` says.

    `rate_limit`: 429, nothing done. `error`: 500, nothing done. `delay`: waits, then does it. `late`: does
    it, then holds the answer back, which by then may be stale. `cut`: does it, and the JSON of the answer
    breaks off. `disconnect`: does it, and the connection is closed in the middle of the body.

    With a `hold`, `delay` and `late` last until it is released, whatever `seconds` is.
    """

    kind: FaultKind
    seconds: float = 1.0
    hold: Hold | None = None

    async def wait(self) -> None:
        """Wait as long as the fault lasts."""
        if self.hold is None:
            await asyncio.sleep(self.seconds)
        else:
            await self.hold.wait()


class ApiFaults:
    """A plan of faults, the same for the same seed: for the next requests, or a share (0 to 1) of all.

    `seconds` goes with the shares; only paths that begin with `path` are hit: those of both APIs, `/v1/` and
    `/v2/`, unless it says otherwise.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        rate_limit: float = 0.0,
        error: float = 0.0,
        delay: float = 0.0,
        late: float = 0.0,
        cut: float = 0.0,
        disconnect: float = 0.0,
        seconds: float = 1.0,
        path: str = "/v",
    ) -> None:
        """
        Raises:
            ValueError: for shares that are negative, or more than 1 together.
        """
        shares = (rate_limit, error, delay, late, cut, disconnect)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(f"The shares of faults are between 0 and 1 together, not {shares}.")
        self._shares = dict(zip(get_args(FaultKind), shares, strict=True))
        self._seconds, self._path = seconds, path
        self._random = random.Random(seed)
        self._planned: list[tuple[str, Fault]] = []

    def next(self, kind: FaultKind, n: int = 1, *, seconds: float = 1.0, path: str = "/v") -> None:
        """Plan a fault for each of the next `n` requests to paths that begin with `path`."""
        self._planned += [(path, Fault(kind, seconds))] * n

    def hold(self, kind: Literal["delay", "late"], n: int = 1, *, path: str = "/v") -> Hold:
        """Keep the next `n` requests to paths that begin with `path` waiting until the hold is released.

        `kind` says whether they wait before they are done or after. For tests that must not depend on time.
        """
        hold = Hold()
        self._planned += [(path, Fault(kind, hold=hold))] * n
        return hold

    def pick(self, path: str) -> Fault | None:
        """What happens to this request: what is planned for it first, else what the dice say."""
        for planned in self._planned:
            if path.startswith(planned[0]):
                self._planned.remove(planned)
                return planned[1]
        if not path.startswith(self._path):
            return None
        drawn = self._random.random()
        for kind, share in self._shares.items():
            drawn -= share
            if drawn < 0:
                return Fault(kind, self._seconds)
        return None


@dataclass
class Traffic:
    """What was asked: requests by route (`GET /v1/customers/{id}`) and by path, and how many at once."""

    by_route: Counter[str] = field(default_factory=Counter)
    by_path: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0

    @contextmanager
    def one(self, method: str, path: str, route: str) -> Iterator[None]:
        self.by_route[f"{method} {route}"] += 1
        self.by_path[f"{method} {path}"] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            self.at_once -= 1
