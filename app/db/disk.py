"""What keeps a file from being written, in a sentence that names the disk, the path and the remedy."""

import errno
import os
import shutil
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def disk_of(path: Path) -> str:
    """The disk that a path is on, by the folder where it is mounted, and its room."""
    there = existing(path)
    mount = next((each for each in (there, *there.parents) if each.is_mount()), there)
    try:
        usage = shutil.disk_usage(there)
    except OSError:
        return f"the disk mounted at {mount}"
    return f"the disk mounted at {mount}, {usage.free} of {usage.total} bytes free"


def existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    path = path.absolute()
    return next((each for each in (path, *path.parents) if each.exists()), path)


def not_writable(what: str, path: Path, error: OSError, elsewhere: str) -> str:
    """Why a file or folder takes no writes. `elsewhere` says how to use another place."""
    place = f"{what} {path} ({disk_of(path)})"
    if error.errno in FULL:
        return f"{place} cannot be written, as the disk or a quota is full: free space there, or {elsewhere}."
    if error.errno in NOT_ALLOWED:
        return (
            f"{place} cannot be written by this user ({_name(error)}): change its owner or mode, mount it "
            f"writable, or {elsewhere}."
        )
    return f"{place} cannot be written durably ({_name(error)}): look at the disk, or {elsewhere}."


def _name(error: OSError) -> str:
    if error.errno is None:
        return type(error).__name__
    return f"{errno.errorcode.get(error.errno, error.errno)}, {os.strerror(error.errno)}"
