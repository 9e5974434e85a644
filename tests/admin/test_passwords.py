"""The password: asked for by the shell, kept as a hash, checked."""

import pytest
from typer.testing import CliRunner

from app.admin.passwords import PasswordCheck
from app.cli import cli

PASSWORD = "not-a-real-password"


async def test_the_shell_prints_a_hash_that_the_password_fits() -> None:
    result = CliRunner().invoke(cli, ["admin", "password"], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert result.exit_code == 0, result.output
    name, _, value = result.stdout.strip().partition("=")
    assert name == "ADMIN_PASSWORD_HASH"
    check = PasswordCheck(value.strip("'"))
    assert await check.verify(PASSWORD)
    assert not await check.verify(PASSWORD + "x")


def test_a_short_password_is_refused() -> None:
    result = CliRunner().invoke(cli, ["admin", "password"], input="short\nshort\n")
    assert result.exit_code == 1
    assert "12 characters or more" in result.output


@pytest.mark.parametrize("password_hash", ["$argon2id$broken", "$argon2"])
async def test_no_password_fits_a_hash_that_is_none(password_hash: str) -> None:
    assert not await PasswordCheck(password_hash).verify(PASSWORD)
