"""The commands of docs/internal-api.md, typed as they stand beside a server of `run`."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .. import ROOT
from ..cli.test_cli import answers, environment
from ..databases import free_port
from ..packaging.pages import SERVICE_PORT, blocks
from ..processes import Process
from ..waiting import LONGEST_SECONDS, wait_until

PAGE = ROOT / "docs" / "internal-api.md"
FAILS = 'curl() { command curl --silent --show-error --fail-with-body "$@" && echo; }; set -euo pipefail\n'
"""Else curl ends well whatever the server answers."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The port of a server that was started in the folder, and wrote its `.env` there."""
    port = str(free_port())
    server = Process(
        [sys.executable, "-m", "app", "run", "--port", port],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        yield port
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(LONGEST_SECONDS)


@pytest.mark.long
def test_the_commands_of_the_page_run_as_they_stand(tmp_path: Path) -> None:
    typed = [each.text for each in blocks(PAGE) if each.kind == "sh"]
    assert typed and all("curl" in text for text in typed)
    shown = []
    with served(tmp_path) as port:
        for text in typed:
            command = FAILS + re.sub(rf"\b{SERVICE_PORT}\b", port, text)
            done = subprocess.run(
                ["bash", "--noprofile", "--norc"],
                input=command,
                cwd=tmp_path,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=LONGEST_SECONDS,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            shown.append(done.stdout)
    assert '"plan":"team"' in shown[0], shown[0]
