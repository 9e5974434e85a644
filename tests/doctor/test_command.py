"""`python -m app doctor`, as a user runs it."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.operations.webhook_endpoint import set_up
from app.simulator import Account
from app.simulator.api import serving_in_thread
from app.stripe.client import StripeApi

from ..cli.test_cli import app

URL = "https://billing.example/webhook/stripe"
SECRETS = {
    "STRIPE_API_KEY": "sk_test_fake_of_the_doctor",
    "STRIPE_WEBHOOK_SECRET": "whsec_fake_of_the_endpoint_0001",
    "INTERNAL_API_KEY": "test-key-of-the-internal-api-0001",
}


@pytest.fixture
def settings(any_database_url: str) -> Iterator[dict[str, str]]:
    """Of an installation that has just been set up."""
    account = Account(1, start=int(time.time()))

    async def prepare(base_url: str) -> None:
        api = StripeApi(SECRETS["STRIPE_API_KEY"], base_url)
        await set_up(api, URL, livemode=False)
        await api.close()

    with serving_in_thread(account, clock=time.time) as base_url:
        asyncio.run(prepare(base_url))
        yield SECRETS | {"DATABASE_URL": any_database_url, "STRIPE_API_BASE": base_url, "LIVEMODE": "false"}


@pytest.mark.long
def test_it_shows_a_table_and_fails_only_where_there_is_an_error(
    settings: dict[str, str], tmp_path: Path
) -> None:
    well = app("doctor", "--url", URL, cwd=tmp_path, **settings)
    assert (well.returncode, well.stderr) == (0, "")
    assert "0 error" in well.stdout
    assert "The job catch-up has never run." in " ".join(well.stdout.split())
    elsewhere = app("doctor", "--url", "https://other.example", cwd=tmp_path, **settings)
    assert elsewhere.returncode == 1
    assert "1 error" in elsewhere.stdout
    shown = well.stdout + elsewhere.stdout + elsewhere.stderr
    assert [name for name, secret in SECRETS.items() if secret in shown] == []


def test_its_json_is_all_that_it_prints(settings: dict[str, str], tmp_path: Path) -> None:
    result = app("doctor", "--json", cwd=tmp_path, **settings)
    content = json.loads(result.stdout)
    assert (result.returncode, content["ok"], content["skipped"]) == (0, True, [])
    assert {each["level"] for each in content["findings"]} == {"ok", "hint", "warning"}


def test_it_starts_with_nothing_set_at_all(tmp_path: Path) -> None:
    result = app("doctor", "--json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "")  # first: it says what went wrong
    content = json.loads(result.stdout)
    assert content["ok"] is False
    errors = [each["what"] for each in content["findings"] if each["level"] == "error"]
    assert errors == ["STRIPE_WEBHOOK_SECRET is missing.", "INTERNAL_API_KEY is missing."]
    whys = {each["why"] for each in content["skipped"]}
    assert whys == {"STRIPE_API_KEY is unset.", "There is no database yet."}
    assert list(tmp_path.iterdir()) == []
