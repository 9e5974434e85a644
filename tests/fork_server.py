"""A process that has imported the application and forks others: `python -m tests.fork_server DESCRIPTOR`.

On the socket DESCRIPTOR it learns what to run, and gets the new process's input, outputs and errors. The new
process is an orphan at once, which the test process adopts.
"""

import gc
import importlib
import json
import os
import random
import runpy
import signal
import socket
import sys
import time
from typing import Any

MOST_DESCRIPTORS = 1024
IMPORTED = ("app.main", "app.cli", "app.admin", "aiosqlite", "asyncpg", "uvicorn.main", "uvloop", "httptools")


def next_order(connection: socket.socket) -> dict[str, Any] | None:
    """What to run, once this is a new process for it; None when nobody asks any more."""
    while True:
        head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
        if not head:
            return None
        request = b""
        while len(request) < int.from_bytes(head, "big"):
            request += connection.recv(65536)
        if forked(connection):
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
            connection.detach()
            os.closerange(3, MOST_DESCRIPTORS)
            return dict(json.loads(request))
        for descriptor in descriptors:
            os.close(descriptor)


def forked(connection: socket.socket) -> bool:
    """Fork an orphan, and tell its process identifier; true in the orphan."""
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        orphan = os.fork()
        if orphan == 0:
            return True
        os.write(writing, orphan.to_bytes(4, "big"))
        os._exit(0)
    os.waitpid(parent, 0)
    connection.sendall(os.read(reading, 4))
    os.close(reading)
    os.close(writing)
    return False


def become(order: dict[str, Any]) -> None:
    """Be what `python -m` would have started."""
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    random.seed()
    sys.path[0] = order["cwd"]
    importlib.invalidate_caches()
    module, *arguments = order["arguments"]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is the tests' own
    order = next_order(socket.socket(fileno=int(sys.argv[1])))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if order is not None:
        become(order)
