"""What is wrong with a catalogue or an override is refused, with its place and the remedy."""

import re
import tomllib
from pathlib import Path

import pytest

from app.errors import ConfigurationError, InvalidRequest
from app.plans import (
    load_catalogue,
    read_override,
)

from ..test_docs import undated
from .catalogue_file import FEATURES, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plans.toml"


SHOWN_FEATURES = """
[features]
projects = { kind = "allocated" }
members = { kind = "allocated" }
api_calls = { kind = "consumable", reset = "month" }
sso = { kind = "boolean" }
"""


def test_every_piece_of_a_catalogue_that_the_documentation_shows_can_be_used(file: Path) -> None:
    pages = [(page.name, page.read_text()) for page in undated()]
    pieces = [(name, piece) for name, text in pages for piece in re.findall(r"```toml.*\n([^`]+)```", text)]
    assert len(pieces) > 12
    for name, piece in pieces:
        shown = tomllib.loads(piece)
        rest = "" if "features" in shown else SHOWN_FEATURES
        rest += "" if "plans" in shown else "[plans.of_this_test]\n"
        try:
            load(file, f"{piece}\n{rest}")
        except ConfigurationError as error:
            pytest.fail(f"{name}: {error.detail}\n{piece}")


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


def test_all_that_is_wrong_is_named_at_once(file: Path) -> None:
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
