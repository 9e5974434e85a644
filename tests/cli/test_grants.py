"""`grants`: given, listed and ended at the shell."""

import pytest

from .shell import Shell

pytestmark = pytest.mark.postgresql_in_long


def test_a_grant_is_given_listed_and_ended(shell: Shell) -> None:
    what = ("--feature", "api_calls", "--amount", "500", "--reason", "An outage", "--key", "outage-7")
    assert "Given: 500 api_calls" in shell("grants", "give", "ada", *what).stdout
    assert "Given before" in shell("grants", "give", "ada", *what).stdout
    (listed,) = shell.json("grants", "list", "ada")["grants"]
    assert (listed["left"], listed["source"], listed["reason"]) == (500, "operator", "An outage")
    shown = shell.json("limits", "explain", "ada", "api_calls")["features"][0]
    assert (shown["limit"], any(listed["id"] in line for line in shown["lines"])) == (1500, True)
    assert "Ended: 500 api_calls" in shell("grants", "end", "ada", listed["id"]).stdout
    assert shell("grants", "end", "ada", listed["id"]).exit_code == 1


def test_a_plan_is_given_until_a_day(shell: Shell) -> None:
    given = shell.json(
        "grants", "give", "ada", "--plan", "team", "--expires-at", "2090-01-01", "--reason", "x"
    )
    assert (given["plan"], given["expires_at"]) == ("team", 3_786_912_000)
    assert shell.json("users", "show", "ada")["plan"] == "team"


def test_what_is_no_grant_is_refused_with_the_reason(shell: Shell) -> None:
    refused = shell("grants", "give", "ada", "--feature", "sso", "--amount", "1", "--reason", "x")
    assert (refused.exit_code, "sso is boolean" in refused.stderr) == (1, True)
    assert (
        shell("grants", "give", "ada", "--plan", "team", "--expires-at", "soon", "--reason", "x").exit_code
        == 2
    )
    assert shell("grants", "list", "nobody").exit_code == 1
