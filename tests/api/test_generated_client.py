"""A Python client generated from the running service's description, used against it."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from .. import ROOT
from ..client import KEY
from ..faults.servers import Server
from ..waiting import LONGEST_SECONDS

pytestmark = pytest.mark.long

PROGRAM = """
import sys
import httpx
from subscription_service_client import AuthenticatedClient
from subscription_service_client.api.limits import (
    change_several_usages, change_usage, commit_reservation, get_entitlements, release_reservation,
    reserve_usage,
)
from subscription_service_client.models import (
    CommitIn, DecisionOut, Decisions, Denial, EntitlementsOut, Problem, ReservationIn, ReservationOut,
    UsageChange, UsageChangeOp, UsageChanges, UsageChangesAmounts, UsageChangesOp,
)

url, key, patient = sys.argv[1], sys.argv[2], httpx.Timeout(180)
client = AuthenticatedClient(url, key, prefix="", auth_header_name="X-API-Key", timeout=patient)
with client:
    consume = UsageChange(op=UsageChangeOp.CONSUME, amount=2)
    for _ in range(2):
        one = change_usage.sync("ada", "projects", client=client, body=consume, idempotency_key="request-7")
        assert isinstance(one, DecisionOut) and (one.used, one.remaining) == (2, 1), one
    denied = change_usage.sync("ada", "projects", client=client, body=consume)
    assert isinstance(denied, Denial) and denied.reason == "limit_reached", denied
    assert "team" in denied.upgrade_to
    unknown = change_usage.sync("ada", "nothing", client=client, body=consume)
    assert isinstance(unknown, Problem) and unknown.status == 404, unknown

    amounts = UsageChangesAmounts.from_dict({"projects": 1, "api_calls": 5})
    for op in UsageChangesOp.CHECK, UsageChangesOp.CONSUME:
        many = change_several_usages.sync("ada", client=client, body=UsageChanges(op=op, amounts=amounts))
        assert isinstance(many, Decisions) and many.allowed, many
    assert many.decisions["api_calls"].used == 5

    held = reserve_usage.sync("ada", "storage_bytes", client=client, body=ReservationIn(amount=1000))
    assert isinstance(held, ReservationOut) and held.decision.used == 1000, held
    body = CommitIn(amount=10)
    done = commit_reservation.sync("ada", "storage_bytes", held.id, client=client, body=body)
    assert isinstance(done, DecisionOut) and done.used == 10, done
    late = release_reservation.sync("ada", "storage_bytes", held.id, client=client)
    assert isinstance(late, Problem) and late.status == 409, late
    has = get_entitlements.sync("ada", client=client)
    assert isinstance(has, EntitlementsOut) and has.features["storage_bytes"].used == 10, has
print("well")
"""


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with the generator, in the locked versions."""
    home = tmp_path_factory.mktemp("clients") / "venv"
    uv = str(Path(sys.executable).parent / "uv")
    subprocess.run([uv, "venv", "-q", "--seed", "--python", sys.executable, str(home)], check=True)
    locked = ROOT / "requirements-clients.lock"
    install = [str(home / "bin" / "pip"), "install", "-q", "--require-hashes", "-r", str(locked)]
    done = subprocess.run(install, capture_output=True, text=True, timeout=600, check=False)
    if "(from versions: none)" in done.stderr:
        pytest.skip("The package index cannot be reached.")
    assert done.returncode == 0, done.stderr
    return home / "bin"


def run(folder: Path, *command: str) -> str:
    path = f"{Path(command[0]).parent}:{os.environ['PATH']}"  # the generator formats with the ruff beside it
    done = subprocess.run(
        command, cwd=folder, env={"PATH": path}, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


FREE_FORM = ["checkout_in_stripe_params"]
"""What Stripe names, and not we: any of its parameters."""


def empty_models(client: Path) -> list[str]:
    """The models of a generated client that say nothing: no field, and anything as an additional property."""
    found = []
    for path in sorted((client / "models").glob("*.py")):
        text = path.read_text().partition("def to_dict")[0]
        fields = re.findall(r"^    (\w+): ([\w\[\], |]+)", text, re.MULTILINE)
        names = [name for name, _ in fields if name != "additional_properties"]
        if "_attrs_define" in text and not names and ("additional_properties", "dict[str, Any] ") in fields:
            found.append(path.stem)
    return found


async def test_a_generated_python_client_has_no_empty_model_and_speaks_to_the_service(
    generator: Path, sqlite_database: str, tmp_path: Path
) -> None:
    environment = {"API_DOCS": "true", "CATCH_UP_MINUTES": "0"}
    async with Server(sqlite_database, tmp_path, environment=environment) as server:
        async with httpx.AsyncClient(trust_env=False, timeout=LONGEST_SECONDS) as http:
            page = (await http.get(f"{server.url}/openapi.json")).json()
        (tmp_path / "openapi.json").write_text(json.dumps(page))
        command = [str(generator / "openapi-python-client"), "generate", "--path", "openapi.json"]
        said = await asyncio.to_thread(run, tmp_path, *command, "--fail-on-warning")
        client = tmp_path / "subscription-service-client"
        assert empty_models(client / "subscription_service_client") == FREE_FORM, said
        (client / "program.py").write_text(PROGRAM)
        python = str(generator / "python")
        answer = await asyncio.to_thread(run, client, python, "program.py", server.url, KEY)
    assert answer == "well\n"
