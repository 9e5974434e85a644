"""The spool: where events wait on disk while the database cannot take them. One file an event.

A file is written aside, synced, renamed, and its folder synced, before the event is answered with 200. It
holds the signature, which is checked again when the file is drained: nobody can put an event in by writing a
file. Any number of processes may drain one folder: the inbox takes each id once.
"""

import asyncio
import hashlib
import os
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson
import structlog

from . import metrics
from .errors import InvalidPayload, InvalidSignature, Unavailable
from .inbox import Inbox
from .signatures import verify
from .stripe_events import StripeEvent, parse

log = structlog.get_logger(__name__)

MAX_FILES = 20_000
MAX_BYTES = 512 * 1024 * 1024
SUFFIX, REJECTED = ".event", ".rejected"
DRAIN_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies in a spool: files that wait, their size, and files that were rejected when drained."""

    files: int = 0
    bytes: int = 0
    rejected: int = 0


class Spool:
    """A folder of events. `folder` None: there is no spool, and nothing is kept."""

    def __init__(self, folder: Path | None, *, secrets: Sequence[str]) -> None:
        self._folder = folder
        self._secrets = secrets
        self._looked_again = False

    async def put(self, event: StripeEvent) -> None:
        """Keep the event on disk; returns once it is durable.

        Raises:
            Unavailable: when there is no spool, it is full, or cannot be written.
        """
        if self._folder is None:
            raise Unavailable("The database cannot take the event now, and no spool is configured.")
        try:
            await asyncio.to_thread(_write, self._folder, event)
        except OSError as error:
            log.error("spool_not_writable", error=type(error).__name__)
            raise Unavailable("Neither the database nor the spool can take the event now.") from None
        metrics.SPOOLED.inc()
        log.warning("event_spooled", event_id=event.id)

    def is_usable(self) -> bool:
        """Whether the spool would take an event now."""
        if self._folder is None:
            return False
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _check_room(self._folder)
        except (OSError, Unavailable):
            return False
        return os.access(self._folder, os.W_OK | os.X_OK)

    def waiting(self) -> list[Path]:
        """The files that wait to be drained."""
        if self._folder is None or not self._folder.is_dir():
            return []
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def contents(self) -> Contents:
        """What lies there now.

        Raises:
            OSError: when the folder cannot be read.
        """
        if self._folder is None or not self._folder.is_dir():
            return Contents()
        with os.scandir(self._folder) as entries:
            names = [entry for entry in entries if entry.name.endswith((SUFFIX, REJECTED))]
        sizes = [_size(entry) for entry in names if entry.name.endswith(SUFFIX)]
        return Contents(len(sizes), sum(sizes), len(names) - len(sizes))

    async def drain(self, inbox: Inbox, told: Callable[[int], object] = bool) -> int:
        """Hand what waits to the inbox; how many it took. Stops where the database cannot take more.

        `told` is called with the number of each handful that was taken.
        """
        if self._folder is not None and not self._looked_again:
            # The secret that they were signed with may be back in the settings.
            self._looked_again = True
            await asyncio.to_thread(_take_back_rejected, self._folder)
        files = await asyncio.to_thread(self.waiting)
        taken = 0
        for start in range(0, len(files), DRAIN_AT_ONCE):
            some = files[start : start + DRAIN_AT_ONCE]
            results = await asyncio.gather(*(self._drain_one(file, inbox) for file in some))
            taken += sum(results)
            told(sum(results))
            if not any(results):
                break
        if taken:
            log.info("spool_drained", events=taken)
        return taken

    async def _drain_one(self, file: Path, inbox: Inbox) -> bool:
        try:
            event = await asyncio.to_thread(_read, file, self._secrets)
        except FileNotFoundError:
            return True  # another process was quicker
        except OSError as error:
            log.error("spooled_event_unreadable", file=file.name, error=type(error).__name__)
            return False
        except (InvalidSignature, InvalidPayload, ValueError, KeyError, TypeError) as error:
            log.error("spooled_event_rejected", file=file.name, error=type(error).__name__)
            await asyncio.to_thread(file.rename, file.with_suffix(REJECTED))
            return True
        try:
            await inbox.accept(event)
        except Unavailable:
            return False
        await asyncio.to_thread(file.unlink, missing_ok=True)
        return True


def _take_back_rejected(folder: Path) -> None:
    for file in folder.glob(f"*{REJECTED}"):
        with suppress(OSError):  # another process was quicker
            file.rename(file.with_suffix(SUFFIX))


def _write(folder: Path, event: StripeEvent) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _check_room(folder)
    head = orjson.dumps({"signature": event.signature, "received_at": event.received_at})
    content = head + b"\n" + event.body.encode()
    # The same delivery has the same name: sent twice, it is kept once.
    name = hashlib.sha256(content.partition(b"\n")[2] + (event.signature or "").encode()).hexdigest()
    aside = folder / f".{uuid.uuid4().hex}.tmp"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(folder / f"{name}{SUFFIX}")
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """A rename is durable only once the folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return 0  # drained meanwhile


def _check_room(folder: Path) -> None:
    with os.scandir(folder) as entries:
        sizes = [entry.stat().st_size for entry in entries if entry.name.endswith(SUFFIX)]
    if len(sizes) >= MAX_FILES or sum(sizes) >= MAX_BYTES:
        raise Unavailable("Neither the database nor the spool can take the event now: the spool is full.")


def _read(file: Path, secrets: Sequence[str]) -> StripeEvent:
    head, _, body = file.read_bytes().partition(b"\n")
    kept = orjson.loads(head)
    verify(body, kept["signature"], secrets, now=None)
    return parse(body, signature=kept["signature"], received_at=int(kept["received_at"]))
