"""The wheel, installed into an empty environment and used from an empty folder, as another project would."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app import __version__
from app.simulator import NEW, Account, event_body, sign

from .. import ROOT
from ..databases import free_port
from ..waiting import LONGEST_SECONDS

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("wheel")]

SECRET = "whsec_test_wheel_0123456789abcdef"
KEY = "key_test_wheel_0123456789abcdef0123"


def environment(folder: Path, wheel: Path, *extras: str, beside: tuple[str, ...] = ()) -> Path:
    """A virtual environment that holds the wheel, these extras and what is beside, in the locked versions;
    its `bin`."""
    uv = str(Path(sys.executable).parent / "uv")
    home = folder / "venv"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(home)], check=True)
    wanted = f"subscription-service{'[' + ','.join(extras) + ']' if extras else ''} @ {wheel.as_uri()}"
    locked = str(ROOT / ("requirements-dev.lock" if beside else "requirements.lock"))
    install = [uv, "pip", "install", "-q", "--python", str(home / "bin" / "python"), "-c", locked, wanted]
    subprocess.run([*install, *beside], check=True, cwd=folder)
    return home / "bin"


@pytest.fixture(scope="session")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("base"), wheel)


@pytest.fixture(scope="session")
def everything(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("all"), wheel, "all")


def variables(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a process that knows nothing of this repository."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "INTERNAL_API_KEY": KEY,
        **more,
    }


def run(folder: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=variables(folder, **more), capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def server(everything: Path, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    log = (tmp_path / "server.log").open("wb")
    command = [str(everything / "subscription-service"), "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, env=variables(tmp_path), stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + LONGEST_SECONDS
        while not _is_ready(url):
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "server.log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.HTTPError:
        return False


CHECK = """
import asyncio
from subscription_service import limits
from subscription_service.main import install
from fastapi import FastAPI

async def main() -> None:
    app = FastAPI()
    service = install(app)
    async with app.router.lifespan_context(app):
        entitlements = await limits.load("ada")
        print(entitlements.plan, entitlements.allows("projects"))

asyncio.run(main())
"""


def test_an_empty_folder_migrates_serves_applies_an_event_and_makes_a_check(
    everything: Path, server: str, tmp_path: Path
) -> None:
    migrated = run(tmp_path, str(everything / "subscription-service"), "migrate")
    assert migrated.returncode == 0, migrated.stderr
    account = Account(seed=1, start=int(time.time()))
    account.create_subscription(account.create_customer("ada@example.com", user_id="ada"), "price_team")
    for event in account.events:
        body = event_body(event, NEW)
        headers = {"Stripe-Signature": sign(body, SECRET, int(time.time()))}
        assert httpx.post(f"{server}/webhook/stripe", content=body, headers=headers).status_code == 200
    answer = httpx.get(f"{server}/internal/users/ada/entitlements", headers={"X-API-Key": KEY}).json()
    assert answer.get("plan") == "team", answer
    checked = run(tmp_path, str(everything / "python"), "-c", CHECK)
    assert checked.stdout.split() == ["team", "True"], checked.stderr


def test_the_version_is_the_same_everywhere(everything: Path, server: str, tmp_path: Path) -> None:
    shown = run(tmp_path, str(everything / "subscription-service"), "--version")
    assert shown.stdout.strip() == __version__
    assert httpx.get(f"{server}/healthz").json()["version"] == __version__
    metrics = httpx.get(f"{server}/metrics", headers={"X-API-Key": KEY}).text
    assert f'billing_build_info{{version="{__version__}"}} 1.0' in metrics


def test_messages_name_the_command_as_it_is_installed(everything: Path, tmp_path: Path) -> None:
    failed = run(tmp_path, str(everything / "subscription-service"), "serve", INTERNAL_API_KEY="")
    assert failed.returncode != 0
    assert "subscription-service keys new" in failed.stderr
    assert "python -m app" not in failed.stderr


def test_the_base_alone_serves_a_webhook_and_a_check(base: Path, tmp_path: Path) -> None:
    checked = run(tmp_path, str(base / "python"), "-c", CHECK)
    assert checked.stdout.split() == ["free", "True"], checked.stderr


@pytest.mark.parametrize(
    ("extra", "code", "more"),
    [
        ("cli", "from subscription_service.__main__ import main; main()", {}),
        (
            "admin",
            CHECK,
            {"ADMIN_USERNAME": "root", "ADMIN_PASSWORD_HASH": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"},
        ),
        ("notify", CHECK, {"NOTIFY_URLS": "json://127.0.0.1:9"}),
    ],
)
def test_a_missing_extra_is_one_sentence_that_names_it(
    base: Path, tmp_path: Path, extra: str, code: str, more: dict[str, str]
) -> None:
    failed = run(tmp_path, str(base / "python"), "-c", code, **more)
    assert failed.returncode != 0
    assert f"pip install 'subscription-service[{extra}]'" in failed.stderr.strip().splitlines()[-1]


def test_types_reach_the_application(everything: Path, tmp_path: Path) -> None:
    found = run(tmp_path, str(everything / "python"), "-c", "import subscription_service as s; print(s.ROOT)")
    assert (Path(found.stdout.strip()) / "py.typed").is_file()


def test_the_wheel_holds_what_it_needs_and_nothing_else(wheel: Path) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], check=True, capture_output=True, text=True
    ).stdout
    names = [line.split()[0] for line in listed.splitlines()[1:]]
    assert {"subscription_service/plans.toml", "subscription_service/alembic/env.py"} <= set(names)
    assert {name.partition("/")[0] for name in names} == {
        "subscription_service",
        f"subscription_service-{__version__}.dist-info",
    }
    assert json.dumps(names).count("__pycache__") == 0


TESTED = """
def test_a_user_on_a_plan(billing):
    billing.subscribe("ada", "team")
    assert billing.entitlements("ada").plan == "team"
"""


def test_pytest_finds_the_plugin_of_the_installed_package(wheel: Path, tmp_path: Path) -> None:
    tested = environment(tmp_path, wheel, "simulator", beside=("pytest",))
    (tmp_path / "test_billing.py").write_text(TESTED)
    passed = run(tmp_path, str(tested / "pytest"), "test_billing.py")
    assert "1 passed" in passed.stdout, passed.stdout + passed.stderr
    (tmp_path / "test_billing.py").write_text("import app\n\ndef test_app(): assert app.errors is not None\n")
    (tmp_path / "app").symlink_to(ROOT / "app")
    (tmp_path / "conftest.py").write_text("from app import errors\n")
    beside = run(tmp_path, str(tested / "python"), "-m", "pytest", "test_billing.py")
    assert "1 passed" in beside.stdout, beside.stdout + beside.stderr
