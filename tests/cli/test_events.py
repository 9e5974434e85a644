"""`events`: what they list, show and replay."""

from typing import Any

import pytest

from ..worker.helpers import broken
from .shell import Shell, signed_up

pytestmark = pytest.mark.postgresql_in_long


def only(names: Any) -> str:
    (name,) = names
    return str(name)


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
    assert result.stdout == "1 event tried again; failed or dead in the inbox now: 1.\n"
    assert shell.json("replay", "--event-id", dead) == {"due": 1}
    assert shell.json("events", "replay", "--event-id", dead, "--now") == {"due": 1, "failed": 0, "left": 0}
    assert shell.json("events", "show", dead)["state"] == "processed"
    assert shell.json("events", "replay", "--event-id", dead) == {"due": 0}


def test_replay_wants_to_know_which_events(shell: Shell) -> None:
    assert shell("events", "replay").exit_code == 2
    assert shell("events", "replay", "--type", "invoice.paid").exit_code == 2
