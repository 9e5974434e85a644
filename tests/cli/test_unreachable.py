"""A database that cannot be used is one sentence with the remedy and exit code 1, in every command."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.db import shown

from ..client import KEY, SECRET
from ..databases import run_sql, with_database
from .shell import keep_logging

PASSWORD = "pw-of-the-database"


def wrong_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"postgres:{PASSWORD}@{parts.hostname}:{parts.port}"))


async def no_rights(url: str) -> str:
    """A user who may connect and create nothing."""
    await run_sql(
        url,
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "DROP ROLE IF EXISTS reader",
        f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'",
    )
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"reader:{PASSWORD}@{parts.hostname}:{parts.port}"))


def junk(folder: Path) -> str:
    (folder / "junk.db").write_text("junk " * 500)
    return f"sqlite:///{folder / 'junk.db'}"


def below_a_file(folder: Path) -> str:
    (folder / "file").write_text("")
    return f"sqlite:///{folder / 'file' / 'app.db'}"


REASONS = {
    "refused": "refuses connections",
    "unknown host": "host of DATABASE_URL is not known",
    "wrong password": "refuses the user or the password",
    "missing database": "does not exist: create it",
    "no rights": "grant it the rights",
    "junk": "no SQLite file",
    "below a file": "cannot be made",
}
COMMANDS = {
    "migrate": ("migrate",),
    "events": ("events", "list"),
    "users": ("users", "show", "ada"),
    "serve": ("serve",),
    "worker": ("worker",),
}


@pytest.fixture
async def url(request: pytest.FixtureRequest, tmp_path: Path, empty_postgres_database: str) -> str:
    name = request.param
    if name == "no rights":
        return await no_rights(empty_postgres_database)
    return {
        "refused": f"postgresql://ada:{PASSWORD}@127.0.0.1:1/x",
        "unknown host": f"postgresql://ada:{PASSWORD}@no-such-host.invalid/x",
        "wrong password": wrong_password(empty_postgres_database),
        "missing database": with_database(empty_postgres_database, "nothing_here"),
        "junk": junk(tmp_path),
        "below a file": below_a_file(tmp_path),
    }[str(name)]


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, url: str, *command: str) -> tuple[int, str]:
    """Exit code, and all that is said: on one line, or it is no sentence."""
    monkeypatch.chdir(folder)
    for name, value in {
        "DATABASE_URL": url,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "INTERNAL_API_KEY": KEY,
        "SPOOL_DIR": str(folder / "spool"),
    }.items():
        monkeypatch.setenv(name, value)
    keep_logging(monkeypatch)
    result = CliRunner().invoke(cli, command)
    return result.exit_code, result.output.strip()


CASES = [
    *((name, "migrate") for name in REASONS),
    *((name, "events") for name in ("refused", "wrong password", "missing database", "junk")),
    ("below a file", "users"),
    # With PostgreSQL out of reach they start: events are taken into the spool until it is there.
    *((name, command) for name in ("junk", "below a file") for command in ("serve", "worker")),
]


@pytest.mark.parametrize(("url", "command"), CASES, indirect=["url"])
def test_a_command_names_the_reason_and_the_remedy_in_one_sentence(
    request: pytest.FixtureRequest, url: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = run(monkeypatch, tmp_path, url, *COMMANDS[command])
    reason = REASONS[request.node.callspec.params["url"]]
    assert (code, len(said.splitlines())) == (1, 1), said
    assert reason in said
    assert PASSWORD not in said


def test_migrate_says_which_database_it_migrated(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = run(monkeypatch, tmp_path, empty_database_url, "migrate")
    assert code == 0
    assert said == f"Migrated {shown(empty_database_url)}. It is at the newest migration."
    assert "postgres:postgres" not in said


def test_migrate_warns_where_the_database_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = run(monkeypatch, tmp_path, "", "migrate")
    assert code == 0
    assert "the SQLite file var/app.db" in said
    assert "DATABASE_URL is not set" in said
    assert (tmp_path / "var" / "app.db").is_file()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://ada:pw%40x@db.example:5433/billing?sslmode=require", "billing on db.example:5433"),
        ("postgres://db.example/billing", "billing on db.example"),
        ("postgresql:///billing?host=/run/postgresql", "billing on /run/postgresql"),
        ("postgresql://a:b@one:1,two:2/billing", "billing on one:1,two:2"),
        ("postgresql://a:b@[::1]:5432/billing", "billing on [::1]:5432"),
        ("sqlite:////srv/app.db", "the SQLite file /srv/app.db"),
    ],
)
def test_a_database_is_named_without_user_and_password(url: str, name: str) -> None:
    assert shown(url).endswith(name)
    assert "pw" not in shown(url)
