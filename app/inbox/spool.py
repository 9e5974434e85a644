"""The spool: where events wait on disk while the database cannot take them. One file an event.

A file is written aside, synced, renamed, and its folder synced, before the event is answered with 200. It
holds the signature, which is checked again when the file is drained: nobody can put an event in by writing a
file. Any number of processes may drain one folder: the inbox takes each id once. A file whose event the
database refuses is set aside, and tried again every now and then: it holds up no other.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import structlog

from ..concurrency import run_all
from ..db.disk import not_writable
from ..errors import NotStorable, Unavailable
from ..observability import metrics
from . import spool_files
from .delivery import Delivery
from .inbox import Inbox
from .spool_files import REFUSED, REJECTED, SUFFIX, Contents

__all__ = ["REFUSED", "REJECTED", "SUFFIX", "Contents", "Spool"]

T = TypeVar("T")

log = structlog.get_logger(__name__)

MAX_FILES = 20_000
MAX_BYTES = 512 * 1024 * 1024
DRAIN_AT_ONCE = 200
TRY_AT_ONCE = 8
"""How many files are tried while the database could take none the last time."""
THREADS = 4
DISK_SECONDS = 5
"""How long the disk is waited for: one on a network may not answer for hours."""
LOOK_AGAIN_SECONDS = 600
"""How often what the database has refused is tried again, and leftovers are swept."""
LEFTOVER_SECONDS = 3600
"""From this age on, what is written aside has nobody any more who writes it."""
FEW_FILES = 200
"""Up to this number the files are counted for each request: it takes less than a millisecond."""
COUNT_AGAIN_SECONDS = 30
"""How often more are counted: other processes may fill or drain the folder, too."""
ELSEWHERE = "set SPOOL_DIR to a folder on a disk with room that outlives the process"


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
        self.refused = 0
        """How many events could not be kept."""
        self._is_durable = False
        self._looked_at: float | None = None
        self._gave_up_at: str | None = None
        self._counted = Contents()
        self._counted_at: float | None = None
        self._counting = threading.Lock()
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
            self.refused += 1
            log.error("spool_not_writable", reason=self._why(self._folder, error))
            raise Unavailable("Neither the database nor the spool can take the event now.") from None
        metrics.SPOOLED.inc()
        log.warning("event_spooled", event_id=delivery.event.id)

    async def check(self) -> str | None:
        """As `problem`, off the event loop."""
        return await self._in_thread(self.problem)

    def problem(self) -> str | None:
        """Why the spool takes no event now, with path and disk, a colon, and the remedy; None when it does.

        A file is written and synced for that, and taken away again.
        """
        if self._folder is None:
            return f"There is no spool, as SPOOL_DIR is empty: {ELSEWHERE}."
        try:
            self._make(self._folder)
            if full := self._full(self._folder):
                return full
            spool_files.write_on_trial(self._folder)
        except OSError as error:
            return self._why(self._folder, error)
        return None

    def is_usable(self) -> bool:
        """Whether the spool would take an event now."""
        return self.problem() is None

    def waiting(self) -> list[Path]:
        """The files that wait to be drained, those that the database has refused included."""
        return [*self._files(SUFFIX), *self._files(REFUSED)]

    async def waiting_since(self) -> int | None:
        """When the file was written that waits longest, in Unix seconds; None when none waits."""
        return await self._in_thread(spool_files.oldest, self._folder)

    def contents(self) -> Contents:
        """What lies there now; of many files, what did a moment ago.

        Raises:
            OSError: when the folder cannot be read.
        """
        if self._folder is None:
            return Contents()
        if self._counted_at is None or self._counted.files + self._counted.rejected < FEW_FILES:
            self._count(self._folder)
        elif self._clock() - self._counted_at >= COUNT_AGAIN_SECONDS:
            self._counted_at = self._clock()
            self._threads.submit(self._count, self._folder)  # whoever asks need not wait for it
        return self._counted

    async def count(self) -> Contents:
        """As `contents`, off the event loop.

        Raises:
            OSError: when the folder cannot be read, or the disk does not answer.
        """
        return await self._in_thread(self.contents)

    async def drain(self, inbox: Inbox, on_progress: Callable[[int], object] = bool) -> int:
        """Hand what waits to the inbox; how many it took. Stops where the database cannot take more.

        `on_progress` is called with the number of each handful that was taken.
        """
        files = await self._in_thread(self._due)
        taken, start = 0, 0
        handful = DRAIN_AT_ONCE if self._gave_up_at is None else min(TRY_AT_ONCE, DRAIN_AT_ONCE)
        while some := files[start : start + handful]:
            results = await run_all(self._drain_one(file, inbox) for file in some)
            done = results.count(_Drained.DONE)
            taken += done
            on_progress(done)
            if _Drained.NOT_NOW in results and not done:
                self._gave_up_at = some[-1].name
                break
            start, handful = start + handful, DRAIN_AT_ONCE
        else:
            self._gave_up_at = None
        if taken:
            log.info("spool_drained", events=taken)
        return taken

    def _due(self) -> list[Path]:
        """What to try now. Behind those that the database could not take last time come the others first."""
        again = self._look_again()
        files, last = self._files(SUFFIX), self._gave_up_at or ""
        behind = [file for file in files if file.name > last]
        before = files[: len(files) - len(behind)]
        return [*behind, *before, *(self._files(REFUSED) if again else ())]

    def _files(self, suffix: str) -> list[Path]:
        return [Path(self._folder or "", name) for name in spool_files.names(self._folder, suffix)]

    def _look_again(self) -> bool:
        """Now and then: sweep; and whether to try again what the database has refused."""
        now, before = self._clock(), self._looked_at
        if self._folder is None or (before is not None and now - before < LOOK_AGAIN_SECONDS):
            return False
        self._looked_at = now
        if before is None:
            # The secret that they were signed with may be back in the settings.
            for file in self._files(REJECTED):
                spool_files.rename(file, SUFFIX)
        spool_files.sweep(self._folder, LEFTOVER_SECONDS)
        return True

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """
        Raises:
            TimeoutError: when the disk does not answer; what has begun may be done yet.
        """
        async with asyncio.timeout(DISK_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _drain_one(self, file: Path, inbox: Inbox) -> _Drained:
        try:
            delivery = await self._in_thread(spool_files.read, file, self._secrets)
        except FileNotFoundError:
            return _Drained.DONE  # another process was quicker
        except TimeoutError:
            return _Drained.NOT_NOW
        except OSError as error:
            log.error("spooled_event_unreadable", file=file.name, error=type(error).__name__)
            await self._in_thread(self._set_aside, file, REFUSED)
            return _Drained.PASSED_OVER
        except Exception as error:
            log.error("spooled_event_rejected", file=file.name, error=type(error).__name__)
            await self._in_thread(self._set_aside, file, REJECTED)
            return _Drained.DONE
        try:
            await inbox.accept(delivery)
        except NotStorable:
            log.error("spooled_event_refused", file=file.name, event_id=delivery.event.id)
            await self._in_thread(self._set_aside, file, REFUSED)
            return _Drained.PASSED_OVER
        except Unavailable:
            return _Drained.NOT_NOW
        try:
            await self._in_thread(self._remove, file)
        except OSError as error:
            log.error("spooled_event_not_removed", file=file.name, error=type(error).__name__)
            return _Drained.PASSED_OVER
        return _Drained.DONE

    def _write(self, folder: Path, delivery: Delivery) -> None:
        self._make(folder)
        if self._full(folder) is not None:
            self.refused += 1
            raise Unavailable("Neither the database nor the spool can take the event now: the spool is full.")
        if grown := spool_files.write(folder, delivery):
            self._changed(files=1, bytes=grown)

    def _make(self, folder: Path) -> None:
        """The folder and those above it, durably. Somebody may have been killed before they were synced."""
        if not self._is_durable or not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            spool_files.sync_parents(folder)
            self._is_durable = True

    def _full(self, folder: Path) -> str | None:
        contents = self.contents()
        if contents.files < MAX_FILES and contents.bytes < MAX_BYTES:
            return None
        return (
            f"The spool {folder} is full with {contents.files} events, {contents.bytes} bytes (at most "
            f"{MAX_FILES}, {MAX_BYTES} bytes): bring the database back, which empties it."
        )

    def _why(self, folder: Path, error: OSError) -> str:
        if isinstance(error, TimeoutError):  # to look closer would take as long
            return f"The disk of the spool {folder} does not answer within {DISK_SECONDS} s: look at it."
        return not_writable("The spool", folder, error, ELSEWHERE)

    def _remove(self, file: Path) -> None:
        size = spool_files.remove(file)
        self._changed(files=-1, bytes=-size, refused=-(file.suffix == REFUSED))

    def _set_aside(self, file: Path, suffix: str) -> None:
        if file.suffix == suffix:
            return
        spool_files.rename(file, suffix)
        if suffix == REFUSED:
            self._changed(refused=1)
        else:
            self._changed(files=-1, rejected=1)

    def _count(self, folder: Path) -> None:
        counted = spool_files.count(folder)
        with self._counting:
            self._counted, self._counted_at = counted, self._clock()

    def _changed(self, **by: int) -> None:
        """Keep the count up with what this process does."""
        with self._counting:
            now = {name: max(getattr(self._counted, name) + more, 0) for name, more in by.items()}
            self._counted = replace(self._counted, **now)
