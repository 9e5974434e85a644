"""A server process that tests may kill."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.client import KEY, SECRET
from tests.databases import free_port

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_SECONDS = 30


class Server:
    """`python -m app serve`, on a free port of 127.0.0.1."""

    def __init__(self, database_url: str, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "server.log"
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": database_url,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "INTERNAL_API_KEY": KEY,
            "SPOOL_DIR": str(folder / "spool"),
            "PLANS_FILE": str(ROOT / "plans.toml"),
            **settings,
        }
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "app", "serve", "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, cwd=self._folder, stdout=log, stderr=log
            )
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(START_TIMEOUT_SECONDS):
            while True:
                try:
                    await client.get(f"{self.url}/healthz")
                    return
                except httpx.HTTPError:
                    assert self._process.poll() is None, self._log.read_text()[-2000:]
                    await asyncio.sleep(0.02)

    def kill9(self) -> None:
        """End it between any two of its lines."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in good order."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=30)
