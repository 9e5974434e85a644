"""The admin's password: hashed with argon2, verified in threads of its own, behind everything else."""

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MAX_WAITING = 32
"""Networks whose attempt may wait, one of each: those beyond are refused at once."""
NICENESS = 10

_hasher = PasswordHasher()


class TooManyLogIns(Exception):
    """Too many log-ins wait to be checked, or one of this network does."""


def hash_password(password: str) -> str:
    """The hash for ADMIN_PASSWORD_HASH."""
    return _hasher.hash(password)


class PasswordCheck:
    """Verifies passwords against one hash, two at a time: each check needs 64 MiB.

    One of the two is for browsers that have logged in before, so that they need not wait for strangers.
    """

    def __init__(self, password_hash: str) -> None:
        self._hash = password_hash
        self._known, self._strangers = (
            ThreadPoolExecutor(1, thread_name_prefix=f"log-in {name}", initializer=_give_way)
            for name in ("known", "strangers")
        )
        self._waiting: set[str] = set()

    async def verify(self, password: str, *, network: str = "", known: bool = False) -> bool:
        """Whether the password is the right one. A broken hash has no right password.

        Raises:
            TooManyLogIns: when too many wait already, or one of the same network; a known browser waits
                for no stranger.
        """
        loop = asyncio.get_running_loop()
        if known:
            return await loop.run_in_executor(self._known, self._verify, password)
        with self._place(network):
            return await loop.run_in_executor(self._strangers, self._verify, password)

    @contextmanager
    def _place(self, network: str) -> Iterator[None]:
        if network in self._waiting or len(self._waiting) >= MAX_WAITING:
            raise TooManyLogIns
        self._waiting.add(network)
        try:
            yield
        finally:
            self._waiting.discard(network)

    def _verify(self, password: str) -> bool:
        try:
            return _hasher.verify(self._hash, password)
        except (VerificationError, InvalidHashError):
            return False


def _give_way() -> None:
    """Let webhooks have the processor first."""
    with suppress(OSError, AttributeError):  # only Linux knows the priority of one thread
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
