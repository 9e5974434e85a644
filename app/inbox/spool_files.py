"""The files of a spool: how one is written so that it survives a power cut, and how they are counted."""

import errno
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson
import structlog

from ..stripe.signatures import verify
from .delivery import Delivery, receive

log = structlog.get_logger(__name__)

SUFFIX, REFUSED, REJECTED = ".event", ".refused", ".rejected"
"""Of what waits; of what waits though the database refuses it, for now; of what Stripe has not signed."""
CANNOT_BE_SYNCED = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.EROFS)
"""Errors of a folder above ours that is another's, or of a file system that syncs no folders."""
TRIAL_BYTES = 8192
"""How much is written to see whether an event could be: most events are smaller."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies in a spool: files that wait and their size; files that were rejected when drained."""

    files: int = 0
    bytes: int = 0
    rejected: int = 0
    refused: int = 0
    """Of those that wait, how many the database has refused."""


def names(folder: Path | None, *suffixes: str) -> list[str]:
    """The names of the files with such suffixes, in order; none where there is no folder."""
    if folder is None:
        return []
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith(suffixes))
    except (FileNotFoundError, NotADirectoryError):
        return []


def count(folder: Path) -> Contents:
    """Count a folder's files; none where there is no folder.

    Raises:
        OSError: when the folder cannot be read.
    """
    if not folder.is_dir():
        return Contents()
    with os.scandir(folder) as entries:
        found = list(entries)
    sizes = [_size(entry) for entry in found if entry.name.endswith((SUFFIX, REFUSED))]
    refused = sum(entry.name.endswith(REFUSED) for entry in found)
    rejected = sum(entry.name.endswith(REJECTED) for entry in found)
    return Contents(len(sizes), sum(sizes), rejected, refused)


def oldest(folder: Path | None) -> int | None:
    """When the file was written that waits longest, in Unix seconds; None when none waits."""
    ages = []
    for name in names(folder, SUFFIX, REFUSED):
        with suppress(FileNotFoundError):  # another process has drained it
            ages.append(int(Path(folder or "", name).stat().st_mtime))
    return min(ages, default=None)


def write(folder: Path, delivery: Delivery) -> int:
    """Write an event durably; how many bytes the spool has grown by.

    Raises:
        OSError: when it cannot be written, or not durably.
    """
    head = orjson.dumps({"signature": delivery.signature, "received_at": delivery.received_at})
    content = head + b"\n" + delivery.event.body.encode()
    # The same delivery has the same name: sent twice, it is kept once.
    name = hashlib.sha256(content.partition(b"\n")[2] + (delivery.signature or "").encode()).hexdigest()
    aside = _write_aside(folder, content)
    file = folder / f"{name}{SUFFIX}"
    is_new = not file.exists()
    try:
        aside.rename(file)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return len(content) if is_new else 0


def write_on_trial(folder: Path) -> None:
    """Write as for an event, and take it away again.

    Raises:
        OSError: when an event could not be written, or not durably.
    """
    _write_aside(folder, b"\0" * TRIAL_BYTES).unlink(missing_ok=True)
    sync_folder(folder)


def read(file: Path, secrets: Sequence[str]) -> Delivery:
    """The event of a file.

    Raises:
        OSError: when the file cannot be read.
        InvalidSignature, InvalidPayload, ValueError, KeyError: when it is not what Stripe has signed, then.
    """
    head, _, body = _content(file).partition(b"\n")
    kept = orjson.loads(head)
    received_at = int(kept["received_at"])
    verify(body, kept["signature"], secrets, now=received_at)
    return receive(body, signature=kept["signature"], received_at=received_at)


def _content(file: Path) -> bytes:
    """What a file holds: nobody is waited for (a pipe), and nothing elsewhere is read (a link)."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("It is no regular file.")
        return opened.read()


def remove(file: Path) -> int:
    """Remove a file; how many bytes it had. Another process may have removed it."""
    try:
        size = file.stat().st_size
        file.unlink()
    except FileNotFoundError:
        return 0
    return size


def rename(file: Path, suffix: str) -> None:
    with suppress(OSError):  # another process was quicker; else the next one is
        file.rename(file.with_suffix(suffix))


def sweep(folder: Path, seconds: float) -> None:
    """Remove what a kill left half written so many seconds ago; it was never answered with 200."""
    for file in folder.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > seconds:
                file.unlink()
                log.info("spool_leftover_removed", file=file.name)


def sync_folder(folder: Path) -> None:
    """A rename is durable only once the folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_parents(folder: Path) -> None:
    """Sync the folders above: one that was made just now is durable only then."""
    for parent in folder.absolute().parents:
        try:
            sync_folder(parent)
        except OSError as error:
            if error.errno not in CANNOT_BE_SYNCED:
                raise


def _write_aside(folder: Path, content: bytes) -> Path:
    """A synced file with this content, under a name that nobody drains."""
    aside = folder / f".{uuid.uuid4().hex}.tmp"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return aside


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return 0  # drained meanwhile
