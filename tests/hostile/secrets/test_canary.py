"""No answer and no log line tells a secret or a person, whatever fails."""

import asyncio
import io
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from app.inbox import spool as spool_module
from app.observability.logs import configure_logging
from app.simulator import sign
from app.worker.worker import Worker
from tests.databases import free_port, run_sql
from tests.waiting import LONGEST_SECONDS

from ..sockets import Listening, listening
from .helpers import EMAIL, FORGED, KEY, MARK, NAME, NASTY, PASSWORD, SECRET, event

SIGNATURE = "kanarie-in-a-signature-0006"


class Output(io.StringIO):
    """Standard error, as a terminal or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@contextmanager
def logging_to(output: Output, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Our own logging, as `serve` configures it; and the one before, again."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", output)
        configure_logging()
    structlog.configure(cache_logger_on_first_use=False)
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()


class Shown:
    """All that came out: the log, and every answer."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.answers: list[str] = []

    def all(self) -> str:
        return "\n".join([self.output.getvalue(), *self.answers])


async def raw(server: Listening, data: bytes) -> str:
    """All that is answered to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    async with asyncio.timeout(LONGEST_SECONDS):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode("latin-1")


def http(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: billing.test", "Connection: close"]
    lines += [*headers, f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def webhook(body: bytes) -> bytes:
    return http("POST", "/webhook/stripe", body, f"Stripe-Signature: {sign(body, SECRET, int(time.time()))}")


def internal(method: str, path: str, content: Any = None) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode() if content else b""
    return http(method, f"/internal{path}", body, f"X-API-Key: {KEY}", "Content-Type: application/json")


REFUSED_UPDATES: list[Any] = [
    {"customer_id": 5, "user_id": {"email": EMAIL}, "plan_id": [NAME], "status": EMAIL},
    {"start_date": EMAIL, "expiry_date": NAME},
    EMAIL,
    [EMAIL, NAME],
    b'{"user_id": "' + EMAIL.encode() + b'"',
    b"\xff" + EMAIL.encode(),
]


async def go_down_every_path(server: Listening, told: Shown) -> None:
    """Every answer that is an error, each with marks in what was sent."""
    sent = [
        http("POST", "/webhook/stripe", event("evt_x"), f"Stripe-Signature: {SIGNATURE}"),
        http("POST", "/webhook/stripe", event("evt_x"), f"Stripe-Signature: t=1,v1={SIGNATURE}"),
        http("POST", "/webhook/stripe", event("evt_x")),
        webhook(event("evt_x")[:-1]),
        webhook(EMAIL.encode()),
        webhook(b"\xff" + EMAIL.encode()),
        *(webhook(event(f"evt_{name}")) for name in ("values", "repr", "plain", "ours", "chain", "refused")),
        webhook(event("evt_odd", data={"object": {"object": EMAIL, "id": NAME}})),
        webhook(event(NASTY)),
        webhook(event("evt_type", type=NASTY)),
        http("GET", "/internal/events", b"", f"X-API-Key: {SIGNATURE}"),
        http("GET", "/internal/events", b"", f"Authorization: X-API-Key {KEY}x"),
        *(internal("POST", "/subscription/update", update) for update in REFUSED_UPDATES),
        internal("PUT", "/customers/cus_1", {"user_id": [EMAIL]}),
        internal("GET", f"/users/{EMAIL}"),
        internal("GET", f"/events?cursor={EMAIL}&limit={EMAIL}&state={EMAIL}"),
        internal("POST", "/users/ada/usage/nonsense", {"op": "consume", "key": NASTY}),
        internal("PUT", "/users/ada/overrides/projects", {"op": "set", "value": EMAIL, "reason": NAME}),
        http("GET", f"/nowhere/{EMAIL}"),
        http("GET", "/raises"),
        http("GET", "/raises-a-group"),
        b"GET / HTTP/1.1\r\n" + EMAIL.encode() + b"\r\n\r\n",
    ]
    for data in sent:
        told.answers.append(await raw(server, data))
    # The inbox, with what it keeps of each error.
    told.answers.append(await raw(server, internal("GET", "/events?limit=100")))


def add_failing_routes(application: FastAPI) -> None:
    @application.get("/raises")
    async def raises() -> None:
        email, name = EMAIL, NAME  # locals, which a generous traceback shows
        raise LookupError(f"{email} {name} {SECRET} {PASSWORD}{NASTY}")

    @application.get("/raises-a-group")
    async def raises_a_group() -> None:
        try:
            raise OSError(PASSWORD)
        except OSError as error:
            raise ExceptionGroup(EMAIL, [ValueError(NAME), error]) from error


@asynccontextmanager
async def marked(database_url: str, **changes: Any) -> AsyncIterator[Listening]:
    secrets = {"stripe_webhook_secret": (SecretStr(SECRET),), "internal_api_key": (SecretStr(KEY),)}
    async with listening(database_url, **(secrets | changes)) as server:
        add_failing_routes(server.app)
        yield server


@pytest.fixture
async def marked_database(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[str]:
    """The database, behind a password with a mark; it refuses one customer with all it knows of it."""
    if database_url.startswith("sqlite"):
        yield database_url
        return
    role = "canary_role"
    await run_sql(
        database_url,
        f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{PASSWORD}'",
        "ALTER TABLE billing_event ADD CONSTRAINT refused "
        "CHECK (id <> 'evt_refused' OR state <> 'processed')",
    )
    yield database_url.replace("//postgres:postgres@", f"//{role}:{PASSWORD}@")
    await run_sql(database_url, f"DROP ROLE {role}")


@pytest.fixture(params=["json", "console"])
def told(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    output = Output(terminal=request.param == "console")
    with logging_to(output, monkeypatch):
        yield Shown(output)


def assert_nothing_came_out(told: Shown) -> None:
    output = told.output.getvalue()
    assert MARK not in output.lower(), lines_with_marks(output)
    for answer in told.answers:
        assert MARK not in answer.lower(), answer
        assert "Traceback" not in answer
    assert "Traceback" not in output
    if told.output.isatty():
        plain = output.replace("\x1b[0m", "")
        for line in plain.splitlines():
            assert FORGED not in line or not line.startswith("{"), line
        assert "\x9b" not in output
    else:
        for line in output.splitlines():
            entry = json.loads(line)
            assert entry["event"] != "forged" and {"level", "timestamp"} <= entry.keys(), line


def lines_with_marks(output: str) -> list[str]:
    return [line[:600] for line in output.splitlines() if MARK in line.lower()]


async def test_no_error_tells_a_secret_or_a_person(
    marked_database: str, told: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with marked(marked_database) as server:
        await go_down_every_path(server, told)
        async with server.app.state.billing.database.reading() as session:
            kept = await (await session.connection()).execute(
                text("SELECT id, last_error FROM billing_event WHERE last_error IS NOT NULL")
            )
            errors = {row.id: row.last_error for row in kept}
    told.answers.append(json.dumps(errors))
    expected = {"evt_values", "evt_repr", "evt_plain", "evt_ours", "evt_chain"}
    expected |= {"evt_refused"} if marked_database.startswith("postgres") else set()
    assert expected <= errors.keys()
    assert "Error" in errors["evt_values"]
    assert "unexpected_error" in told.output.getvalue()
    assert "test_canary.py" in told.output.getvalue()  # where it happened, it says
    assert_nothing_came_out(told)


async def test_an_application_that_configures_no_logging_tells_nothing_either(
    sqlite_database: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with marked(sqlite_database) as server:
        for path in ("/raises", "/raises-a-group"):
            answer = await raw(server, http("GET", path))
            assert "application/problem+json" in answer and MARK not in answer
    output = "".join(capsys.readouterr()) + caplog.text
    assert output.count("unexpected_error") == 2
    assert MARK not in output.lower() and "\x1b[31m" not in output


async def test_a_database_that_is_down_and_a_spool_that_is_full_tell_nothing(
    told: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "run", lambda worker: asyncio.sleep(0))
    monkeypatch.setattr(spool_module, "MAX_FILES", 1)
    url = f"postgresql://nobody:{PASSWORD}@127.0.0.1:{free_port()}/none"
    for folder in (None, tmp_path / "spool"):
        async with marked(url, spool_dir=folder) as server:
            for number in range(2):
                told.answers.append(await raw(server, webhook(event(f"evt_{number}"))))
            told.answers.append(await raw(server, internal("GET", "/events")))
            told.answers.append(await raw(server, http("GET", "/readyz")))
            service = server.app.state.billing
            await service.spool.drain(service.inbox)
    statuses = [answer.split()[1] for answer in told.answers]
    assert statuses == ["503", "503", "503", "503", "200", "503", "503", "503"]
    (tmp_path / "file").write_text("where a folder should be")
    async with marked(url, spool_dir=tmp_path / "file") as server:
        told.answers.append(await raw(server, webhook(event("evt_3"))))
    assert "database_unavailable" in told.output.getvalue()
    assert "spool_not_writable" in told.output.getvalue()
    assert_nothing_came_out(told)


def test_log_lines_cannot_be_forged_by_what_they_hold(told: Shown) -> None:
    ours, foreign = structlog.get_logger("app.canary"), logging.getLogger("some.library")
    ours.warning("told", value=NASTY, **{"key\n" + FORGED: 1})
    ours.warning(NASTY, nested={"a": [NASTY]})
    foreign.warning("library %s", NASTY)
    try:
        raise ValueError(NASTY)
    except ValueError:
        ours.exception("failed")
        foreign.exception("failed %s", NASTY)
        foreign.error("failed", exc_info=True, stack_info=True)
    output = told.output.getvalue()
    lines = output.splitlines()
    assert not any(line.startswith(FORGED) for line in lines)
    assert "\x1b[31m\n" not in output and "\x9b" not in output and "\r" not in output
    assert "ValueError" in output
    if told.output.isatty():
        assert all("warning" in line or "error" in line for line in lines)
        assert len(lines) == 6
    else:
        assert [json.loads(line)["level"] for line in lines] == ["warning"] * 3 + ["error"] * 3
