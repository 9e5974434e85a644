"""What a service is made of: which receivers it knows."""

import sys
from pathlib import Path

import pytest

from app.service import import_receivers


@pytest.fixture
def script_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process as the script of an installed wheel begins: it looks for modules in the script's folder, and
    not in the one that it was started in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    return tmp_path


def test_a_receiver_is_found_in_the_folder_that_the_installed_command_starts_in(script_folder: Path) -> None:
    (script_folder / "receivers_of_a_test_shop.py").write_text("connected = True")
    import_receivers(["receivers_of_a_test_shop"])
    assert sys.modules.pop("receivers_of_a_test_shop").connected
    assert sys.path[-1] == str(script_folder), "what is installed comes first"


def test_without_receivers_no_folder_is_added_to_the_path(script_folder: Path) -> None:
    import_receivers([])
    assert str(script_folder) not in sys.path
