"""What a plan gives while it is on trial, where the catalogue has limits for that."""

import pytest

from .givens import DAY, DEFAULTS, NOW, Given, Sub, catalogue_of, item, of, team

TRIAL = """
[plans.team.trial]
projects = 4
calls = 50
sso = false
daily = 2

[addons.more.trial]
projects = 5
"""
LIMITED = catalogue_of(DEFAULTS + TRIAL)


def test_a_trial_has_its_own_limits_and_the_plans_for_all_else() -> None:
    user = of(team(3, status="trialing"), catalogue=LIMITED)
    assert (user.plan, user.status, user.access) == ("team", "trialing", "full")
    assert (user.limit("projects"), user.limit("calls")) == (4, 50), "3 units; the trial's limit is of none"
    assert (user.value("sso"), user.value("upload_mb")) == (False, 500)
    assert user.limit("daily") == 2, "a feature that the trial alone has"


def test_the_plans_limits_hold_as_soon_as_the_trial_is_over() -> None:
    user = of(team(3), catalogue=LIMITED)
    assert (user.limit("projects"), user.limit("calls"), user.value("sso")) == (30, None, True)
    assert user.limit("daily") == 0


@pytest.mark.parametrize(("level", "limit"), [("full", 10), ("none", 3)])
def test_the_policy_may_give_trials_all_or_nothing(level: str, limit: int) -> None:
    catalogue = catalogue_of(DEFAULTS + f'[access]\ntrialing = "{level}"')
    assert of(team(status="trialing"), catalogue=catalogue).limit("projects") == limit


def test_a_plan_without_limits_for_its_trial_is_tried_in_full() -> None:
    user = of(Sub(status="trialing", items=[item("starter")]), catalogue=LIMITED)
    assert user.limit("projects") == 20


def test_an_addon_adds_what_it_gives_in_a_trial() -> None:
    trial = Sub(status="trialing", items=[item("team"), item("more", 2), item("sso")])
    user = of(trial, catalogue=LIMITED)
    assert (user.limit("projects"), user.limit("calls")) == (4 + 2 * 5, 50 + 2 * 500)
    assert user.value("sso") is True, "bought as an add-on that has no limits for trials"


def test_overrides_come_after_the_trials_limits() -> None:
    overrides = [Given("projects", "add", 6), Given("calls", "set", 9)]
    user = of(team(status="trialing"), catalogue=LIMITED, overrides=overrides)
    assert (user.limit("projects"), user.limit("calls")) == (4 + 6, 9)


def test_a_subscription_that_is_paid_is_not_limited_by_the_trial_of_another() -> None:
    trial = team(9, id="sub_2", status="trialing")
    paid = Sub(items=[item("team")])
    user = of(trial, paid, catalogue=LIMITED)
    assert (user.limit("projects"), user.value("sso"), user.limit("calls")) == (10, True, None)
    assert of(paid, trial, catalogue=LIMITED) == user, "in whatever order"


def test_units_in_a_trial_and_units_that_are_paid_add_up() -> None:
    per_unit = catalogue_of(DEFAULTS + "[plans.team.trial]\nprojects = { limit = 2, per_unit = true }")
    user = of(team(3, id="sub_2", status="trialing"), team(2), catalogue=per_unit)
    assert user.limit("projects") == 3 * 2 + 2 * 10


def test_a_better_plan_that_is_on_trial_counts_where_it_gives_more() -> None:
    trial = team(id="sub_2", status="trialing")
    user = of(trial, Sub(items=[item("starter")]), catalogue=LIMITED)
    assert user.plan == "team"
    assert (user.limit("projects"), user.value("upload_mb")) == (20, 500)


def test_a_change_of_plan_in_a_trial_is_judged_by_the_trials_limits() -> None:
    user = of(Sub(status="trialing", items=[item("starter")]), catalogue=LIMITED)
    assert user.check("projects", used=25).upgrade_to == (), "in its trial team gives 4"
    assert of(Sub(items=[item("starter")]), catalogue=LIMITED).check("daily", used=6).upgrade_to == ()


def test_the_explanation_says_which_limit_is_a_trials() -> None:
    explained = of(team(status="trialing"), catalogue=LIMITED).explain("projects")
    assert "plan team: 4, in its trial, price team of sub_1" in str(explained)
    assert [part["trial"] for part in explained.parts] == [True]
    assert "in its trial" not in str(of(team(), catalogue=LIMITED).explain("projects"))


def test_usage_periods_are_those_of_the_subscription_that_is_tried() -> None:
    periods = catalogue_of(DEFAULTS.replace('calls = "unlimited"\n', "") + TRIAL)
    user = of(team(status="trialing", trial_end=NOW + 20 * DAY), catalogue=periods)
    assert user.resets_at("calls", NOW) == NOW + 20 * DAY
