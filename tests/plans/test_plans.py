"""The catalogue: what it says of plans, add-ons, features and access."""

import dataclasses
from pathlib import Path

import pytest

from app.errors import ConfigurationError, NotFound
from app.plans import (
    MAX_AMOUNT,
    AccessPolicy,
    AccessRule,
    CollectionPolicy,
    Limit,
    PausedPolicy,
    load_catalogue,
)
from app.plans.values import read_size

from .. import ROOT
from .catalogue_file import FEATURES, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plans.toml"


def test_the_example_that_ships_is_read() -> None:
    catalogue = load_catalogue(ROOT / "plans.toml")
    assert catalogue.default_plan is catalogue.plans["free"]
    assert catalogue.plans["free"].limits["storage_bytes"] == Limit(1024**3)
    assert catalogue.plans["team"].limits["projects"] == Limit(10, per_unit=True, warn_at=(0.8,))
    assert catalogue.plans["team"].limits["storage_bytes"].value is None
    assert catalogue.addons["more_projects"].limits["projects"] == Limit(50)
    assert catalogue.access == AccessPolicy()


def test_the_access_policy_has_the_documented_defaults(file: Path) -> None:
    policy = load(file, FEATURES + "[plans.free]").access
    week = AccessRule("grace", 7 * 86_400)
    assert policy.active == policy.trialing == AccessRule("full")
    assert policy.pause_collection == CollectionPolicy() == CollectionPolicy(*[AccessRule("full")] * 3)
    assert policy.paused == PausedPolicy() == PausedPolicy(*[AccessRule("none")] * 5)
    assert policy.never_paid == week
    assert policy.past_due == policy.expired_active == week
    for status in ("unpaid", "paused", "incomplete", "incomplete_expired", "canceled"):
        assert policy.of_status(status) == AccessRule("none")
    assert policy.of_status("some_new_status") is None
    assert policy.of_status("pause_collection") is None, "no status, although a key of the policy"
    assert policy.of_status(None) is None


def test_the_access_policy_is_data(file: Path) -> None:
    text = '[access]\npast_due = { grace_days = 14 }\nunpaid = "full"\npause_collection = "none"'
    policy = load(file, FEATURES + "[plans.free]\n" + text).access
    assert policy.past_due == AccessRule("grace", 14 * 86_400)
    assert policy.unpaid == AccessRule("full")
    assert policy.pause_collection == CollectionPolicy(*[AccessRule("none")] * 3)


def test_each_cause_of_a_pause_and_each_pause_of_collection_has_a_rule_of_its_own(file: Path) -> None:
    text = '[access]\npaused = { requested = "full" }\npause_collection = { void = "none" }'
    policy = load(file, FEATURES + "[plans.free]\n" + text).access
    assert policy.paused == PausedPolicy(requested=AccessRule("full"))
    assert policy.paused.of("pause_requested") == AccessRule("full")
    for cause in ("first_payment_failure", "trial_end_without_payment_method", "a_cause_of_2031", None):
        assert policy.paused.of(cause) == AccessRule("none")
    assert policy.pause_collection == CollectionPolicy(void=AccessRule("none"))
    assert policy.pause_collection.of("void") == AccessRule("none")
    assert policy.pause_collection.of("a_behavior_of_2031") == policy.pause_collection.of(None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('paused = { trial = "full" }', "trial_ended"),
        ("paused = { requested = { grace_days = 7 } }", 'write "full" or "none"'),
        ('pause_collection = "grace"', 'write "full" or "none"'),
        ('never_paid = "later"', "grace_days"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_what_to_write(file: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(file, FEATURES + "[plans.free]\n[access]\n" + text)
    assert said in refused.value.detail, refused.value.detail


def test_a_catalogue_cannot_be_changed(file: Path) -> None:
    catalogue = load(file, FEATURES + '[plans.a]\nprices = ["price_a"]\nprojects = 1')
    with pytest.raises(TypeError):
        catalogue.plans["b"] = catalogue.plans["a"]  # type: ignore[index]
    with pytest.raises(TypeError):
        catalogue.plans["a"].limits["projects"] = Limit(2)  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalogue.plans["a"].limits["projects"].value = 2  # type: ignore[misc]


def test_plans_and_addons_are_found_by_their_prices() -> None:
    catalogue = load_catalogue(ROOT / "plans.toml")
    plan, addon = (
        catalogue.plan_of_price("price_team_yearly"),
        catalogue.addon_of_price("price_more_projects"),
    )
    assert plan is catalogue.plans["team"]
    assert addon is catalogue.addons["more_projects"]
    for price_id in ("price_unknown", "", None):
        assert catalogue.plan_of_price(price_id) is None
        assert catalogue.addon_of_price(price_id) is None


def test_what_is_unknown_names_what_is_known() -> None:
    catalogue = load_catalogue(ROOT / "plans.toml")
    with pytest.raises(NotFound, match=r"No feature 'seats'.*projects, storage_bytes.*\[features\]"):
        catalogue.feature("seats")
    with pytest.raises(NotFound, match=r"No plan 'gold'.*free, starter, team.*\[plans\]"):
        catalogue.plan("gold")
    assert catalogue.feature("sso").kind == "boolean"
    assert catalogue.plan("team").id == "team"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0 B", 0),
        ("1 B", 1),
        ("500 MB", 500_000_000),
        ("1 KB", 1000),
        ("1 kB", 1000),
        ("1KiB", 1024),
        ("10 GiB", 10 * 1024**3),
        ("1.5 GiB", 1_610_612_736),
        ("0.001 kB", 1),
        ("2 TB", 2 * 1000**4),
        ("3 PiB", 3 * 1024**5),
        ("7.999999999999999999 EiB", None),
        ("9007199254740993 B", 9_007_199_254_740_993),
        ("9223372036854775807 B", MAX_AMOUNT),
        ("8 EiB", None),
        ("10 gb", None),
        ("10 Gib", None),
        ("10", None),
        ("-1 GB", None),
        ("0.3 B", None),
        ("1e3 MB", None),
        ("٣ MB", None),
        (" 1 MB", None),
        ("1 MB\n", None),
        ("", None),
        ("Unlimited", None),
        ("9" * 5000 + " MB", None),
    ],
)
def test_sizes_are_exact_numbers_of_bytes(text: str, size: int | None) -> None:
    if size is not None:
        assert read_size(text) == size
    else:
        with pytest.raises(ValueError):
            read_size(text)


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("3", 3),
        ("0", 0),
        ("9223372036854775807", MAX_AMOUNT),
        ('"1 GiB"', 1024**3),
        ('"unlimited"', None),
        ("{ limit = 5 }", 5),
        ('{ limit = "unlimited" }', None),
    ],
)
def test_counted_limits(file: Path, value: str, limit: int | None) -> None:
    catalogue = load(file, FEATURES + f"[plans.a]\nprojects = {value}\ncalls = {value}")
    assert catalogue.plans["a"].limits["projects"] == catalogue.plans["a"].limits["calls"] == Limit(limit)


def test_options_of_a_limit(file: Path) -> None:
    text = "[plans.a]\ncalls = { limit = 5, per_unit = true, soft = true, warn_at = [1, 0.8, 0.8] }"
    expected = Limit(5, per_unit=True, soft=True, warn_at=(0.8, 1.0))
    assert load(file, FEATURES + text).plans["a"].limits["calls"] == expected


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ('"gold"', "gold"),
        ("true", True),
        ('"10 MB"', 10_000_000),
        ('"unlimited"', None),
    ],
)
def test_static_values_keep_their_type(file: Path, value: str, read: object) -> None:
    limit = load(file, FEATURES + f"[plans.a]\ntier = {value}").plans["a"].limits["tier"]
    assert limit.value == read
    assert type(limit.value) is type(read)


@pytest.mark.parametrize("value", ["Unlimited", "UNLIMITED", " unlimited", "-1", "-1.5", "- 1", "-inf"])
def test_a_text_that_is_meant_as_no_limit_is_refused_with_what_to_write(file: Path, value: str) -> None:
    file.write_text(f'[features]\nx = {{ kind = "static" }}\n[plans.a]\nprices = ["p"]\nx = "{value}"\n')
    with pytest.raises(ConfigurationError, match=r'plan .a., key .x.: .*write "unlimited"'):
        load_catalogue(file)


def test_features_may_be_called_like_anything(file: Path) -> None:
    text = '[features]\nlimits = { kind = "allocated" }\nmodel_config = { kind = "boolean" }\n'
    catalogue = load(file, text + "[plans.a]\nlimits = 3\nmodel_config = true")
    assert catalogue.plans["a"].limits == {"limits": Limit(3), "model_config": Limit(True)}
