"""One more signing secret in `.env`, and all else as it was."""

import os
import stat
from pathlib import Path

import pytest

from app.cli.env_file import add_signing_secret, is_writable

OLD, OLDER, NEW = "whsec_test_secret_old_0001", "whsec_test_secret_older_01", "whsec_test_secret_new_0001"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"STRIPE_WEBHOOK_SECRET={NEW}\n"),
        ("LIVEMODE=true", f"LIVEMODE=true\nSTRIPE_WEBHOOK_SECRET={NEW}\n"),
        ("# ours\nSTRIPE_WEBHOOK_SECRET=\nA='b\nc'\n", f"# ours\nSTRIPE_WEBHOOK_SECRET={NEW}\nA='b\nc'\n"),
        (f"STRIPE_WEBHOOK_SECRET={OLD}\nA=1\n", f"STRIPE_WEBHOOK_SECRET={OLD},{NEW}\nA=1\n"),
        (f"STRIPE_WEBHOOK_SECRET={OLD}, {OLDER}", f"STRIPE_WEBHOOK_SECRET={OLD},{OLDER},{NEW}"),
        (f"export STRIPE_WEBHOOK_SECRET='{OLD}' # x\n", f"export STRIPE_WEBHOOK_SECRET={OLD},{NEW} # x\n"),
        ("STRIPE_WEBHOOK_SECRET=whsec_...\r\nA=1\r\n", f"STRIPE_WEBHOOK_SECRET={NEW}\r\nA=1\r\n"),
        (f"STRIPE_WEBHOOK_SECRET={NEW}\n", f"STRIPE_WEBHOOK_SECRET={NEW}\n"),
        (f"#STRIPE_WEBHOOK_SECRET={OLD}\n", f"#STRIPE_WEBHOOK_SECRET={OLD}\nSTRIPE_WEBHOOK_SECRET={NEW}\n"),
        (
            f"STRIPE_WEBHOOK_SECRET={OLDER}\nSTRIPE_WEBHOOK_SECRET={OLD}\n",
            f"STRIPE_WEBHOOK_SECRET={OLDER}\nSTRIPE_WEBHOOK_SECRET={OLD},{NEW}\n",
        ),
    ],
)
def test_the_secret_joins_those_that_could_be_one_and_other_lines_stay(
    tmp_path: Path, before: str, after: str
) -> None:
    path = tmp_path / ".env"
    path.write_bytes(before.encode())
    add_signing_secret(path, NEW)
    assert path.read_bytes().decode() == after


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_file_is_readable_by_its_owner_alone_and_nothing_is_left_beside_it(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    path.chmod(mode)
    assert add_signing_secret(path, NEW) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [".env"]  # noqa: PTH208


def test_a_file_that_is_not_there_is_made_and_a_link_stays_one(tmp_path: Path) -> None:
    link = tmp_path / ".env"
    link.symlink_to(tmp_path / "secrets.env")
    assert is_writable(link)
    add_signing_secret(link, NEW)
    assert link.is_symlink()
    assert (tmp_path / "secrets.env").read_text() == f"STRIPE_WEBHOOK_SECRET={NEW}\n"


def test_a_file_that_cannot_be_written_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        add_signing_secret(path, NEW)
    assert path.read_text() == "A=1\n"
    assert os.listdir(tmp_path) == [".env"]  # noqa: PTH208
    assert not is_writable(tmp_path)
    assert not is_writable(tmp_path / "none" / ".env")
