"""The admin's password: hashed with argon2, verified in a thread, at most two at a time."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MAX_CONCURRENT_CHECKS = 2
"""Each check needs 64 MiB: many log-ins at once must not exhaust the memory."""

_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """The hash for ADMIN_PASSWORD_HASH."""
    return _hasher.hash(password)


class PasswordCheck:
    """Verifies passwords against one hash."""

    def __init__(self, password_hash: str) -> None:
        self._hash = password_hash
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_CHECKS)

    async def verify(self, password: str) -> bool:
        """Whether the password is the right one. A broken hash has no right password."""
        async with self._slots:
            return await asyncio.to_thread(self._verify, password)

    def _verify(self, password: str) -> bool:
        try:
            return _hasher.verify(self._hash, password)
        except (VerificationError, InvalidHashError):
            return False
