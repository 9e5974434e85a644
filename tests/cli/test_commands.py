"""The commands for daily use: what they print, as text and as JSON, and their exit codes."""

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from typer.testing import CliRunner, Result

from app.cli import cli, output
from app.cli.output import plain
from app.formatting import duration, shown_amount
from app.inbox.delivery import receive
from app.inbox.spool import Spool
from app.simulator import NEW, Account, event_body, sign

from .. import ROOT
from ..client import KEY, SECRET, Client, running
from ..worker.test_worker import broken
from .test_cli import app as app_process

pytestmark = pytest.mark.postgresql_in_long

ADA = "ada@example.com"


class Shell:
    """The commands, run on one database with the settings of the environment."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.settings = {
            "DATABASE_URL": url,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "INTERNAL_API_KEY": KEY,
            "LIVEMODE": "false",
            "SPOOL_DIR": str(folder / "spool"),
        }

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments)

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)

    def served(self, work: Callable[[Client], Awaitable[object]]) -> None:
        """Do something with a server on the same database."""

        async def run() -> None:
            async with running(self.url, livemode=False) as client:
                await work(client)

        asyncio.run(run())

    def take_in(self, account: Account) -> None:
        self.served(lambda client: client.deliver(*account.events))

    def sql(self, statement: str) -> None:
        async def run(client: Client) -> None:
            async with client.app.state.billing.database.session() as session:
                await (await session.connection()).execute(text(statement))

        self.served(run)


@pytest.fixture
def shell(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    shell = Shell(database_url, tmp_path)
    for name, value in shell.settings.items():
        monkeypatch.setenv(name, value)
    # The real one would send this process's lines to a runner's output that is closed by then.
    monkeypatch.setattr(
        output,
        "configure_logging",
        lambda level: structlog.configure(logger_factory=structlog.ReturnLoggerFactory()),
    )
    level = logging.getLogger().level
    yield shell
    structlog.reset_defaults()
    logging.getLogger().setLevel(level)


def signed_up(email: str = ADA, **metadata: str) -> Account:
    account = Account(1, start=int(time.time()) - 60)
    account.create_subscription(account.create_customer(email, **metadata), "price_team")
    return account


def only(names: Any) -> str:
    (name,) = names
    return str(name)


def test_status_is_fine_where_all_is_well(shell: Shell) -> None:
    result = shell("status")
    assert (result.exit_code, "All is well." in result.stdout) == (0, True), result.output
    found = shell.json("status")
    assert (found["fine"], found["database"]["ready"]) == (True, True)
    assert found["inbox"]["dead"] == {"count": 0, "oldest_seconds": 0}


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE billing_event SET state = 'dead'", "events replay --state dead"),
        ("UPDATE billing_event SET state = 'failed', received_at = 1", "not applied for more than 5 minutes"),
        (
            "UPDATE billing_event SET state = 'pending', received_at = 1",
            "cannot be applied until Stripe is asked",
        ),
        ("DELETE FROM billing_alembic_version", "make migrate"),
        (
            "INSERT INTO billing_outbox (id, signal, receiver, reaction, created_at, state, attempts, "
            "next_attempt_at) VALUES ('a', 's', 'r', '{}', 1, 'dead', 9, 0)",
            "1 reaction for the receiver r given up",
        ),
    ],
)
def test_status_says_what_wants_a_hand_and_ends_with_1(shell: Shell, statement: str, problem: str) -> None:
    shell.take_in(signed_up())
    shell.sql(statement)
    result = shell("status")
    assert result.exit_code == 1
    assert problem in " ".join(result.stdout.split())
    assert problem in str(shell.json("status")["problems"])


def test_status_counts_what_waits_with_its_age_and_what_is_to_be_refreshed(shell: Shell) -> None:
    shell.take_in(signed_up())
    shell.sql("UPDATE billing_subscription SET needs_refresh = true")
    shell.sql(
        f"UPDATE billing_event SET state = 'failed', next_attempt_at = {int(time.time()) + 3600}, "
        f"received_at = {int(time.time()) - 600} WHERE type = 'invoice.paid'"
    )
    found = shell.json("status")
    assert found["inbox"]["failed"]["count"] == 1
    assert 600 <= found["inbox"]["failed"]["oldest_seconds"] < 700
    assert found["needs_refresh"] == {"subscription": 1, "customer": 0}
    assert not found["fine"], found["problems"]
    assert ["1 event not applied" in each for each in found["problems"]] == [False, True]
    assert ["1 record whose" in each for each in found["problems"]] == [True, False]
    assert "10 min" in shell("status").stdout


def test_status_tells_of_the_spool_and_drain_empties_it(shell: Shell) -> None:
    account = signed_up(user_id="ada")
    spool = Spool(Path(shell.settings["SPOOL_DIR"]), secrets=[SECRET])

    async def put() -> None:
        for event in account.events:
            body = event_body(event, NEW)
            signature = sign(body, SECRET, int(time.time()))
            await spool.put(receive(body, signature=signature, received_at=int(time.time())))

    asyncio.run(put())
    assert shell("status").exit_code == 1
    assert shell.json("status")["spool"]["files"] == len(account.events)
    result = shell("spool", "drain")
    assert (result.exit_code, result.stdout) == (0, f"{len(account.events)} drained, 0 left.\n")
    assert shell("status").exit_code == 0
    assert shell("users", "show", "ada").exit_code == 0


def test_drain_ends_with_1_where_a_file_is_left(shell: Shell) -> None:
    folder = Path(shell.settings["SPOOL_DIR"])
    folder.mkdir()
    (folder / "forged.event").write_text('{"signature": "t=1,v1=00", "received_at": 1}\n{}')
    assert shell.json("spool", "drain") == {"drained": 1, "left": 1}
    assert shell("spool", "drain").exit_code == 1
    assert "the signature is by no secret" in " ".join(shell("status").stdout.split())


def test_events_are_listed_with_filters_and_shown(shell: Shell) -> None:
    account = signed_up()
    shell.take_in(account)
    everything = shell.json("events", "list")["data"]
    assert len(everything) == len(account.events)
    paid = shell.json("events", "list", "--type", "invoice.paid", "--state", "processed")["data"]
    assert [event["type"] for event in paid] == ["invoice.paid"]
    assert len(shell.json("events", "list", "--limit", "2")["data"]) == 2
    assert shell.json("events", "list", "--object-id", paid[0]["object_id"])["data"] != everything
    table = shell("events", "list", "--type", "invoice.paid")
    assert (table.exit_code, paid[0]["event_id"] in table.stdout) == (0, True)
    assert shell("events", "list", "--state", "lost").exit_code == 2

    shown = shell.json("events", "show", paid[0]["event_id"])
    assert (shown["state"], "body" in shown) == ("processed", False)
    body = shell.json("events", "show", paid[0]["event_id"], "--body")["body"]
    assert body["data"]["object"]["id"] == paid[0]["object_id"]
    assert shell("events", "show", "evt_nothing").exit_code == 1
    assert "invoice.paid" in shell("events", "show", paid[0]["event_id"], "--body").stdout


def test_a_dead_event_is_replayed_here_and_now(shell: Shell) -> None:
    account = signed_up(user_id="ada")
    shell.take_in(account)
    shell.sql("UPDATE billing_event SET state = 'dead' WHERE type = 'customer.subscription.created'")
    dead = only(event["event_id"] for event in shell.json("events", "list", "--state", "dead")["data"])
    assert shell("events", "show", dead).exit_code == 1
    with broken("customer.subscription.created"):
        result = shell("events", "replay", "--state", "dead", "--now")
    assert result.exit_code == 1
    assert result.stdout == "1 events were tried again; 1 in the inbox are failed or dead now.\n"
    assert shell.json("replay", "--event-id", dead) == {"due": 1}
    assert shell.json("events", "replay", "--event-id", dead, "--now") == {"due": 1, "failed": 0, "left": 0}
    assert shell.json("events", "show", dead)["state"] == "processed"
    assert shell.json("events", "replay", "--event-id", dead) == {"due": 0}


def test_replay_wants_to_know_which_events(shell: Shell) -> None:
    assert shell("events", "replay").exit_code == 2
    assert shell("events", "replay", "--type", "invoice.paid").exit_code == 2


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


def test_a_failed_event_of_a_user_is_told_beside_it(shell: Shell) -> None:
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


def test_a_database_that_is_down_is_told_in_a_sentence(
    sqlite_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Shell("postgresql://nobody:nothing@127.0.0.1:1/none", tmp_path).settings
    listed = app_process("events", "list", cwd=tmp_path, **settings)
    assert (listed.returncode, "Traceback" in listed.stderr) == (1, False)
    assert "refuses connections: start it" in listed.stderr
    status = app_process("status", "--json", cwd=tmp_path, **settings)
    assert status.returncode == 1
    assert "DATABASE_URL" in json.loads(status.stdout)["problems"][0]


def test_missing_settings_are_named(tmp_path: Path) -> None:
    result = app_process("status", cwd=tmp_path)
    assert (result.returncode, "STRIPE_WEBHOOK_SECRET" in result.stderr) == (1, True)


def test_json_on_standard_output_is_nothing_but_json(tmp_path: Path, sqlite_database: str) -> None:
    shell = Shell(sqlite_database, tmp_path)
    shell.take_in(signed_up())
    replayed = app_process(
        "events", "replay", "--state", "ignored", "--now", "--json", cwd=tmp_path, **shell.settings
    )
    assert json.loads(replayed.stdout) == {
        "due": 0,
        "failed": 0,
        "left": 0,
    }
    assert replayed.stderr == ""


def test_amounts_durations_and_texts_are_shown_for_people() -> None:
    assert shown_amount(123_456, "eur") == "1,234.56 EUR"
    assert shown_amount(500, "jpy") == "500 JPY"
    assert shown_amount(1234, "kwd") == "1.234 KWD"
    assert shown_amount(-5, "usd") == "-0.05 USD"
    assert (shown_amount(None, "usd"), shown_amount(5, None)) == ("", "5")
    assert [duration(seconds) for seconds in (59, 119, 120, 7200, 200_000)] == [
        "59 s",
        "119 s",
        "2 min",
        "2 h",
        "2 d",
    ]
    assert plain("a\x07b\nc") == "a\\u0007b\nc"


RECEIVERS = """
from app.signals import durable, subscription_changed

async def welcome(reaction):
    raise AssertionError("only a server tells")

durable(subscription_changed, welcome, name="welcome")
"""


def test_what_a_command_applies_is_kept_for_the_applications_receivers(
    tmp_path: Path, sqlite_database: str
) -> None:
    (tmp_path / "shop_receivers.py").write_text(RECEIVERS)
    shell = Shell(sqlite_database, tmp_path)
    shell.take_in(signed_up())
    path = sqlite_database.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE billing_event SET state = 'dead'")
        connection.execute("DELETE FROM billing_subscription")
        connection.commit()
    settings = shell.settings | {"RECEIVERS": "shop_receivers", "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    replayed = app_process("replay", "--state", "dead", "--now", cwd=tmp_path, **settings)
    assert replayed.returncode == 0, replayed.stderr
    with closing(sqlite3.connect(path)) as connection:
        kept = connection.execute("SELECT receiver, state FROM billing_outbox WHERE receiver = 'welcome'")
        assert set(kept) == {("welcome", "pending")}


def test_receivers_that_cannot_be_imported_are_named(tmp_path: Path, sqlite_database: str) -> None:
    settings = Shell(sqlite_database, tmp_path).settings | {"RECEIVERS": "shop.nowhere"}
    for command in (["worker"], ["replay", "--state", "dead", "--now"]):
        refused = app_process(*command, cwd=tmp_path, **settings)
        assert refused.returncode == 1
        assert "RECEIVERS: the module shop.nowhere cannot be imported" in " ".join(refused.stderr.split())


def test_compare_rules_lists_nobody_where_the_rules_are_followed(shell: Shell) -> None:
    result = shell("limits", "compare-rules")
    assert result.exit_code == 0, result.output
    assert "0 differ. Nothing was changed." in result.output
    assert shell.json("limits", "compare-rules")["changed"] == []
