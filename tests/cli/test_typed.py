"""Messages name a command that the reader's shell runs as it stands."""

import shutil
import sys
from pathlib import Path

import pytest

from app.cli.typed import typed_command


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment in the current folder, that `python` does not lead to; its `bin`."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    shutil.copy(sys.executable, programs / "python")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return programs


def test_an_environment_that_is_not_active_is_named_by_its_path(environment: Path) -> None:
    assert typed_command() == ".venv/bin/python -m app"


def test_an_active_environment_needs_no_path(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{environment}:/usr/bin:/bin")
    assert typed_command() == "python -m app"


def test_from_another_folder_the_path_is_absolute(
    environment: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert typed_command() == f"{environment}/python -m app"
