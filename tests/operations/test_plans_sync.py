"""One catalogue file for every account: pushed, pulled, pushed again, and killed in between."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.errors import ConfigurationError, InvalidRequest, StripeUnavailable
from app.operations.plans_sync import Account as Known
from app.operations.plans_sync import Write, pull, push, read_account
from app.plans import parse_catalogue
from app.plans.at_stripe import decode, encode
from app.simulator import Account
from app.simulator.api import API_KEY, serving, serving_in_thread
from app.stripe.client import StripeApi

from ..cli.test_cli import app

FILE = """\
# Our plans.
default_plan = "free"

[features]
projects = { kind = "allocated" } # counted
storage_bytes = { kind = "allocated" }
calls = { kind = "consumable", reset = "month" }
support = { kind = "static" }
sso = { kind = "boolean" }

[plans.free]
projects = 3
support = "forum"

[plans.team]
name = "Team"
description = "For teams"
trial_days = 14
projects = { limit = 10, per_unit = true }
storage_bytes = "10 GiB"
calls = "unlimited"
support = "10"
sso = true

[plans.team.trial]
projects = 2

[[plans.team.price]]
lookup_key = "team_month" # the one that is shown first
amount = 2900
currency = "usd"
interval = "month"

[[plans.team.price]]
lookup_key = "team_half_year"
amount = 15000
currency = "usd"
interval = "month"
interval_count = 6

[addons.more]
projects = 50

[[addons.more.price]]
lookup_key = "more_month"
amount = 500
currency = "eur"
interval = "month"

[access]
past_due = { grace_days = 3 }
"""
WRITES = 6
"""Three products and three prices."""


def empty(account: Account) -> Account:
    """The account without the products and prices that it begins with."""
    account.prices.clear()
    account.records.pop("product", None)
    return account


@asynccontextmanager
async def api_of(account: Account) -> AsyncIterator[StripeApi]:
    empty(account)
    async with serving(account) as base:
        api = StripeApi(API_KEY, base)
        try:
            yield api
        finally:
            await api.close()


async def test_a_dry_run_lists_each_write_and_makes_none(tmp_path: Path) -> None:
    async with api_of(Account(1)) as api:
        before = await read_account(api)
        listed: list[Write] = []
        assert await push(api, FILE, apply=False, on_write=listed.append) == WRITES
        assert [each.why for each in listed][:2] == [
            "create the product of plan free",
            "create the product of plan team",
        ]
        assert await read_account(api) == before


async def test_a_second_push_makes_no_write_and_a_pull_changes_no_letter() -> None:
    async with api_of(Account(1)) as api:
        assert await push(api, FILE, apply=True) == WRITES
        assert await push(api, FILE, apply=True) == 0
        assert await pull(api, FILE) == FILE


async def test_a_pull_into_an_empty_folder_is_the_same_catalogue() -> None:
    async with api_of(Account(1)) as api:
        own = [each["id"] for each in (await read_account(api)).products]
        assert own == []
        without_policy = FILE[: FILE.index("[access]")]
        await push(api, without_policy, apply=True)
        text = await pull(api, None)
        assert parse_catalogue(text, "pulled") == parse_catalogue(without_policy, "pushed")
        assert await push(api, text, apply=True) == 0
        assert await pull(api, text) == text


async def test_what_leaves_the_file_leaves_the_metadata() -> None:
    less = (
        FILE.replace("trial_days = 14\n", "")
        .replace("sso = true\n", "")
        .replace("[plans.team.trial]\nprojects = 2\n\n", "")
    )
    async with api_of(Account(1)) as api:
        await push(api, FILE, apply=True)
        assert await push(api, less, apply=True) > 0
        assert await push(api, less, apply=True) == 0
        assert await pull(api, less) == less


async def test_one_file_serves_three_accounts_whose_ids_differ() -> None:
    found: list[Known] = []
    for seed in (1, 2, 3):
        async with api_of(Account(seed)) as api:
            assert await push(api, FILE, apply=True) == WRITES
            found.append(await read_account(api))
    ids = [price["id"] for known in found for price in known.prices]
    assert len(set(ids)) == len(ids) == 9
    keys = [sorted(price["lookup_key"] for price in known.prices) for known in found]
    assert keys == [["more_month", "team_half_year", "team_month"]] * 3


async def test_an_amount_is_never_changed_in_place() -> None:
    dearer = FILE.replace("amount = 2900", "amount = 3900")
    async with api_of(Account(1)) as api:
        await push(api, FILE, apply=True)
        old = (await read_account(api)).price_of("team_month")
        assert old is not None
        assert await push(api, dearer, apply=True) == 2
        known = await read_account(api)
        new, kept = known.price_of("team_month"), known.price(old["id"])
        assert new is not None and kept is not None
        assert (new["unit_amount"], new["id"] != old["id"]) == (3900, True)
        assert (kept["unit_amount"], kept["active"], kept["lookup_key"]) == (2900, False, None)
        assert kept["metadata"]["sold"] == "false"
        assert await push(api, dearer, apply=True) == 0
        assert await pull(api, dearer) == dearer
        assert await push(api, FILE, apply=True) == 2  # and back, by another price
        assert await push(api, FILE, apply=True) == 0


async def test_a_push_that_was_killed_after_any_write_creates_nothing_twice() -> None:
    dearer = FILE.replace("amount = 2900", "amount = 3900")
    for text, first in ((FILE, ""), (dearer, FILE)):
        kills = 0
        while True:
            async with api_of(Account(1)) as api:
                if first:
                    await push(api, first, apply=True)
                if not await _killed(api, text, after=kills):
                    break
                await push(api, text, apply=True)
                known = await read_account(api)
                assert await push(api, text, apply=True) == 0
                assert len(known.products) == 3, kills
                assert len(known.prices) == (4 if first else 3), kills
                assert sum(price["active"] for price in known.prices) == 3, kills
            kills += 1
        assert kills == (2 if first else WRITES)


async def _killed(api: StripeApi, text: str, *, after: int) -> bool:
    """Push, and end once so many writes were made and before the answer to the next one; whether it did."""
    made: list[Write] = []

    def end(write: Write) -> None:
        made.append(write)
        if len(made) > after + 1:
            raise StripeUnavailable("killed")

    post = api.post

    async def lost(path: str, **params: object) -> object:
        answer = await post(path, **params)  # type: ignore[arg-type]
        if len(made) == after + 1:
            raise StripeUnavailable("killed before the answer was read")
        return answer

    api.post = lost  # type: ignore[method-assign,assignment]
    try:
        await push(api, text, apply=True, on_write=end)
    except StripeUnavailable:
        return True
    finally:
        api.post = post  # type: ignore[method-assign]
    return False


async def test_a_team_with_products_at_stripe_starts_from_them() -> None:
    async with api_of(Account(1)) as api:
        product = (
            await api.post(
                "/v1/products", name="Gold plan", metadata={"projects": "50", "sku": "G-1", "sso": "true"}
            )
        ).content
        recurring = {"interval": "month"}
        sold = {"product": product["id"], "currency": "usd", "recurring": recurring}
        await api.post("/v1/prices", unit_amount=900, lookup_key="gold", **sold)
        (bare,) = [(await api.post("/v1/prices", unit_amount=9000, **sold)).content]
        catalogue = parse_catalogue(await pull(api, None), "pulled")
        gold = catalogue.plans["gold_plan"]
        assert (gold.name, gold.lookup_keys, gold.prices) == ("Gold plan", ("gold",), (bare["id"],))
        assert {key: limit.value for key, limit in gold.limits.items()} == {"projects": 50, "sso": True}


async def test_what_stripe_changed_goes_into_the_file_and_the_rest_stays() -> None:
    async with api_of(Account(1)) as api:
        await push(api, FILE, apply=True)
        known = await read_account(api)
        (team,) = [each for each in known.products if each["metadata"].get("plan") == "team"]
        await api.post(f"/v1/products/{team['id']}", name="Crew", metadata={"projects": "20"})
        pulled = await pull(api, FILE)
        assert 'name = "Crew"' in pulled
        assert pulled == FILE.replace('"Team"', '"Crew"').replace("{ limit = 10, per_unit = true }", "20")


@pytest.mark.parametrize(
    "value", [3, True, "unlimited", "10 GiB", "10", "true", "", {"limit": 10, "soft": True}, 0.5, "null"]
)
def test_a_value_comes_back_from_metadata_as_it_was(value: object) -> None:
    assert decode(encode(value)) == value
    assert type(decode(encode(value))) is type(value)


async def test_what_cannot_be_at_stripe_is_refused_before_anything_is_written() -> None:
    long = FILE.replace('support = "forum"', f'support = "{"x" * 600}"')
    named = FILE.replace("sso", "rank")
    async with api_of(Account(1)) as api:
        for text, error in (
            (long, InvalidRequest),
            (named, InvalidRequest),
            ("[features]", ConfigurationError),
        ):
            with pytest.raises(error):
                await push(api, text, apply=True)
        assert (await read_account(api)).products == []


@pytest.mark.long
def test_the_commands_push_after_a_dry_run_and_pull(tmp_path: Path) -> None:
    with serving_in_thread(empty(Account(1))) as base_url:

        def run(*arguments: str, code: int = 0) -> str:
            settings = {"STRIPE_API_KEY": API_KEY, "STRIPE_API_BASE": base_url}
            done = app("plans", *arguments, cwd=tmp_path, **settings)
            assert done.returncode == code, done.stdout + done.stderr
            return done.stdout + done.stderr

        (tmp_path / "plans.toml").write_text(FILE)
        listed = run("push")
        assert "POST /v1/prices: create the price team_month of team: 2900 usd" in listed
        assert f"{WRITES} writes needed; none was made: add `--yes`." in listed
        assert f"{WRITES} writes made." in run("push", "--yes")
        assert "0 writes made." in run("push", "--yes")
        assert "Nothing was changed." in run("pull")
        assert "Wrote other.toml" in run("pull", "other.toml")
        assert "team_half_year" in (tmp_path / "other.toml").read_text()
        assert "cannot be read" in run("push", "missing.toml", code=1)
