"""What overrides change."""

import itertools

import pytest

from .givens import NO_DEFAULT, NOW, Bill, Given, Sub, item, of

# Overrides.


@pytest.mark.parametrize(
    ("override", "limit"),
    [
        (Given("projects", "set", 7), 7),
        (Given("projects", "set", 0), 0),
        (Given("projects", "set", "1 KiB"), 1024),
        (Given("projects", "set", "unlimited"), None),
        (Given("projects", "add", 5), 25),
        (Given("projects", "add", "unlimited"), None),
        (Given("projects", "remove", 5), 15),
        (Given("projects", "remove", 500), 0),
        (Given("projects", "remove"), 0),
        (Given("projects", "set", 7, NOW + 1), 7),
        (Given("projects", "set", 7, NOW), 20),
        (Given("projects", "set", None), 20),
        (Given("projects", "set", True), 20),
        (Given("projects", "add", -1), 20),
        (Given("gone", "set", 1), 20),
    ],
)
def test_an_override_comes_last(override: Given, limit: int | None) -> None:
    assert of(Sub(items=[item("starter")]), overrides=[override]).limit("projects") == limit


def test_overrides_of_other_kinds() -> None:
    starter = Sub(items=[item("starter")])
    assert of(starter, overrides=[Given("sso", "add")]).allows("sso")
    assert of(starter, overrides=[Given("sso", "set", True)]).allows("sso")
    assert not of(Sub(), overrides=[Given("sso", "remove")]).allows("sso")
    assert of(starter, overrides=[Given("tier", "set", "platinum")]).value("tier") == "platinum"
    assert of(starter, overrides=[Given("tier", "remove")]).value("tier") == ""
    assert of(starter, overrides=[Given("upload_mb", "add", 0.5)]).value("upload_mb") == 50.5
    assert of(Sub(), overrides=[Given("calls", "remove", 5)]).limit("calls") is None
    assert of(Sub(), overrides=[Given("calls", "remove")]).limit("calls") == 0


def test_an_override_grants_where_no_plan_does_and_is_no_grace() -> None:
    assert of(catalogue=NO_DEFAULT, overrides=[Given("projects", "set", 2)]).limit("projects") == 2
    late = Sub(status="past_due")
    user = of(late, invoices=[Bill()], overrides=[Given("projects", "set", 2)])
    assert user.check("projects", used=0).reason == "ok"
    assert user.check("sso").reason == "ok_grace"


def test_several_overrides_set_then_add_then_remove_in_any_order() -> None:
    overrides = [Given("projects", "remove", 1), Given("projects", "add", 5), Given("projects", "set", 100)]
    results = {of(Sub(), overrides=each).limit("projects") for each in itertools.permutations(overrides)}
    assert results == {104}


def test_an_override_of_another_type_is_ignored_and_told() -> None:
    user = of(Sub(), overrides=[Given("projects", "set", "gold")])
    assert user.limit("projects") == 10
    assert "override set ignored" in str(user.explain("projects"))
