"""What the catalogue says of plans, add-ons and features for a pricing page, and of what is sold."""

from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.plans import AccessRule, Catalogue, ChangePolicy, KnownPrice, Limit, PriceList
from app.plans.schema import RESERVED_KEYS, OfferTable

from .catalogue_file import FEATURES, load

SOLD = """
default_plan = "free"

[features]
projects = { kind = "allocated", name = "Projects", unit = "projects", order = 2 }
sso = { kind = "boolean", name = "Single sign-on", description = "SAML and OpenID Connect" }
calls = { kind = "consumable", reset = "month" }

[plans.free]
name = "Free"
projects = 3

[plans.legacy]
name = "Team 2021"
prices = ["price_legacy"]
sold = false
projects = 100

[plans.team]
name = "Team"
description = \"\"\"For teams
of any size.\"\"\"
prices = ["price_team"]
unsold_prices = ["price_team_2024"]
products = ["prod_team"]
min_quantity = 2
max_quantity = 50
trial_days = 14
projects = { limit = 10, per_unit = true }

[plans.team.trial]
projects = 4
sso = true

[plans.starter]
order = 2
prices = ["price_starter"]
projects = 10

[plans.enterprise]
projects = "unlimited"

[addons.more]
name = "More projects"
prices = ["price_more"]
projects = 50

[addons.old]
prices = ["price_old_addon"]
sold = false
projects = 5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plans.toml"


@pytest.fixture
def catalogue(file: Path) -> Catalogue:
    return load(file, SOLD)


def test_names_descriptions_and_units_are_read(catalogue: Catalogue) -> None:
    team = catalogue.plans["team"]
    assert (team.title, team.description) == ("Team", "For teams of any size.")
    assert (team.min_quantity, team.max_quantity, team.trial_days) == (2, 50, 14)
    assert catalogue.plans["starter"].title == "starter", "the id where there is no name"
    features = catalogue.features
    assert (features["projects"].title, features["projects"].unit) == ("Projects", "projects")
    assert (features["calls"].title, features["calls"].unit) == ("calls", None)
    assert features["sso"].description == "SAML and OpenID Connect"


def test_the_order_is_for_show_and_the_rank_is_the_place_in_the_file(catalogue: Catalogue) -> None:
    assert [plan.id for plan in catalogue.shown_plans()] == ["free", "starter", "team", "enterprise"]
    assert [plan.id for plan in catalogue.sold_plans()] == ["starter", "team"]
    assert catalogue.plans["starter"].position > catalogue.plans["team"].position
    assert [feature.key for feature in catalogue.shown_features()] == ["projects", "sso", "calls"]
    assert [addon.id for addon in catalogue.sold_addons()] == ["more"]


def test_a_plan_that_is_not_sold_still_is_what_its_prices_buy(catalogue: Catalogue) -> None:
    legacy = catalogue.plan_of_price("price_legacy")
    assert legacy is catalogue.plans["legacy"]
    assert not legacy.is_sold and not legacy.sells("price_legacy")


def test_a_price_that_is_not_sold_still_buys_its_plan(catalogue: Catalogue) -> None:
    prices = PriceList(catalogue, {"price_team_2025": KnownPrice("prod_team")})
    for price, sold in {"price_team": True, "price_team_2024": False, "price_team_2025": True}.items():
        assert (prices.plan(price), prices.is_sold(price)) == (catalogue.plans["team"], sold)
    assert not prices.is_sold("price_unknown") and not prices.is_sold(None)


def test_trial_limits_stand_beside_the_plans_own(catalogue: Catalogue) -> None:
    team = catalogue.plans["team"]
    assert team.limit("projects") == Limit(10, per_unit=True)
    assert team.limit("projects", trialing=True) == Limit(4)
    assert (team.limit("sso"), team.limit("sso", trialing=True)) == (None, Limit(True))
    assert team.limit("calls", trialing=True) is None
    assert catalogue.plans["starter"].limit("projects", trialing=True) == Limit(10), "no trial table"


def test_trials_are_limited_by_default_only_where_the_file_has_limits_for_them(file: Path) -> None:
    assert load(file, SOLD).access.trialing == AccessRule("limited")
    assert load(file, FEATURES + "[plans.a]").access.trialing == AccessRule("full")
    for level in ("full", "none", "limited"):
        text = FEATURES + f'[plans.a]\n[access]\ntrialing = "{level}"'
        assert load(file, text).access.trialing.level == level


def test_the_policy_of_changes_has_the_documented_defaults(file: Path) -> None:
    assert load(file, FEATURES + "[plans.a]").changes == ChangePolicy("now", "period_end")
    text = FEATURES + '[plans.a]\n[changes]\nupgrade = "period_end"\ndowngrade = "now"'
    assert load(file, text).changes == ChangePolicy("period_end", "now")


A = FEATURES + '[plans.a]\nprices = ["price_a"]\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param(A + "name = ''", ["plan 'a'", "key 'name'", "is empty"], id="empty name"),
        pytest.param(A + "name = 5", ["plan 'a'", "key 'name'"], id="name is a number"),
        pytest.param(A + 'name = "a\\tb"', ["key 'name'", "control character"], id="tab"),
        pytest.param(A + f"name = '{'n' * 251}'", ["key 'name'", "longer than 250"], id="long"),
        pytest.param(A + "sold = 'no'", ["plan 'a'", "key 'sold'"], id="sold"),
        pytest.param(A + "order = -1", ["plan 'a'", "key 'order'"], id="order"),
        pytest.param(A + "trial_days = 731", ["plan 'a'", "key 'trial_days'", "730"], id="long trial"),
        pytest.param(A + "trial_days = 0", ["plan 'a'", "key 'trial_days'"], id="no trial"),
        pytest.param(
            A + "projects = { limit = 1, per_unit = true }\nmin_quantity = 3\nmax_quantity = 2",
            ["plan 'a'", "key 'min_quantity'", "greater than max_quantity (2)"],
            id="least above most",
        ),
        pytest.param(
            A + "projects = 1\nmin_quantity = 3",
            ["key 'min_quantity'", "set per_unit"],
            id="units for nothing",
        ),
        pytest.param(
            A + "unsold_prices = ['price_a']",
            ["key 'unsold_prices'", "in plan 'a' already"],
            id="sold and not",
        ),
        pytest.param(
            A + "[plans.b]\nunsold_prices = ['price_a']", ["plan 'b'", "in plan 'a' already"], id="other's"
        ),
        pytest.param(
            A + "[plans.a.trial]\nseats = 1", ["plan 'a'", "key 'trial.seats'", "is no feature"], id="trial"
        ),
        pytest.param(
            A + "[plans.a.trial]\nprojects = 'many'", ["key 'trial.projects'", "no size"], id="trial's limit"
        ),
        pytest.param(
            A + "[plans.a.trial]\nprojects = 1\n[access]\ntrialing = 'full'",
            ["plan 'a'", "key 'trial'", 'write "limited" there'],
            id="trial without effect",
        ),
        pytest.param(
            A + "[addons.b]\nprices = ['b']\ntrial_days = 3", ["addon 'b'", "key 'trial_days'"], id="add-on"
        ),
        pytest.param(
            A + "[access]\npast_due = 'limited'", ["key 'past_due'", 'write "full"'], id="limited past due"
        ),
        pytest.param(
            A + "[changes]\nupgrade = 'soon'", ["[changes]", "key 'upgrade'", "'now'"], id="changes"
        ),
        pytest.param(
            A + "[changes]\nupgrad = 'now'", ["key 'upgrad'", "known here: upgrade, downgrade"], id="typo"
        ),
        pytest.param(A + "[over_limit]\nday = 3", ["key 'day'", "known here: days"], id="typo over limit"),
        pytest.param(A + "[ignored]\nprice = []", ["key 'price'", "known here: prices"], id="typo ignored"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place_and_the_remedy(
    file: Path, text: str, named: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(file, text)
    for words in named:
        assert words in refused.value.detail


@pytest.mark.parametrize(
    "key", ["name", "description", "sold", "order", "trial", "unsold_prices", "min_quantity"]
)
def test_a_feature_is_not_called_as_a_key_of_a_plan(file: Path, key: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(file, f'[features]\n{key} = {{ kind = "boolean" }}\n[plans.a]')
    assert f"`{key}` is the key of a plan" in refused.value.detail
    assert "name the feature otherwise" in refused.value.detail


def test_every_key_of_a_plan_is_reserved() -> None:
    assert set(OfferTable.model_fields) == set(RESERVED_KEYS)
