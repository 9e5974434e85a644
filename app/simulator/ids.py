"""Ids that follow from others, so that reading an account changes nothing that it makes next."""

import hashlib
import string

ALPHABET = string.digits + string.ascii_letters


def derived_id(prefix: str, source: str, length: int = 23) -> str:
    """An id as Stripe makes them, always the same for the same source; `prefix` without an underscore."""
    number = int.from_bytes(hashlib.sha256(f"{prefix} {source}".encode()).digest())
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return f"{prefix}_1{''.join(digits)}"
