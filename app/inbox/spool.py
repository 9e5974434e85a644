"""The spool: where events wait on disk while the database cannot take them. One file an event.

A file is written aside, synced, renamed, and its folder synced, before the event is answered with 200. It
holds the signature, which is checked again when the file is drained: nobody can put an event in by writing a
file. Any number of processes may drain one folder: the inbox takes each id once. A file whose event the
database refuses is set aside, and tried again every now and then: it holds up no other.
"""

import asyncio
import errno
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import orjson
import structlog

from ..concurrency import run_all
from ..errors import NotStorable, Unavailable
from ..observability import metrics
from ..stripe.signatures import verify
from .delivery import Delivery, receive
from .inbox import Inbox

T = TypeVar("T")

log = structlog.get_logger(__name__)

MAX_FILES = 20_000
MAX_BYTES = 512 * 1024 * 1024
SUFFIX, REFUSED, REJECTED = ".event", ".refused", ".rejected"
"""Of what waits; of what waits though the database refuses it, for now; of what Stripe has not signed."""
DRAIN_AT_ONCE = 200
THREADS = 4
LOOK_AGAIN_SECONDS = 600
"""How often what the database has refused is tried again, and leftovers are swept."""
LEFTOVER_SECONDS = 3600
"""From this age on, what is written aside has nobody any more who writes it."""
CANNOT_BE_SYNCED = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.EROFS)
"""Errors of a folder above ours that is another's, or of a file system that syncs no folders."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies in a spool: files that wait and their size; files that were rejected when drained."""

    files: int = 0
    bytes: int = 0
    rejected: int = 0
    refused: int = 0
    """Of those that wait, how many the database has refused."""


class _Drained(Enum):
    DONE = "done"
    PASSED_OVER = "passed over"
    NOT_NOW = "not now"


class Spool:
    """A folder of events. `folder` None: there is no spool, and nothing is kept.

    `clock` gives seconds, from whenever: it measures how long something is ago.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        secrets: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._secrets = secrets
        self._clock = clock
        self._is_durable = False
        self._looked_at: float | None = None
        self._gave_up_at = ""
        # Threads of its own: receivers that block those of the loop must not keep an event from the disk.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="spool")

    async def put(self, delivery: Delivery) -> None:
        """Keep the event on disk; returns once it is durable.

        Raises:
            Unavailable: when there is no spool, it is full, or cannot be written.
        """
        if self._folder is None:
            raise Unavailable("The database cannot take the event now, and no spool is configured.")
        try:
            await self._in_thread(self._write, self._folder, delivery)
        except OSError as error:
            log.error("spool_not_writable", error=type(error).__name__)
            raise Unavailable("Neither the database nor the spool can take the event now.") from None
        metrics.SPOOLED.inc()
        log.warning("event_spooled", event_id=delivery.event.id)

    def is_usable(self) -> bool:
        """Whether the spool would take an event now."""
        if self._folder is None:
            return False
        try:
            self._make(self._folder)
            _check_room(self._folder)
        except (OSError, Unavailable):
            return False
        return os.access(self._folder, os.W_OK | os.X_OK)

    def waiting(self) -> list[Path]:
        """The files that wait to be drained, those that the database has refused included."""
        return [*self._files(SUFFIX), *self._files(REFUSED)]

    def _files(self, suffix: str) -> list[Path]:
        if self._folder is None or not self._folder.is_dir():
            return []
        return sorted(self._folder.glob(f"*{suffix}"))

    def contents(self) -> Contents:
        """What lies there now.

        Raises:
            OSError: when the folder cannot be read.
        """
        if self._folder is None or not self._folder.is_dir():
            return Contents()
        with os.scandir(self._folder) as entries:
            found = list(entries)
        sizes = [_size(entry) for entry in found if entry.name.endswith((SUFFIX, REFUSED))]
        refused = sum(entry.name.endswith(REFUSED) for entry in found)
        rejected = sum(entry.name.endswith(REJECTED) for entry in found)
        return Contents(len(sizes), sum(sizes), rejected, refused)

    async def drain(self, inbox: Inbox, told: Callable[[int], object] = bool) -> int:
        """Hand what waits to the inbox; how many it took. Stops where the database cannot take more.

        `told` is called with the number of each handful that was taken.
        """
        files = await self._in_thread(self._due)
        taken = 0
        for start in range(0, len(files), DRAIN_AT_ONCE):
            some = files[start : start + DRAIN_AT_ONCE]
            results = await run_all(self._drain_one(file, inbox) for file in some)
            done = results.count(_Drained.DONE)
            taken += done
            told(done)
            if _Drained.NOT_NOW in results and not done:
                self._gave_up_at = some[-1].name
                break
        if taken:
            log.info("spool_drained", events=taken)
        return taken

    def _due(self) -> list[Path]:
        """What to try now. Behind those that the database could not take last time come the others first."""
        again = self._look_again()
        files = self._files(SUFFIX)
        behind = [file for file in files if file.name > self._gave_up_at]
        before = files[: len(files) - len(behind)]
        return [*behind, *before, *(self._files(REFUSED) if again else ())]

    def _look_again(self) -> bool:
        """Now and then: sweep; and whether to try again what the database has refused."""
        now, before = self._clock(), self._looked_at
        if self._folder is None or (before is not None and now - before < LOOK_AGAIN_SECONDS):
            return False
        self._looked_at = now
        if before is None:
            # The secret that they were signed with may be back in the settings.
            for file in self._files(REJECTED):
                _rename(file, SUFFIX)
        _sweep(self._folder)
        return True

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _drain_one(self, file: Path, inbox: Inbox) -> _Drained:
        try:
            delivery = await self._in_thread(_read, file, self._secrets)
        except FileNotFoundError:
            return _Drained.DONE  # another process was quicker
        except OSError as error:
            log.error("spooled_event_unreadable", file=file.name, error=type(error).__name__)
            await self._in_thread(_rename, file, REFUSED)
            return _Drained.PASSED_OVER
        except Exception as error:
            log.error("spooled_event_rejected", file=file.name, error=type(error).__name__)
            await self._in_thread(_rename, file, REJECTED)
            return _Drained.DONE
        try:
            await inbox.accept(delivery)
        except NotStorable:
            log.error("spooled_event_refused", file=file.name, event_id=delivery.event.id)
            await self._in_thread(_rename, file, REFUSED)
            return _Drained.PASSED_OVER
        except Unavailable:
            return _Drained.NOT_NOW
        try:
            await self._in_thread(_remove, file)
        except OSError as error:
            log.error("spooled_event_not_removed", file=file.name, error=type(error).__name__)
            return _Drained.PASSED_OVER
        return _Drained.DONE

    def _write(self, folder: Path, delivery: Delivery) -> None:
        self._make(folder)
        _check_room(folder)
        _write(folder, delivery)

    def _make(self, folder: Path) -> None:
        """The folder and those above it, durably. Somebody may have been killed before they were synced."""
        if not self._is_durable or not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _sync_parents(folder)
            self._is_durable = True


def _rename(file: Path, suffix: str) -> None:
    with suppress(OSError):  # another process was quicker; else the next one is
        file.rename(file.with_suffix(suffix))


def _sweep(folder: Path) -> None:
    """Remove what was left half written by a kill, and was never answered with 200."""
    for file in folder.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > LEFTOVER_SECONDS:
                file.unlink()
                log.info("spool_leftover_removed", file=file.name)


def _write(folder: Path, delivery: Delivery) -> None:
    head = orjson.dumps({"signature": delivery.signature, "received_at": delivery.received_at})
    content = head + b"\n" + delivery.event.body.encode()
    # The same delivery has the same name: sent twice, it is kept once.
    name = hashlib.sha256(content.partition(b"\n")[2] + (delivery.signature or "").encode()).hexdigest()
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


def _sync_parents(folder: Path) -> None:
    for parent in folder.absolute().parents:
        try:
            _sync_folder(parent)
        except OSError as error:
            if error.errno not in CANNOT_BE_SYNCED:
                raise


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return 0  # drained meanwhile


def _check_room(folder: Path) -> None:
    with os.scandir(folder) as entries:
        sizes = [_size(entry) for entry in entries if entry.name.endswith((SUFFIX, REFUSED))]
    if len(sizes) >= MAX_FILES or sum(sizes) >= MAX_BYTES:
        raise Unavailable("Neither the database nor the spool can take the event now: the spool is full.")


def _read(file: Path, secrets: Sequence[str]) -> Delivery:
    head, _, body = file.read_bytes().partition(b"\n")
    kept = orjson.loads(head)
    verify(body, kept["signature"], secrets, now=None)
    return receive(body, signature=kept["signature"], received_at=int(kept["received_at"]))


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
