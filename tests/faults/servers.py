"""A server process that tests may kill."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.client import KEY, SECRET
from tests.databases import free_port
from tests.processes import Process

from .. import ROOT

START_TIMEOUT_SECONDS = 180

CONNECTION_LOST = (httpx.HTTPError, AttributeError)
"""What httpx raises. On uvloop it asks a connection that ended while it was made for its address."""


class Server:
    """`python -m app serve`, or uvicorn with another application, on a free port of 127.0.0.1."""

    def __init__(
        self,
        database_url: str,
        folder: Path,
        *,
        app: str | None = None,
        descriptors: int | None = None,
        root: Path = ROOT,
        python: Path = Path(sys.executable),
        environment: Mapping[str, str] | None = None,
        **more: str,
    ) -> None:
        """`environment`: more variables, as `more` has them. `descriptors`: how many files and sockets it may
        have open. `root`, `python`: the code of another release, and the Python of its environment.
        """
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "server.log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(root),
            "DATABASE_URL": database_url,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "INTERNAL_API_KEY": KEY,
            "SPOOL_DIR": str(folder / "spool"),
            "PLANS_FILE": str(root / "plans.toml"),
        } | {**(environment or {}), **more}
        self._app = app
        self._python = str(python)
        self._descriptors = descriptors
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        port = ["--port", str(self.port)]
        serve = ["app", "serve"] if self._app is None else ["uvicorn", self._app, "--log-level", "warning"]
        command = [self._python, "-m", *serve, *port]
        with self._log.open("ab") as log:
            self._process = Process[bytes](
                command,
                env=self.environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                preexec_fn=self._limit_descriptors if self._descriptors is not None else None,
            )
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(START_TIMEOUT_SECONDS):
            while True:
                try:
                    await client.get(f"{self.url}/healthz")
                    return
                except CONNECTION_LOST:
                    if self._process.poll() == -signal.SIGKILL:
                        return  # it has killed itself already
                    assert self._process.poll() is None, self._log.read_text()[-2000:]
                    await asyncio.sleep(0.02)

    def _limit_descriptors(self) -> None:
        if self._descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._descriptors, self._descriptors))

    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text()

    async def killed(self) -> None:
        """Returns once it has killed itself."""
        assert self._process is not None
        assert await asyncio.to_thread(self._process.wait, START_TIMEOUT_SECONDS) == -signal.SIGKILL

    def kill9(self) -> None:
        """End it between any two of its lines."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in good order."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=START_TIMEOUT_SECONDS)
