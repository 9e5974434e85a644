"""`status` and `spool drain`: what they print, as text and as JSON, and their exit codes."""

import asyncio
import time
from pathlib import Path

import pytest

from app.inbox.delivery import receive
from app.inbox.spool import Spool
from app.simulator import NEW, event_body, sign

from ..client import SECRET
from .shell import Shell, signed_up

pytestmark = pytest.mark.postgresql_in_long


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
        ("DELETE FROM billing_alembic_version", "run `python -m app migrate`"),
        (
            "INSERT INTO billing_outbox (id, signal, receiver, reaction, created_at, state, attempts, "
            "next_attempt_at) VALUES ('a', 's', 'r', '{}', 1, 'dead', 9, 0)",
            "1 reaction for the receiver r given up",
        ),
    ],
)
@pytest.mark.rest_in_long(3)
def test_status_names_each_problem_and_ends_with_1(shell: Shell, statement: str, problem: str) -> None:
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
