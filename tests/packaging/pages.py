"""Types what a page says, into shells in an empty folder with an empty HOME, and compares what it shows.

The blocks of a page, by their first line:

- ```` ```toml title="plans.toml" ````: a file to write.
- ```` ```sh title="Terminal 1" ````: a command that goes on in the first terminal. What follows is typed
  into a second one.
- ```` ```sh ````: commands, and ```` ```text ````: what they must have printed; `…` stands for anything.

Ports are all that is typed differently, since a test takes free ones.
"""

import os
import queue
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..databases import free_port

BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NETWORK = re.compile(r"^(PIP|UV|SSL|REQUESTS|CURL)_\w+|^\w+_(proxy|PROXY)$")
"""Variables by which a package installer reaches its registry on this machine."""
STEP_SECONDS = 600
END = "page-step-ended"
SERVICE_PORT, STRIPE_PORT = "8000", "12111"


@dataclass(frozen=True)
class Block:
    kind: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(page.read_text())]


class Shell:
    """A terminal: bash, with its output and errors in one stream."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def type(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def run(self, text: str) -> str:
        """Type it; what it printed. It must end well."""
        self.type(f"{text}\necho; echo {END} $?\n")
        shown = ""
        while f"{END} " not in shown:
            shown += self._lines.get(timeout=STEP_SECONDS)
        shown, _, code = shown.partition(f"{END} ")
        assert code.strip() == "0", f"{text}\n{shown}"
        return shown.strip()

    def so_far(self) -> str:
        return "".join(self._lines.get_nowait() for _ in range(self._lines.qsize()))

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # bash itself ignores SIGTERM while a command runs
        self._process.wait(30)
        self._reader.join(30)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


class Reader:
    """Somebody who follows a page in the folder, with the wheel in it; pip finds the rest in a wheelhouse."""

    def __init__(self, folder: Path, home: Path, wheelhouse: Path) -> None:
        self._folder = folder
        self._ports = {port: str(free_port()) for port in (SERVICE_PORT, STRIPE_PORT)}
        kept = {name: value for name, value in os.environ.items() if NETWORK.match(name)}
        port = self._ports[SERVICE_PORT]
        self._environment = kept | {
            "PATH": os.environ["PATH"].removeprefix(f"{os.environ.get('VIRTUAL_ENV')}/bin:"),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PORT": port,
            "UVICORN_PORT": port,
            # pip then leaves it to the first import to compile a module: a third of an installation.
            "PIP_NO_COMPILE": "1",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheelhouse),
        }
        self._shells = [Shell(folder, self._environment)]

    def follow(self, page: Path) -> int:
        """Do what the page says; how many outputs were compared."""
        shown, compared = "", 0
        for block in blocks(page):
            text = self._with_ports(block.text)
            if block.kind == "text":
                assert matches(text, shown), f"{page.name} says\n{text}\nand there was\n{shown}"
                compared += 1
            elif block.kind == "sh" and block.title:
                self._start(text)
            elif block.kind == "sh":
                shown = self._shells[-1].run(text)
            elif block.title:
                (self._folder / block.title).write_text(text)
        return compared

    def _with_ports(self, text: str) -> str:
        for port, free in self._ports.items():
            text = re.sub(rf"\b{port}\b", free, text)
        return text

    def _start(self, text: str) -> None:
        first = self._shells[-1]
        first.type(text)
        deadline = time.monotonic() + STEP_SECONDS
        while not any(listens(port) for port in self._ports.values()):
            assert time.monotonic() < deadline, first.so_far()
            time.sleep(0.2)
        self._shells.append(Shell(self._folder, self._environment))

    def close(self) -> None:
        for shell in self._shells:
            shell.close()


def listens(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def matches(expected: str, shown: str) -> bool:
    """Whether it was shown; spaces at the ends of lines and blank lines do not count."""
    pattern = ".*?".join(re.escape(part) for part in _lines(expected).split("…"))
    return re.fullmatch(pattern, _lines(shown), re.DOTALL) is not None


def _lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


@contextmanager
def reading(folder: Path, home: Path, wheelhouse: Path) -> Iterator[Reader]:
    reader = Reader(folder, home, wheelhouse)
    try:
        yield reader
    finally:
        reader.close()
