"""The plan catalogue: what it reads, and that it refuses the rest, naming file, plan, key and remedy."""

import dataclasses
from pathlib import Path

import pytest

from app.errors import ConfigurationError, InvalidRequest, NotFound
from app.plans import (
    MAX_AMOUNT,
    AccessPolicy,
    AccessRule,
    Catalogue,
    CollectionPolicy,
    Limit,
    PausedPolicy,
    load_catalogue,
    read_override,
)
from app.plans.values import read_size

from .. import ROOT

FEATURES = """
[features]
projects = { kind = "allocated" }
calls = { kind = "consumable", reset = "month" }
tier = { kind = "static" }
sso = { kind = "boolean" }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plans.toml"


def load(file: Path, text: str) -> Catalogue:
    file.write_text(text)
    return load_catalogue(file)


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


PLAN = FEATURES + '[plans.a]\nprices = ["price_a"]\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param(
            PLAN + "seats = 3", ["plan 'a'", "key 'seats'", "add it to [features]"], id="unknown feature"
        ),
        pytest.param(
            PLAN + "[plans.b]\nprices = ['price_a']",
            ["plan 'b'", "key 'prices'", "price_a is in plan 'a' already", "leave it in one place"],
            id="price in two plans",
        ),
        pytest.param(
            PLAN + "[addons.b]\nprices = ['price_a']",
            ["addon 'b'", "key 'prices'", "price_a is in plan 'a' already"],
            id="price in plan and add-on",
        ),
        pytest.param(
            FEATURES + "[plans.a]\nprices = ['x', 'x']",
            ["plan 'a'", "x is in plan 'a' already"],
            id="price twice",
        ),
        pytest.param(PLAN + "prices = ['b']", ["TOML", "at line 9", "correct the syntax"], id="key twice"),
        pytest.param(
            "default_plan = 'gold'\n" + PLAN, ["key 'default_plan'", "no plan 'gold'"], id="default"
        ),
        pytest.param(
            "defualt_plan = 'a'\n" + PLAN, ["key 'defualt_plan'", "known here: default_plan"], id="top"
        ),
        pytest.param(
            PLAN + "projects = { limit = 1, softt = true }", ["plan 'a'", "projects.softt"], id="option"
        ),
        pytest.param(
            PLAN + "projects = { soft = true }", ["plan 'a'", "'projects.limit'", "is missing"], id="none"
        ),
        pytest.param(PLAN + "projects = -1", ["plan 'a'", "key 'projects'", "between 0 and"], id="negative"),
        pytest.param(
            PLAN + "projects = 9223372036854775808", ["plan 'a'", "key 'projects'", "2**63-1"], id="too much"
        ),
        pytest.param(
            PLAN + "projects = '8 EiB'", ["plan 'a'", "key 'projects'", "2**63-1"], id="size too much"
        ),
        pytest.param(
            PLAN + "projects = 1.5", ["plan 'a'", "key 'projects'", "a whole number"], id="fraction"
        ),
        pytest.param(PLAN + "projects = nan", ["plan 'a'", "key 'projects'", "a whole number"], id="nan"),
        pytest.param(
            PLAN + "projects = true", ["plan 'a'", "key 'projects'", "not true"], id="bool for number"
        ),
        pytest.param(
            PLAN + "projects = { limit = false }", ["key 'projects'", "not false"], id="bool in table"
        ),
        pytest.param(PLAN + "projects = '3 gb'", ["plan 'a'", "key 'projects'", "GiB"], id="unit"),
        pytest.param(PLAN + "projects = []", ["plan 'a'", "key 'projects'", "a whole number"], id="array"),
        pytest.param(
            PLAN + "sso = 1", ["plan 'a'", "key 'sso'", "write true or false"], id="number for bool"
        ),
        pytest.param(
            PLAN + "sso = 'unlimited'", ["plan 'a'", "key 'sso'", "true or false"], id="unlimited bool"
        ),
        pytest.param(
            PLAN + "sso = { limit = true, per_unit = true }",
            ["plan 'a'", "key 'sso'", "per_unit", "remove it"],
            id="per_unit on boolean",
        ),
        pytest.param(
            PLAN + "tier = { limit = 1, per_unit = true }", ["key 'tier'", "per_unit"], id="per_unit static"
        ),
        pytest.param(PLAN + "tier = { limit = 1, soft = true }", ["key 'tier'", "soft"], id="soft on static"),
        pytest.param(PLAN + "tier = inf", ["plan 'a'", "key 'tier'", "between 0 and"], id="infinite static"),
        pytest.param(PLAN + "tier = [1]", ["plan 'a'", "key 'tier'", "a number, a text"], id="static array"),
        pytest.param(
            PLAN + "tier = 1\n[plans.b]\ntier = 'gold'",
            ["plan 'b'", "key 'tier'", "write one type"],
            id="two types",
        ),
        pytest.param(
            PLAN + "calls = { limit = 0, soft = true }", ["key 'calls'", "0 denies"], id="soft nothing"
        ),
        pytest.param(
            PLAN + "calls = { limit = 1, soft = 1 }", ["'calls.soft'", "boolean"], id="number for option"
        ),
        pytest.param(
            PLAN + "calls = { limit = 1, warn_at = [80] }", ["'calls.warn_at'", "0.8"], id="percent"
        ),
        pytest.param(
            PLAN + "calls = { limit = 1, warn_at = [true] }", ["calls.warn_at", "number"], id="bool share"
        ),
        pytest.param(
            PLAN + "calls = { limit = 1, reset = 'day' }",
            ["plan 'a'", "key 'calls'", "one reset period", "[features]"],
            id="second reset period in a plan",
        ),
        pytest.param(
            "[features]\nx = { kind = 'consumable', reset = ['day', 'month'] }\n[plans.a]",
            ["feature 'x'", "key 'reset'", "exactly one of"],
            id="two reset periods",
        ),
        pytest.param(
            "[features.x]\nkind = 'consumable'\nreset = 'day'\nreset = 'month'\n[plans.a]",
            ["TOML", "line 4"],
            id="reset twice",
        ),
        pytest.param(
            "[features]\nx = { kind = 'consumable' }\n[plans.a]",
            ["feature 'x'", "needs a reset"],
            id="no reset",
        ),
        pytest.param(
            "[features]\nx = { kind = 'allocated', reset = 'day' }\n[plans.a]",
            ["feature 'x'", "only a consumable resets", "remove reset"],
            id="reset of what persists",
        ),
        pytest.param("[features]\nx = { kind = 'metered' }\n[plans.a]", ["feature 'x'", "'kind'"], id="kind"),
        pytest.param(
            "[features]\nx = { type = 'static' }\n[plans.a]", ["feature 'x'", "'type'"], id="feature key"
        ),
        pytest.param(
            "[features]\n'a/b' = { kind = 'static' }\n[plans.a]", ["feature 'a/b'", "letters"], id="name"
        ),
        pytest.param(
            "[features]\nprices = { kind = 'static' }\n[plans.a]",
            ["feature 'prices'", "otherwise"],
            id="reserved",
        ),
        pytest.param(PLAN + "[addons.b]\nprojects = 1", ["addon 'b'", "'prices'", "list the"], id="no price"),
        pytest.param(
            PLAN + "[addons.b]\nprices = ['b']\nprojects = { limit = 1, per_unit = true }",
            ["addon 'b'", "key 'projects'", "remove per_unit"],
            id="per_unit on add-on",
        ),
        pytest.param(
            PLAN + "[addons.b]\nprices = ['b']\ntier = 'gold'",
            ["addon 'b'", "key 'tier'", "text"],
            id="text add-on",
        ),
        pytest.param(
            PLAN + "[addons.b]\nprices = ['b']\nseats = 1", ["addon 'b'", "'seats'"], id="add-on feature"
        ),
        pytest.param(
            FEATURES + "[plans.a]\nprices = 'x'", ["plan 'a'", "key 'prices'", "list"], id="price no list"
        ),
        pytest.param(FEATURES + "[plans.a]\nprices = ['']", ["plan 'a'", "'prices.0'"], id="empty price"),
        pytest.param(
            PLAN + "[access]\ncancelled = 'none'", ["[access]", "'cancelled'", "canceled"], id="status"
        ),
        pytest.param(
            PLAN + "[access]\nactive = { grace_days = 1 }", ["[access]", "'active'"], id="grace of active"
        ),
        pytest.param(
            PLAN + "[access]\npast_due = 'grace'", ["[access]", "'past_due'", "grace_days"], id="rule"
        ),
        pytest.param(
            PLAN + "[access]\npast_due = { grace_days = -1 }", ["'past_due'", "0 to 36500"], id="days"
        ),
        pytest.param(
            PLAN + "[access]\npast_due = { grace_days = true }", ["'past_due'", "whole"], id="bool days"
        ),
        pytest.param(PLAN + "[access]\ncanceled = 'full'", ["'canceled'", '"none"'], id="full after the end"),
        pytest.param("[plans.a]", ["key 'features'", "is missing"], id="no features"),
        pytest.param(FEATURES, ["key 'plans'", "is missing"], id="no plans"),
        pytest.param("", ["key 'plans'", "is missing"], id="empty file"),
        pytest.param(PLAN + "x =", ["TOML", "line 9", "correct the syntax"], id="syntax"),
        pytest.param(PLAN + "x = " + "9" * 5000, ["TOML"], id="a number of thousands of digits"),
    ],
)
def test_an_unusable_catalogue_names_file_place_and_remedy(file: Path, text: str, named: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(file, text)
    _, *lines = caught.value.detail.splitlines()
    assert all(line.startswith(f"  {file}: ") for line in lines)
    assert any(all(part in line for part in named) for line in lines), caught.value.detail


def test_all_that_is_wrong_is_told_at_once(file: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(file, PLAN + "seats = 3\nprojects = -1\n[plans.b]\nsso = 3")
    assert len(caught.value.detail.splitlines()) == 4


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigurationError, match=r"cannot be read.*PLANS_FILE"):
            load_catalogue(path)


def test_a_file_that_is_not_utf_8_is_refused_and_a_byte_order_mark_is_not(file: Path) -> None:
    file.write_bytes(b"\xff\xfe[plans]")
    with pytest.raises(ConfigurationError, match="save the file as UTF-8"):
        load_catalogue(file)
    file.write_bytes(b"\xef\xbb\xbf" + PLAN.encode())
    assert "a" in load_catalogue(file).plans


def test_overrides_are_written_as_in_the_catalogue(file: Path) -> None:
    features = load(file, PLAN + "tier = 'gold'").features
    assert read_override(features["projects"], "set", "unlimited") is None
    assert read_override(features["projects"], "add", "1 KiB") == 1024
    assert read_override(features["sso"], "set", False) is False
    assert read_override(features["sso"], "add", None) is True
    assert read_override(features["tier"], "set", "silver") == "silver"


@pytest.mark.parametrize(
    ("feature", "op", "value"),
    [
        ("projects", "set", None),
        ("projects", "add", None),
        ("projects", "set", True),
        ("projects", "add", -1),
        ("projects", "set", 2**63),
        ("sso", "set", 1),
        ("sso", "set", None),
        ("tier", "add", "silver"),
        ("tier", "set", 3),
    ],
)
def test_an_override_that_does_not_fit_is_refused(file: Path, feature: str, op: str, value: object) -> None:
    features = load(file, PLAN + "tier = 'gold'").features
    with pytest.raises(InvalidRequest, match=f"Feature {feature} "):
        read_override(features[feature], op, value)  # type: ignore[arg-type]
