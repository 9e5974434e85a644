"""Keys of the internal API: how they are written in the settings, and which one was sent.

Written as the key itself or as `sha256:<64 hexadecimal digits>` of it, with an optional name in front:
`billing-page=sha256:…`. The name stands in the audit trail. Only digests are kept in memory.
"""

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from . import COMMAND

MIN_BITS = 128
MIN_DISTINCT = 8
NAMED = re.compile(r"([a-z][a-z0-9_-]{0,31})=(?!=*$)(.+)", re.DOTALL)
DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")
PLACEHOLDER = re.compile(
    r"change[-_ ]?(me|this)|placeholder|example|password|replace|…"
    r"|(?:^|[-_ ])x{4,}(?:[-_ ]|$)|x{8}"
    r"|(?<![a-z0-9])your[-_ ].*(key|secret|token|string|value|random|here)"
    r"|<[^<>]*(?<![a-z])(key|secret|token|string|value|random|your|here)(?![a-z])[^<>]*>"
    r"|^(\w+_)?<[a-z\s_-]+>$|^[\w-]*\.{3}[\w-]*$"
)
"""What people write where a secret belongs, in lower case. Each pattern is long enough, or needs enough of
the text around it, that a random key of any alphabet matches by chance about once in ten million."""
HOW_TO_MAKE_ONE = f"make one with `{COMMAND} keys new`"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that may call the internal API; a read-only one may only read."""

    name: str
    digest: bytes
    read_only: bool = False


def new_key() -> str:
    """A random key of 256 bits."""
    return secrets.token_urlsafe(32)


def read_key(written: str, *, read_only: bool = False) -> ApiKey:
    """A key as the settings write it.

    Raises:
        ValueError: for one that could be guessed; the message says how to make a better one, and not the key.
    """
    named = NAMED.fullmatch(written)
    name, value = (named[1], named[2]) if named else ("", written)
    if hashed := DIGEST.fullmatch(value):
        digest = bytes.fromhex(hashed[1])
    elif value.lower().startswith("sha256:"):
        raise ValueError("has a sha256: that is not followed by 64 hexadecimal digits")
    else:
        check_strength(value)
        digest = hashlib.sha256(value.encode()).digest()
    # Without a name, the beginning of the digest distinguishes the keys and reveals nothing.
    return ApiKey(name or f"sha256:{digest.hex()[:8]}", digest, read_only)


def check_strength(value: str) -> None:
    """Refuse what could be guessed.

    Raises:
        ValueError: when the value is a placeholder or has fewer than 128 bits.
    """
    if PLACEHOLDER.search(value.lower()):
        raise ValueError(f"is a placeholder; {HOW_TO_MAKE_ONE}")
    if bits(value) < MIN_BITS or len(set(value)) < MIN_DISTINCT:
        raise ValueError(f"is too weak: fewer than {MIN_BITS} bits; {HOW_TO_MAKE_ONE}")


def bits(value: str) -> float:
    """How many bits a random value of this length and alphabet has."""
    alphabets = ((r"[0-9]*", 10), (r"[0-9a-f]*|[0-9A-F]*", 16), (r"[0-9a-z]*|[0-9A-Z]*", 36))
    size = next((size for pattern, size in alphabets if re.fullmatch(pattern, value)), 64)
    return len(value) * math.log2(size)


def find_key(keys: Iterable[ApiKey], sent: bytes) -> ApiKey | None:
    """The key that was sent. Every key is compared, so that the time reveals nothing."""
    digest = hashlib.sha256(sent).digest()
    matching = [key for key in keys if hmac.compare_digest(key.digest, digest)]
    return matching[0] if matching else None
