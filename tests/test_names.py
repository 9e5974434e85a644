"""The package under its names: one a process, and messages that name the command as it is typed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from app import ROOT as PACKAGE
from app.errors import ConfigurationError
from app.extras import EXTRAS, needed_for


def test_two_names_in_one_process_are_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "billing").symlink_to(PACKAGE)
    code = "import app, billing"
    environment = {"PYTHONPATH": f"{PACKAGE.parent}:{tmp_path}"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert run.returncode == 1
    assert "already imported as `app`, and cannot be imported as `billing` too" in run.stderr


PLUGIN_FIRST = """
import billing.pytest_plugin
from app import errors

try:
    from billing import errors
except ImportError as error:
    print(error)
"""


def test_the_plugin_of_pytest_under_another_name_is_none_until_more_is_used(tmp_path: Path) -> None:
    (tmp_path / "billing").symlink_to(PACKAGE)
    environment = {"PYTHONPATH": f"{PACKAGE.parent}:{tmp_path}"}
    command = [sys.executable, "-c", PLUGIN_FIRST]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "already imported as `app`, and cannot be imported as `billing` too" in run.stdout, run.stderr


def test_no_message_writes_the_command_down() -> None:
    written = []
    for path in PACKAGE.rglob("*.py"):
        if "python -m app" not in (text := path.read_text()):
            continue
        tree = ast.parse(text)
        # A text that is a statement of its own documents a module, a class, a function or an attribute.
        docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        written += [
            f"{path.name}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and "python -m app" in node.value
            and node not in docstrings
        ]
    assert written == []


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_a_missing_library_names_the_extra(extra: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"\[{extra}\]"), needed_for(extra):
        import a_library_that_is_not_installed  # type: ignore[import-not-found]  # noqa: F401


def test_a_missing_module_of_our_own_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError), needed_for("admin"):
        import app.no_such_module  # type: ignore[import-not-found]  # noqa: F401
