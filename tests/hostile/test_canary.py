"""Secrets and people's data, marked, down every path of error: nothing that comes out has a mark."""

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

import orjson
import pytest
import structlog
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from app.errors import ServiceError
from app.inbox import spool as spool_module
from app.observability.logs import configure_logging, to_json
from app.observability.redaction import redacted
from app.signals import event_signal
from app.simulator import sign
from app.worker.worker import Worker
from tests.cli.test_cli import app as command
from tests.client import settings_for
from tests.databases import free_port, run_sql
from tests.waiting import LONGEST_SECONDS

from .sockets import Listening, listening

MARK = "kanarie"
PASSWORD = "kanarie-of-the-database-0001"
SECRET = "whsec_test_kanarie_0002"
KEY = "test-key-kanarie-of-the-internal-api-0003"
EMAIL, NAME = "ada.kanarie.0004@example.com", "Ada \u201cKanarie\u201d\nLovelace-0005"
SIGNATURE = "kanarie-in-a-signature-0006"
FORGED = '{"event": "forged", "level": "info"}'
NASTY = f'\x1b[31m\n{FORGED}\r\x9b0m" , "event": "forged'
"""A name that would be a line of its own, an order to a terminal, and the end of a JSON text."""


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


def event(event_id: str, **members: Any) -> bytes:
    customer = {"id": "cus_1", "object": "customer", "email": EMAIL, "name": NAME, "note": NASTY}
    content = {"id": event_id, "type": "customer.updated", "created": 1_893_456_000}
    return orjson.dumps(content | {"data": {"object": customer}} | members)


def raising(event: Any, unit_of_work: Any) -> None:
    """A receiver whose errors say all they know."""
    content = event.object
    if event.id == "evt_values":
        int(content["email"])
    if event.id == "evt_repr":
        raise LookupError(f"no such person: {content!r}")
    if event.id == "evt_plain":
        raise KeyError(content["name"] + content["note"])
    if event.id == "evt_ours":
        raise ServiceError(f"{content['name']} <{content['email']}> is not welcome")
    if event.id == "evt_chain":
        try:
            raise ValueError(content["email"])
        except ValueError as error:
            raise RuntimeError(f"because of {error}") from error


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


@pytest.fixture(autouse=True)
def receiver() -> Iterator[None]:
    signal = event_signal("customer.updated")
    signal.connect(raising)
    yield
    signal.disconnect(raising)


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


SERVE, REPLAY, MIGRATE = ("serve", "--port", "0"), ("events", "replay", "--state", "dead"), ("migrate",)
WRONG = [
    (MIGRATE, {"DATABASE_URL": f"mysql://u:{PASSWORD}@h/d"}),
    (SERVE, {"DATABASE_URL": PASSWORD}),
    pytest.param(REPLAY, {"DATABASE_URL": f"postgresql://u:{PASSWORD}/x@h/d"}, marks=pytest.mark.long),
    pytest.param(SERVE, {"DATABASE_URL": f"postgresql://u:[{PASSWORD}@h/d"}, marks=pytest.mark.long),
    pytest.param(MIGRATE, {"DATABASE_URL": f"postgresql://u:{PASSWORD}#x@h/d"}, marks=pytest.mark.long),
    (SERVE, {"LIVEMODE": KEY, "EVENT_RETENTION_DAYS": SECRET, "MAX_BODY_BYTES": PASSWORD}),
    (REPLAY, {"INTERNAL_API_KEY": "", "PLANS_FILE": "/nowhere/plans.toml"}),
]


@pytest.mark.parametrize(("arguments", "wrong"), WRONG)
def test_wrong_settings_are_complained_of_without_their_values(
    tmp_path: Path, arguments: tuple[str, ...], wrong: dict[str, str]
) -> None:
    good = {"STRIPE_WEBHOOK_SECRET": SECRET, "INTERNAL_API_KEY": KEY}
    result = command(*arguments, cwd=tmp_path, **(good | wrong))
    came_out = result.stdout + result.stderr
    assert MARK not in came_out.lower()
    assert "Traceback" not in came_out
    assert result.returncode != 0
    assert any(name in came_out for name in wrong)


@pytest.mark.parametrize("arguments", [REPLAY, MIGRATE])
def test_a_command_that_finds_no_database_does_not_tell_its_password(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    address = f"postgresql://u:{PASSWORD}@127.0.0.1:{free_port()}/d"
    settings = {"STRIPE_WEBHOOK_SECRET": SECRET, "INTERNAL_API_KEY": KEY, "DATABASE_URL": address}
    result = command(*arguments, cwd=tmp_path, **settings)
    assert result.returncode != 0
    assert MARK not in (result.stdout + result.stderr).lower()


def test_the_settings_themselves_do_not_show_their_secrets() -> None:
    secrets = {"stripe_webhook_secret": (SecretStr(SECRET),), "internal_api_key": (SecretStr(KEY),)}
    shown = settings_for("sqlite:///x.db", **secrets)
    assert MARK not in f"{shown} {shown!r} {shown.model_dump()} {shown.model_dump_json()}"


def test_what_an_error_is_about_stays_and_whom_it_is_about_goes() -> None:
    content = {"id": "sub_1", "status": "past_due", "name": NAME, "inner": [{"email": EMAIL}], "n": "ab"}
    said = f"KeyError: 'price' of sub_1, past_due, {NAME!r}, {EMAIL}, {json.dumps(NAME)}"
    kept = redacted(said, content, None)
    assert MARK not in kept.lower()
    assert kept.startswith("KeyError: 'price' of sub_1, past_due, ")


@pytest.mark.parametrize("value", ["\ud800", 2**70, "\x9b", b"\xff", "ü"])
def test_a_log_line_is_ascii_json_whatever_it_holds(value: object) -> None:
    line = to_json(None, "info", {"event": "here", "value": value})
    assert line.isascii()
    assert json.loads(line)["value"] == (value if isinstance(value, str | int) else repr(value))
