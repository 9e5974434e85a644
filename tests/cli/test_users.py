"""`users` and `limits`: who is found, and what is shown and explained."""

import time

import pytest

from app.simulator import Account

from ..client import KEY, Client
from .shell import ADA, Shell, signed_up

pytestmark = pytest.mark.postgresql_in_long


def test_a_user_is_found_by_any_of_its_ids_and_by_its_e_mail_address(shell: Shell) -> None:
    shell.take_in(signed_up(user_id="ada"))
    shown = shell.json("users", "show", "ada")
    (subscription,) = shown["subscriptions"]
    for name in (subscription["subscription_id"], subscription["customer_id"], ADA, ADA.upper()):
        assert shell.json("users", "show", name) == shown
    assert (subscription["access"], shown["plan"], shown["problems"]) == ("full", "team", [])
    assert "policy grants full" in subscription["why"]
    assert [invoice["status"] for invoice in shown["invoices"]] == ["paid"]
    assert {limit["feature"]: limit["limit"] for limit in shown["limits"]}["projects"] == 10
    assert "customer.created" in {event["type"] for event in shown["events"]}
    result = shell("users", "show", "ada")
    assert result.exit_code == 0
    for part in (subscription["subscription_id"], "29.00 USD", "projects", ADA, "invoice.paid"):
        assert part in result.stdout


def test_a_user_whose_payment_failed_is_shown_with_why_and_until_when(shell: Shell) -> None:
    account = Account(1, start=int(time.time()) - 60)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    account.renew(subscription, paid=False)
    shell.take_in(account)
    (shown,) = shell.json("users", "show", "ada")["subscriptions"]
    assert (shown["access"], "a payment is due" in shown["why"]) == ("grace", True)


def test_who_pays_and_is_nobody_needs_attention_after_ten_minutes(shell: Shell) -> None:
    account = signed_up()
    shell.take_in(account)
    assert shell("users", "show", ADA).exit_code == 0
    shell.sql("UPDATE billing_subscription SET start_date = start_date - 600")
    result = shell("users", "show", ADA)
    assert result.exit_code == 1
    assert "linked to no user" in " ".join(result.stdout.split())
    assert shell("limits", "explain", ADA).exit_code == 1


def test_a_failed_event_of_a_user_is_shown_beside_it(shell: Shell) -> None:
    shell.take_in(signed_up(user_id="ada"))
    shell.sql("UPDATE billing_event SET state = 'dead', last_error = 'boom' WHERE type = 'invoice.paid'")
    result = shell("users", "show", "ada")
    assert (result.exit_code, "(boom)" in result.stdout) == (1, True)


def test_several_who_fit_are_named_and_none_is_guessed(shell: Shell) -> None:
    account = Account(1, start=int(time.time()) - 60)
    for user in ("ada", "eve"):
        account.create_customer(ADA, user_id=user)
    shell.take_in(account)
    result = shell("users", "show", ADA)
    assert (result.exit_code, "Give one of: ada, eve." in result.stderr) == (1, True), result.stderr
    assert shell("users", "show", "nobody").exit_code == 1
    assert shell("users", "show", "no\x00body").exit_code == 1


def test_a_user_who_is_no_customer_is_known_by_usage(shell: Shell) -> None:
    shell.served(
        lambda client: client.http.post(
            "/internal/users/bob/usage/projects", json={"op": "consume"}, headers={"X-API-Key": KEY}
        )
    )
    shown = shell.json("users", "show", "bob")
    assert (shown["plan"], shown["customers"]) == ("free", [])
    assert next(each["used"] for each in shown["limits"] if each["feature"] == "projects") == 1


def test_limits_are_explained_one_or_all(shell: Shell) -> None:
    shell.take_in(signed_up(user_id="ada"))
    result = shell("limits", "explain", "ada", "projects")
    assert result.exit_code == 0
    assert "plan team: 10 (10 × 1), price price_team" in result.stdout
    assert "sso" not in result.stdout
    everything = shell.json("limits", "explain", ADA)
    assert everything["user_id"] == "ada"
    assert [each["feature"] for each in everything["features"]][-1] == "sso"
    assert everything["features"][0]["parts"][0]["price_id"] == "price_team"
    wrong = shell("limits", "explain", "ada", "projcts")
    assert (wrong.exit_code, "storage_bytes" in wrong.stderr) == (2, True)


def test_what_strangers_typed_moves_no_cursor_and_is_no_markup(shell: Shell) -> None:
    shell.take_in(signed_up("\x1b[2J[red]eve[/red]\u202e@example.com", user_id="[bold]ada[/bold]"))
    result = shell("users", "show", "[bold]ada[/bold]")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.stdout and "\u202e" not in result.stdout
    assert "\\u001b[2J[red]eve[/red]\\u202e@example.com" in result.stdout
    assert "[bold]ada[/bold]" in result.stdout
    assert "[bold]ada[/bold]: plan team" in shell("limits", "explain", "[bold]ada[/bold]").stdout
    shell.sql(
        "UPDATE billing_event SET state = 'dead', last_error = '[red]no[/red]' WHERE type = 'invoice.paid'"
    )
    assert "([red]no[/red])" in shell("users", "show", "[bold]ada[/bold]").stdout


def test_limits_are_explained_as_they_were_at_a_moment(shell: Shell) -> None:
    async def take_in(client: Client) -> None:
        await client.app.state.billing.catalogues.store()
        await client.deliver(*signed_up(user_id="ada").events)

    shell.served(take_in)
    now = str(int(time.time()))
    result = shell("limits", "explain", "ada", "projects", "--at", now)
    assert result.exit_code == 0
    for part in ("ada: plan team, as of", "plan team: 10", "Plan catalogue", "Known back to"):
        assert part in result.stdout
    shown = shell.json("limits", "explain", ADA, "--at", now)
    assert (shown["user_id"], shown["plan"]) == ("ada", "team")
    for moment, problem in (
        ("2020-01-01", "known back to"),
        ("2999-01-01", "lies in the future"),
        ("last Tuesday", "is no moment"),
    ):
        refused = shell("limits", "explain", "ada", "--at", moment)
        assert (refused.exit_code, problem in " ".join(refused.stderr.split())) == (1, True)
    assert shell("limits", "explain", "eve", "--at", now).exit_code == 1
