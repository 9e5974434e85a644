"""The TypeScript client: generated from the running service's description, compiled, and run against it."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .. import ROOT
from ..client import KEY
from ..faults.servers import Server

pytestmark = pytest.mark.long

SAID = """\
projects used: 2 of 3
projects used: 2 of 3
denied: limit_reached
both allowed: true
bytes used: 1234
the upload was aborted
bytes used: 1234
"""
OFFLINE = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ENETUNREACH")


def npm(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["npm", *arguments]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "STRIPE"))}
    return subprocess.run(
        command, cwd=folder, env=own | environment, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the example with its locked packages."""
    if shutil.which("npm") is None:
        pytest.skip("Node.js with npm is needed: apt-get install nodejs npm.")
    folder = tmp_path / "typescript"
    ignore = shutil.ignore_patterns("node_modules", "build", "billing.d.ts")
    shutil.copytree(ROOT / "examples" / "typescript", folder, ignore=ignore)
    installed = npm(folder, "ci", "--no-audit", "--no-fund")
    if any(word in installed.stderr for word in OFFLINE):
        pytest.skip(f"The npm registry cannot be reached: {installed.stderr[-200:]}")
    assert installed.returncode == 0, installed.stderr
    return folder


async def test_the_typescript_client_is_generated_compiled_and_run(
    package: Path, postgres_database: str, tmp_path: Path
) -> None:
    environment = {"API_DOCS": "true", "CATCH_UP_MINUTES": "0"}
    async with Server(postgres_database, tmp_path, environment=environment) as server:
        asked = {"BILLING_URL": server.url, "BILLING_API_KEY": KEY}
        for script in ("generate", "build", "start"):
            done = await asyncio.to_thread(npm, package, "run", "--silent", script, **asked)
            assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == SAID
