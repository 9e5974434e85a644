"""The servers that are measured: each a process of its own on a free port of 127.0.0.1."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil

from tests.databases import free_port

from .workload import SECRET

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_SECONDS = 180
STOP_TIMEOUT_SECONDS = 30
MEBIBYTE = 1024 * 1024


class Process:
    """A process that ends with us, however we end."""

    def __init__(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        self.log = folder / f"{free_port()}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environment,
                cwd=folder,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,
            )
        self._paused = False

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def memory(self) -> float:
        """Resident memory in MiB, of its children too."""
        process = psutil.Process(self._process.pid)
        family = [process, *process.children(recursive=True)]
        return sum(member.memory_info().rss for member in family) / MEBIBYTE

    def processor_seconds(self) -> float:
        """User and system time so far, its children's too."""
        return processor_seconds(self._process.pid)

    def pause(self) -> None:
        """Let it do nothing until `resume`."""
        self._process.send_signal(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._paused = False

    def stop(self) -> None:
        if self._paused:
            self.resume()
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Server(Process):
    """A process that answers HTTP."""

    def __init__(
        self, name: str, data: str, command: Sequence[str], folder: Path, environment: dict[str, str]
    ) -> None:
        self.name = name
        self.data = data
        """The address of its database; its name where it has none."""
        self.port = free_port()
        super().__init__([part.format(port=self.port) for part in command], folder, environment)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline and not self.ended:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/healthz", trust_env=False)
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()[-2000:]}")


def project(name: str, url: str, folder: Path, *, workers: int = 1, retention_days: int = 0) -> Server:
    """The service itself, as `python -m app serve` serves it."""
    command = ["app", "serve", "--port", "{port}", "--workers", str(workers)]
    return Server(name, url, command, folder, _settings(url, folder / f"spool-{name}", retention_days))


def worker(url: str, folder: Path) -> Process:
    """The service's worker, without HTTP."""
    return Process(["app", "worker"], folder, _settings(url, folder / "spool-worker", 0))


def baseline(name: str, folder: Path, url: str = "") -> Server:
    return Server(name, url or name, ["benchmarks.baselines", name, "{port}", url], folder, {})


def _settings(url: str, spool: Path, retention_days: int) -> dict[str, str]:
    return {
        "DATABASE_URL": url,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "INTERNAL_API_KEY": "benchmark-key-of-the-internal-api",
        "SPOOL_DIR": str(spool),
        "PLANS_FILE": str(ROOT / "plans.toml"),
        "EVENT_RETENTION_DAYS": str(retention_days),
    }


def processor_seconds(pid: int) -> float:
    """User and system time of a process and all that it has started, whether it lives or has ended."""
    process = psutil.Process(pid)
    return sum(_seconds(member) for member in (process, *process.children(recursive=True)))


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0  # ended just now, as PostgreSQL's autovacuum workers do
    return float(times.user + times.system + times.children_user + times.children_system)


def _end_with_parent() -> None:
    """Ask Linux to end the process when the benchmark dies."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
