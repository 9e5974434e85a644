"""The admin's password: argon2, checked off the event loop and never many at once."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 2
"""Each check takes 64 MiB: whoever sends many log-ins must not take all memory."""

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """The hash for ADMIN_PASSWORD_HASH."""
    return _hasher.hash(password)


class PasswordCheck:
    """Checks passwords against one hash."""

    def __init__(self, password_hash: str) -> None:
        self._hash = password_hash
        self._room = asyncio.Semaphore(AT_ONCE)

    async def fits(self, password: str) -> bool:
        async with self._room:
            return await asyncio.to_thread(self._fits, password)

    def _fits(self, password: str) -> bool:
        try:
            return _hasher.verify(self._hash, password)
        except (VerificationError, InvalidHashError):
            return False
