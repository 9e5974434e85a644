"""The file `.env`: one more signing secret in it, and all else as it was."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from ..config import check_signing_secret

NAME = "STRIPE_WEBHOOK_SECRET"
LINE = re.compile(
    rf"(?P<head>\s*(?:export\s+)?{NAME}\s*=)(?P<value>[^#\r\n]*?)(?P<tail>(?:\s+#[^\r\n]*)?\s*)"
)
OWNER_ONLY = 0o600


def is_writable(path: Path) -> bool:
    """Whether the file can be replaced, or made."""
    path = path.resolve()
    return os.access(path.parent, os.W_OK | os.X_OK) and (not path.exists() or path.is_file())


def add_signing_secret(path: Path, secret: str) -> int:
    """Put the secret behind those that are there, which go on counting while one is rolled; how many do.

    What could not be one, such as a placeholder, is replaced: the service would refuse to start with it.

    Raises:
        OSError: when the file cannot be written; it then is as it was.
    """
    path = path.resolve()  # a link stays one
    content = path.read_bytes().decode() if path.exists() else ""
    lines = content.splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if LINE.fullmatch(line)]
    if places:
        place = places[-1]  # the last one counts
        lines[place], count = _with_secret(lines[place], secret)
    else:
        if lines and not lines[-1].endswith(("\n", "\r")):
            lines[-1] += "\n"
        lines.append(f"{NAME}={secret}\n")
        count = 1
    _replace(path, "".join(lines))
    return count


def _with_secret(line: str, secret: str) -> tuple[str, int]:
    parts = LINE.fullmatch(line)
    assert parts is not None
    written = parts["value"].strip().strip("\"'").split(",")
    kept = [each for each in (part.strip() for part in written) if _is_usable(each) and each != secret]
    return f"{parts['head']}{','.join([*kept, secret])}{parts['tail']}", len(kept) + 1


def _is_usable(secret: str) -> bool:
    with suppress(ValueError):
        check_signing_secret(secret)
        return True
    return False


def _replace(path: Path, content: str) -> None:
    """All of the new content or all of the old, whatever happens; readable by its owner alone, as before."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode())
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            there = path.stat()
            if (there.st_uid, there.st_gid) != (aside.stat().st_uid, aside.stat().st_gid):
                os.chown(aside, there.st_uid, there.st_gid)
        aside.rename(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
