"""The examples as their users run them: each in processes of its own, on both databases."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from .. import ROOT
from ..client import AUTH, KEY
from ..databases import free_port
from ..faults.servers import Server
from ..processes import run
from ..waiting import LONGEST_SECONDS, until

ADA = {"X-User": "ada"}
MEBIBYTE = 2**20


@asynccontextmanager
async def example(database_url: str, folder: Path, app: str, **more: str) -> AsyncIterator[httpx.AsyncClient]:
    """The application as a process, and a client of it."""
    async with (
        Server(database_url, folder, app=app, environment={"CATCH_UP_MINUTES": "0"} | more) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=LONGEST_SECONDS) as http,
    ):
        yield http


async def used(http: httpx.AsyncClient, feature: str) -> int:
    answer = (await http.get("/internal/users/ada/entitlements", headers=AUTH)).json()
    number: int = answer["features"][feature]["used"]
    return number


async def create(http: httpx.AsyncClient, name: str) -> httpx.Response:
    return await http.post("/projects", params={"name": name}, headers=ADA)


@pytest.mark.long
async def test_the_synchronous_application_keeps_the_limit_and_the_cron_job_counts_once(
    any_database_url: str, tmp_path: Path
) -> None:
    async with example(any_database_url, tmp_path, "examples.sync_app:app") as http:
        answers = await asyncio.gather(*(create(http, name) for name in "abcdef"))
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [403] * 3
        ids = sorted(answer.json()["id"] for answer in answers if answer.status_code == 201)
        gone = [await http.delete(f"/projects/{ids[0]}", headers=ADA) for _ in range(2)]
        assert [answer.status_code for answer in gone] == [204, 404]
        listed = (await http.get("/projects", headers=ADA)).json()
        assert (len(listed["names"]), listed["may_create"]) == (2, True)
        assert await used(http, "projects") == 2

        for used_then in (3, 4):  # two reports, counted once, and one call of ours each time
            done = await asyncio.to_thread(nightly_reports, any_database_url)
            assert (done.returncode, done.stdout.count("reported, ")) == (0, 2), done.stderr
            path, body = "/internal/users/ada/usage/api_calls", {"op": "consume"}
            # A `check` may know for seconds no more than this process; a `consume` is always exact.
            assert (await http.post(path, json=body, headers=AUTH)).json()["used"] == used_then


def nightly_reports(database_url: str) -> Any:
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": database_url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "examples.nightly_reports"]
    return run(command, cwd=ROOT, env=environment | {"PLANS_FILE": str(ROOT / "plans.toml")})


async def stream(size: int, sent: asyncio.Event, aborted: bool) -> AsyncIterator[bytes]:
    for _ in range(size // MEBIBYTE):
        yield bytes(MEBIBYTE)
    sent.set()
    if aborted:
        await asyncio.Event().wait()


@pytest.mark.long
async def test_an_upload_counts_by_its_real_size_and_an_aborted_one_not_at_all(
    any_database_url: str, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    async with example(any_database_url, tmp_path, "examples.main:app", UPLOADS_DIR=str(files)) as http:

        async def upload(content: Any) -> httpx.Response:
            return await http.post("/uploads", params={"name": "film"}, content=content, headers=ADA)

        whole = await upload(stream(3 * MEBIBYTE, asyncio.Event(), aborted=False))
        assert (whole.status_code, whole.json()["size"]) == (201, 3 * MEBIBYTE), whole.text
        assert await used(http, "storage_bytes") == 3 * MEBIBYTE
        assert [file.stat().st_size for file in files.iterdir()] == [3 * MEBIBYTE]

        sent = asyncio.Event()
        aborted = asyncio.create_task(upload(stream(2 * MEBIBYTE, sent, aborted=True)))
        await sent.wait()

        async def is_held() -> bool:
            return await used(http, "storage_bytes") == 13 * MEBIBYTE  # 10 MiB is the most of a file

        async def is_released() -> bool:
            return await used(http, "storage_bytes") == 3 * MEBIBYTE

        await until(is_held)
        aborted.cancel()
        await until(is_released)
        await until(lambda: len(list(files.iterdir())) == 1)

        too_large = await upload(stream(11 * MEBIBYTE, asyncio.Event(), aborted=False))
        assert too_large.status_code == 413
        announced = await upload(bytes(11 * MEBIBYTE))
        assert announced.status_code == 413
        empty = await upload(b"")
        assert (empty.status_code, empty.json()["size"]) == (201, 0)
        await until(is_released)

        await http.delete(f"/files/{whole.json()['id']}", headers=ADA)
        assert await used(http, "storage_bytes") == 0
        assert [file.stat().st_size for file in files.iterdir()] == [0]


@pytest.mark.long
async def test_the_flask_application_asks_the_service_by_http(
    sqlite_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Server(sqlite_database, tmp_path, CATCH_UP_MINUTES="0") as service:
        environment = {"BILLING_URL": service.url, "BILLING_API_KEY": KEY, "PYTHONPATH": str(ROOT)}
        async with flask(tmp_path, environment) as http:
            made = [await create(http, name) for name in "abc"]
            assert [answer.json()["left"] for answer in made] == [2, 1, 0]
            denied = await create(http, "d")
            assert (denied.status_code, denied.json()["reason"]) == (403, "limit_reached")
            for _ in range(2):
                assert (
                    await http.delete(f"/projects/{made[0].json()['id']}", headers=ADA)
                ).status_code == 204
            assert (await create(http, "")).status_code == 500  # its use is released
            assert (await create(http, "d")).status_code == 201
            assert (await create(http, "e")).status_code == 403


@asynccontextmanager
async def flask(folder: Path, environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "examples.flask_client", "run", "--port", str(port)]
    with (folder / "flask.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env={"PATH": os.environ["PATH"]} | environment, stdout=log, stderr=log
        )
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=LONGEST_SECONDS
        ) as http:

            async def answers() -> bool:
                assert process.returncode is None, (folder / "flask.log").read_text()
                try:
                    return (await http.get("/nothing")).status_code == 404
                except httpx.TransportError:
                    return False

            await until(answers)
            yield http
    finally:
        process.terminate()
        await process.wait()
