"""Settings that cannot work stop the start and name the remedy."""

import os
import sys
from pathlib import Path

import pytest

from app.config import Settings, load_settings
from app.db import is_sqlite, open_database, sqlite_path
from app.db.postgres import _for_asyncpg
from app.errors import ConfigurationError

from .. import ROOT
from ..processes import run

GOOD = {
    "STRIPE_WEBHOOK_SECRET": "whsec_test_secret_a_0001",
    "INTERNAL_API_KEY": "test-key-of-the-internal-api-a",
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_several_secrets_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_test_secret_a_0001, whsec_test_secret_b_0001,")
    monkeypatch.setenv("INTERNAL_API_KEY", "test-key-of-the-internal-api-a,test-key-of-the-internal-api-b")
    monkeypatch.setenv("LIVEMODE", "")
    settings = load_settings()
    secrets = [secret.get_secret_value() for secret in settings.stripe_webhook_secret]
    assert secrets == ["whsec_test_secret_a_0001", "whsec_test_secret_b_0001"]
    assert len(settings.internal_api_key) == 2
    assert (settings.livemode, settings.database_url) == (None, "sqlite:///var/app.db")
    assert "whsec_test_secret_a_0001" not in repr(settings)


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("value", [None, "", " , "])
def test_a_missing_secret_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str | None
) -> None:
    for good, good_value in GOOD.items():
        monkeypatch.setenv(good, good_value)
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert f"set {name}" in caught.value.detail
    assert "test" not in caught.value.detail.replace("latest", "")


def test_a_wrong_livemode_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (GOOD | {"LIVEMODE": "perhaps"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="LIVEMODE"):
        load_settings()


@pytest.mark.long
@pytest.mark.parametrize(
    "command", [["-m", "app", "serve"], ["-m", "uvicorn", "app.main:app", "--port", "0"]]
)
def test_the_server_refuses_to_start_without_secrets(command: list[str], tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in GOOD}
    result = run([sys.executable, *command], cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)})
    assert result.returncode != 0
    assert "STRIPE_WEBHOOK_SECRET" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "", "sqlite://", "sqlite:///:memory:"])
def test_another_kind_of_database_is_refused_with_the_remedy(url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        open_database(url)


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///var/app.db", "var/app.db"), ("sqlite:////srv/app.db", "/srv/app.db")],
)
def test_a_sqlite_address_names_its_file(url: str, path: str) -> None:
    assert is_sqlite(url)
    assert sqlite_path(url) == Path(path)


@pytest.mark.parametrize(
    ("url", "dsn", "pooled"),
    [
        ("postgres://u:p@h/d", "postgresql://u:p@h/d", False),
        ("postgresql+asyncpg://u:p@h:5433/d", "postgresql://u:p@h:5433/d", False),
        ("postgresql://u@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require", False),
        (
            "postgresql://u@h/d?sslmode=require&channel_binding=require",
            "postgresql://u@h/d?sslmode=require",
            False,
        ),
        ("postgresql://u@h/d?pgbouncer=true", "postgresql://u@h/d", True),
        ("postgresql://u@h:6432/d", "postgresql://u@h:6432/d", True),
    ],
)
def test_postgresql_addresses_are_taken_as_people_write_them(url: str, dsn: str, pooled: bool) -> None:
    assert _for_asyncpg(url) == (dsn, pooled)


HASH = "$argon2id$v=19$m=65536,t=3,p=4$bm90LWEtcmVhbC1zYWx0$bm90LWEtcmVhbC1oYXNo"


@pytest.mark.parametrize(
    ("username", "password_hash", "says"),
    [
        ("grace", "", "only one of them is set"),
        ("", HASH, "only one of them is set"),
        ("grace", "not-a-real-password", "is no argon2 hash"),
        ("grace", "=19=65536,t=3,p=4", "is no argon2 hash"),
    ],
)
def test_half_an_admin_stops_the_start_and_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, username: str, password_hash: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    values = {"STRIPE_WEBHOOK_SECRET": "whsec_test_x", "INTERNAL_API_KEY": "test-key"}
    for name, value in (values | {"ADMIN_USERNAME": username, "ADMIN_PASSWORD_HASH": password_hash}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert says in error.value.detail
    assert "python -m app admin password" in error.value.detail


def test_a_hash_in_a_env_file_is_read_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    lines = (*(f"{name}={value}" for name, value in GOOD.items()), "ADMIN_USERNAME=grace")
    (tmp_path / ".env").write_text("\n".join((*lines, f"ADMIN_PASSWORD_HASH='{HASH}'")))
    assert load_settings().admin_password_hash.get_secret_value() == HASH


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_WEBHOOK_SECRET", "whsec_CHANGE_ME_PLEASE_CHANGE_ME_PLEASE"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_YOUR_SIGNING_SECRET_GOES_HERE"),
        ("STRIPE_API_KEY", "sk_..."),
        ("STRIPE_API_KEY", "sk_test_YOUR_KEY"),
    ],
)
def test_a_placeholder_is_no_secret(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for key, right in (GOOD | {name: value}).items():
        monkeypatch.setenv(key, right)
    with pytest.raises(ConfigurationError, match=name) as refused:
        load_settings()
    assert value not in refused.value.detail
