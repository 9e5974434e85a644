"""Behind pgbouncer in transaction mode, where each transaction may get another server connection."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.db.migrations import migrate
from app.simulator import Account, play, truth

from ..client import running
from ..databases import free_port, run_sql, with_database
from ..records import stored

pytestmark = pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="pgbouncer is not installed")


@pytest.fixture
def pooled_url(empty_postgres_database: str, tmp_path: Path) -> Iterator[str]:
    parts, port = urlsplit(empty_postgres_database), free_port()
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    (tmp_path / "users.txt").write_text(f'"{parts.username}" "{parts.password}"\n')
    (tmp_path / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={parts.hostname} port={parts.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = plain\nauth_file = {tmp_path / 'users.txt'}\n"
        "pool_mode = transaction\ndefault_pool_size = 3\nserver_idle_timeout = 1\n"
    )
    account: dict[str, Any] = {"user": "nobody"} if os.getuid() == 0 else {}
    process = subprocess.Popen(
        ["pgbouncer", "-q", tmp_path / "pgbouncer.ini"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **account,
    )
    yield f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}?pgbouncer=true"
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)


async def test_migrations_webhooks_and_reads_work_through_a_pool(
    pooled_url: str, empty_postgres_database: str
) -> None:
    plain = pooled_url.partition("?")[0]
    for _ in range(100):
        try:
            await run_sql(with_database(plain, urlsplit(plain).path[1:]), "SELECT 1")
            break
        except (OSError, asyncpg.PostgresError):
            await asyncio.to_thread(time.sleep, 0.05)
    await asyncio.to_thread(migrate, pooled_url)
    account = Account(1)
    for name in ("renewal", "seats", "cancel_now", "failed_payment"):
        play(account, name, user_id=f"user_{name}")
    async with running(pooled_url) as client:
        await asyncio.gather(*(client.deliver(event) for event in account.events))
        expected = truth(account)
        assert await stored(client.app.state.billing.database, expected) == expected
        reads = (client.read("/internal/users/user_seats") for _ in range(20))
        assert len({str(answer) for answer in await asyncio.gather(*reads)}) == 1
