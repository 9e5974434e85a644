"""Processes of the application that need not import it: each is forked from one that has imported it already.

`python -m app …` takes seconds of processor time for its imports, and tests start hundreds. `Process` is a
`subprocess.Popen` all the same: with a process identifier, pipes, signals and an exit code of its own.
"""

import array
import atexit
import ctypes
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any, AnyStr

from . import ROOT
from .waiting import LONGEST_SECONDS

PR_SET_CHILD_SUBREAPER = 36
MODULES = (
    "app",
    "examples.nightly_reports",
    "tests.take_both_ways",
    "tests.take_in",
    "tests.take_usage",
    "uvicorn",
)
"""What is forked; all else is started as ever."""
_EXECUTE: Any = getattr(subprocess.Popen, "_execute_child")  # noqa: B009 # no name that the type checker knows


class _ForkServer:
    """The process from which others are forked."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(LONGEST_SECONDS)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
                | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._end)

    def fork(self, arguments: list[str], cwd: str, env: dict[str, str], descriptors: list[int]) -> int:
        """The process identifier of a new child of this process."""
        request = json.dumps({"arguments": arguments, "cwd": cwd, "env": env}).encode()
        with self._lock:
            adopt_orphans(True)
            try:
                ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
                self._socket.sendmsg([len(request).to_bytes(4, "big")], ancillary)
                self._socket.sendall(request)
                answer = self._socket.recv(4)
                assert len(answer) == 4, "the fork server has ended"
                return int.from_bytes(answer, "big")
            finally:
                adopt_orphans(False)

    def _end(self) -> None:
        self._socket.close()
        self._process.wait(timeout=LONGEST_SECONDS)


def adopt_orphans(adopt: bool) -> None:
    """Whether a process whose parent ended becomes a child of this one, which can then wait for its end."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


@cache
def _fork_server() -> _ForkServer:
    return _ForkServer()


class Process(subprocess.Popen[AnyStr]):
    """A process; forked where it is a module of ours under this Python, on Linux."""

    def _execute_child(self, *given: Any) -> None:
        values = inspect.signature(_EXECUTE).bind(self, *given).arguments
        if not _can_be_forked(values):
            _EXECUTE(self, *given)
            return
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        theirs = [values["p2cread"], values["c2pwrite"], values["errwrite"]]
        self.pid = _fork_server().fork(
            [str(each) for each in values["args"][2:]],
            str(values["cwd"] or Path.cwd()),
            dict(values["env"] or os.environ),
            [number if end == -1 else end for number, end in enumerate(theirs)],
        )
        self._child_created = True
        self._close_pipe_fds(*(values[each] for each in ends))  # type: ignore[attr-defined]


def _can_be_forked(values: dict[str, Any]) -> bool:
    command = [str(each) for each in values["args"]]
    environment = os.environ if values["env"] is None else values["env"]
    python = {name: value for name, value in environment.items() if name.startswith("PYTHON")}
    return (
        sys.platform == "linux"
        and command[:2] == [sys.executable, "-m"]
        and command[2] in MODULES
        and python.get("PYTHONPATH", str(values["cwd"])) == str(ROOT)
        and python.keys() <= {"PYTHONPATH"}
        and not any(values[name] for name in ("preexec_fn", "pass_fds", "shell", "start_new_session"))
    )


def run(
    command: list[str], *, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a process to its end; what it printed, and its exit code."""
    pipe = subprocess.PIPE
    with Process(command, cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            output, errors = process.communicate(timeout=LONGEST_SECONDS)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
