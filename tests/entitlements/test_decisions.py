"""Decisions: their reasons, and what they say to the caller."""

from dataclasses import replace
from typing import get_args

import pytest

from app.entitlements import Decision, Entitlements, Reason, decide, preview
from app.errors import InvalidRequest, NotFound

from .givens import (
    CATALOGUE,
    DAY,
    NO_DEFAULT,
    NOW,
    STARTER,
    WEEK,
    Bill,
    Given,
    Sub,
    catalogue_of,
    item,
    of,
    team,
)

LATE = [Bill()]


@pytest.mark.parametrize(
    ("user", "feature", "used", "requested", "reason"),
    [
        pytest.param(of(STARTER), "projects", 19, 1, "ok", id="up to the limit"),
        pytest.param(of(STARTER), "projects", 20, 0, "ok", id="nothing more at the limit"),
        pytest.param(of(STARTER), "projects", 20, 1, "limit_reached", id="one over"),
        pytest.param(of(STARTER), "projects", 0, 21, "limit_reached", id="too much at once"),
        pytest.param(of(STARTER), "projects", 21, 0, "over_limit", id="over already"),
        pytest.param(of(STARTER), "projects", 21, 1, "over_limit", id="over already, and more"),
        pytest.param(of(STARTER), "calls", 1000, 1, "ok_soft", id="over a soft limit"),
        pytest.param(of(STARTER), "sso", 0, 1, "not_in_plan", id="boolean not in the plan"),
        pytest.param(of(STARTER), "yearly", 0, 1, "not_in_plan", id="counted not in the plan"),
        pytest.param(of(STARTER), "yearly", 0, 0, "not_in_plan", id="not even nothing"),
        pytest.param(of(STARTER), "tier", 0, 1, "ok", id="a text"),
        pytest.param(of(STARTER), "upload_mb", 0, 50, "ok", id="a static number is a bound"),
        pytest.param(of(STARTER), "upload_mb", 0, 51, "limit_reached", id="above a static number"),
        pytest.param(of(team()), "sso", 0, 1, "ok", id="boolean"),
        pytest.param(of(), "sso", 0, 1, "not_in_plan", id="not in the default plan"),
        pytest.param(of(catalogue=NO_DEFAULT), "sso", 0, 1, "no_subscription", id="no plan at all"),
        pytest.param(
            of(team(status="canceled"), catalogue=NO_DEFAULT), "sso", 0, 1, "no_subscription", id="canceled"
        ),
        pytest.param(of(team(status="past_due"), invoices=LATE), "sso", 0, 1, "ok_grace", id="in grace"),
        pytest.param(
            of(team(status="past_due"), invoices=LATE, now=NOW + WEEK),
            "sso",
            0,
            1,
            "payment_required",
            id="grace over",
        ),
        pytest.param(of(team(status="unpaid")), "sso", 0, 1, "payment_required", id="unpaid"),
        pytest.param(of(team(status="incomplete")), "sso", 0, 1, "payment_required", id="incomplete"),
        pytest.param(of(team(status="unpaid")), "projects", 2, 1, "ok", id="unpaid, the default plan allows"),
        pytest.param(
            of(team(status="unpaid")), "projects", 3, 1, "payment_required", id="unpaid, it does not"
        ),
        pytest.param(
            of(team(status="unpaid")), "projects", 9, 1, "payment_required", id="unpaid, the last one"
        ),
        pytest.param(of(team(status="unpaid")), "projects", 10, 1, "over_limit", id="nor would the own plan"),
        pytest.param(
            of(team(status="unpaid")), "daily", 0, 1, "not_in_plan", id="not in the own plan either"
        ),
        pytest.param(of(team(status="paused")), "sso", 0, 1, "paused", id="paused"),
        pytest.param(
            of(team(status="paused")), "daily", 0, 1, "not_in_plan", id="paused, not in the own plan"
        ),
        pytest.param(
            of(team(status="canceled")), "sso", 0, 1, "not_in_plan", id="what is over blocks nothing"
        ),
        pytest.param(
            of(team(status="paused"), replace(STARTER, id="sub_2", status="unpaid")),
            "projects",
            15,
            1,
            "payment_required",
            id="of two blocked ones, the one that would do",
        ),
        pytest.param(
            of(team(status="paused"), replace(STARTER, id="sub_2", status="unpaid")),
            "sso",
            0,
            1,
            "paused",
            id="of two blocked ones, the other",
        ),
        pytest.param(
            of(team(status="unpaid"), overrides=[Given("sso", "set", False)]),
            "sso",
            0,
            1,
            "not_in_plan",
            id="paying does not lift an override",
        ),
    ],
)
def test_a_decision_has_the_reason_that_helps(
    user: Entitlements, feature: str, used: int, requested: int, reason: Reason
) -> None:
    decision = user.check(feature, used=used, requested=requested)
    assert decision.reason == reason
    assert decision.allowed == bool(decision) == reason.startswith("ok")
    assert decision == decide(user, feature, used, requested, user.as_of)
    assert decision == user.check(feature, used=used, requested=requested), "asked again"


def test_every_reason_is_tested_above() -> None:
    marks = test_a_decision_has_the_reason_that_helps.pytestmark  # type: ignore[attr-defined]
    assert {case.values[4] for case in marks[0].args[1]} == set(get_args(Reason)) - {"over_released"}
    # `over_released` is of a release alone: see tests/limits.


def test_a_decision_tells_all_that_the_caller_needs() -> None:
    user = of(Sub(items=[item("starter")]), catalogue=CATALOGUE)
    assert user.check("daily", used=4, requested=2) == Decision(
        allowed=False,
        reason="limit_reached",
        feature="daily",
        limit=5,
        used=4,
        remaining=1,
        requested=2,
        resets_at=NOW + DAY,
        plan="starter",
        status="active",
        grace_ends_at=None,
        upgrade_to=(),
        as_of=NOW,
    )
    assert user.check("projects", used=30).remaining == 0
    assert user.check("projects", used=1).remaining == 19
    assert of(Sub()).check("calls", used=1).remaining is None


@pytest.mark.parametrize(
    ("user", "feature", "used", "plans"),
    [
        (of(), "projects", 3, ("starter", "team")),
        (of(), "projects", 10, ("starter",)),
        (of(), "projects", 20, ()),
        (of(), "sso", 0, ("team",)),
        (of(STARTER), "projects", 20, ()),
        (of(Sub(items=[item("starter", 5), item("more")])), "projects", 70, ("team",)),
        (of(team(status="unpaid")), "sso", 0, ("team",)),
        (of(overrides=[Given("projects", "set", 3)]), "projects", 3, ()),
        (of(team()), "sso", 0, ()),
    ],
)
def test_upgrades_are_the_plans_that_would_allow_it(
    user: Entitlements, feature: str, used: int, plans: tuple[str, ...]
) -> None:
    assert user.check(feature, used=used).upgrade_to == plans


RESETS = catalogue_of(
    """
default_plan = "free"
[features]
tokens = { kind = "consumable", reset = "period" }
exports = { kind = "consumable", reset = "month" }
[plans.free]
tokens = 5
exports = 5
[plans.starter]
prices = ["starter"]
tokens = 50
exports = 50
[plans.team]
prices = ["team"]
tokens = 60
exports = 60
"""
)


@pytest.mark.parametrize(
    ("user", "feature", "requested", "plans"),
    [
        (of(catalogue=RESETS), "tokens", 50, ("starter", "team")),
        (of(catalogue=RESETS), "tokens", 51, ("team",)),
        (of(catalogue=RESETS), "exports", 50, ("team",)),
        (of(team(status="canceled"), catalogue=RESETS), "tokens", 50, ("starter", "team")),
        (of(STARTER, catalogue=RESETS), "tokens", 50, ("team",)),
        (of(STARTER, catalogue=RESETS), "tokens", 56, ()),
    ],
)
def test_what_was_used_before_a_first_subscription_is_not_used_of_its_first_period(
    user: Entitlements, feature: str, requested: int, plans: tuple[str, ...]
) -> None:
    assert user.check(feature, 5, requested).upgrade_to == plans


@pytest.mark.parametrize(("user", "used"), [(of(catalogue=RESETS), 0), (of(STARTER, catalogue=RESETS), 70)])
def test_a_preview_counts_no_use_from_before_a_first_subscription(user: Entitlements, used: int) -> None:
    previewed = preview(user, {"tokens": 70, "exports": 70}, plan="starter")
    assert previewed["tokens"].used == used
    assert previewed["exports"].used == 70


def test_usage_loaded_with_the_snapshot_is_what_is_checked() -> None:
    user = of(STARTER).with_usage({"projects": 20})
    assert user.check("projects").reason == "limit_reached"
    assert user.check("daily").used == 0
    assert user.check("projects", used=3).allowed
    assert of(STARTER).check("tier").allowed, "has no usage"
    with pytest.raises(InvalidRequest, match="usage of projects was not loaded"):
        of(STARTER).check("projects")


def test_what_the_catalogue_does_not_know_is_an_error() -> None:
    user = of(Sub())
    for ask in (user.allows, user.check, user.limit, user.value, user.explain, user.feature):
        with pytest.raises(NotFound, match=r"No feature 'seats'.*\[features\]"):
            ask("seats")
    with pytest.raises(NotFound, match="No feature 'seats'"):
        user.resets_at("seats", NOW)


@pytest.mark.parametrize(("used", "requested"), [(-1, 1), (1, -1), (-5, 5)])
def test_negative_amounts_are_refused(used: int, requested: int) -> None:
    with pytest.raises(InvalidRequest):
        of(Sub()).check("projects", used=used, requested=requested)


def test_a_snapshot_remembers_a_bounded_number_of_answers() -> None:
    user = of(STARTER)
    for used in range(20, 2000):
        assert user.check("projects", used=used).used == used
    assert len(user._remembered) <= 256
