"""A session of the official library of another language, where Node is there."""

import asyncio
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.simulator import Account
from app.simulator.api import serving

SESSION = Path(__file__).with_name("session.mjs")
INSTALL_SECONDS, SESSION_SECONDS = 60, 120
MOST_ERRORS = 14


async def output_of(*command: str, seconds: int, cwd: Path) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=cwd
    )
    try:
        out, error = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None, "", f"no end within {seconds} s"
    return process.returncode, out.decode(), error.decode()


@cache
def tools() -> tuple[str | None, str | None]:
    return shutil.which("node"), shutil.which("npm")


async def library(folder: Path, package: str = "stripe") -> str:
    """Install the library into the folder; gives Node's path.

    Skips the test where Node is missing or the package cannot be had.
    """
    node, npm = tools()
    if node is None or npm is None:
        pytest.skip("Node and npm are not installed.")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    code, _, error = await output_of(
        npm,
        "install",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        package,
        seconds=INSTALL_SECONDS,
        cwd=folder,
    )
    if code != 0:
        pytest.skip(f"The npm package `{package}` cannot be installed here: {error.strip()[-200:]}")
    return node


@pytest.mark.long
async def test_a_session_of_the_node_library_has_only_the_errors_that_stripe_gives(tmp_path: Path) -> None:
    node = await library(tmp_path)
    (tmp_path / SESSION.name).write_bytes(SESSION.read_bytes())
    account = Account(1)
    async with serving(account) as url:
        code, out, error = await output_of(node, SESSION.name, url, seconds=SESSION_SECONDS, cwd=tmp_path)
    assert code == 0, error
    results: list[dict[str, Any]] = json.loads(out)
    wrong = [one for one in results if (one["error"] is None) != (one["expected"] == "success")]
    assert wrong == []
    failed = [one["error"] for one in results if one["error"] is not None]
    assert len(results) >= 114 and 0 < len(failed) <= MOST_ERRORS
    assert {"StripeInvalidRequestError", "StripeCardError"} == {one["type"] for one in failed}
    assert {event.type for event in account.events} >= {
        "invoice.paid",
        "invoiceitem.created",
        "coupon.created",
    }
