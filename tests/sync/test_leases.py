"""At most one process runs a job."""

import os

import pytest

from app.db import open_database
from app.sync import leases


async def test_a_process_that_was_forked_from_the_one_with_the_lease_does_not_have_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under a server that imports the application and then forks its workers."""
    database, now = open_database(database_url), 1_000_000
    try:
        assert await leases.acquire(database, "catch_up", now)
        assert await leases.acquire(database, "catch_up", now + 1)
        with monkeypatch.context() as patched:
            patched.setattr(os, "getpid", lambda: -1)
            assert not await leases.acquire(database, "catch_up", now + 2)
            await leases.update_job(database, "catch_up", finished_at=now)
            await leases.release(database, "catch_up")  # nothing of its own
            assert not await leases.acquire(database, "catch_up", now + 2)
        job = await leases.load_job(database, "catch_up")
        assert job is not None and job.finished_at is None
        await leases.release(database, "catch_up")
        with monkeypatch.context() as patched:
            patched.setattr(os, "getpid", lambda: -1)
            assert await leases.acquire(database, "catch_up", now + 3)
    finally:
        await database.close()
