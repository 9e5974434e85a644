"""The package under its names: one a process, and messages that name the command as it is typed."""

import ast
import re
import subprocess
import sys
from importlib.metadata import entry_points
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


WHICH_PLUGIN = """
import sys

def test_which(request, billing_plans_file):
    registered = [name for name in sys.modules if request.config.pluginmanager.hasplugin(name)]
    print("PLUGINS", *(name for name in registered if name.endswith(".pytest_plugin")))
    print("FIXTURE OF", request._get_active_fixturedef("billing_plans_file").func.__module__)
    print("ENTRY POINT", request.config.pluginmanager.hasplugin("subscription_service"))
"""


def pytest_beside_a_wheel(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """What pytest prints where a wheel is installed, and the package lies in the folder as `billing`, too."""
    for name in ("billing", "subscription_service"):
        (folder / name).symlink_to(PACKAGE)
    installed = folder / "subscription_service-0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: subscription-service\nVersion: 0\n")
    (installed / "entry_points.txt").write_text(
        "[pytest11]\nsubscription_service = subscription_service.pytest_plugin\n"
    )
    (folder / "test_which.py").write_text(WHICH_PLUGIN)
    (folder / "pytest.ini").touch()
    others = [f"-pno:{each.name}" for each in entry_points(group="pytest11")]
    command = [sys.executable, "-m", "pytest", "-s", *others, *arguments, "test_which.py"]
    variables = {"PYTHONPATH": f"{folder}:{PACKAGE.parent}"} | (environment or {})
    run = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=folder)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def plugins(output: str) -> tuple[list[str], str, str]:
    """The named plugins of this package, the module of a fixture, and whether the wheel's is loaded."""
    facts = dict(re.findall(r"(PLUGINS|FIXTURE OF|ENTRY POINT)(.*)", output))
    return facts["PLUGINS"].split(), facts["FIXTURE OF"].strip(), facts["ENTRY POINT"].strip()


def test_pytest_loads_the_plugin_of_a_wheel_by_itself(tmp_path: Path) -> None:
    found = plugins(pytest_beside_a_wheel(tmp_path))
    assert found == ([], "subscription_service.pytest_plugin", "True")


@pytest.mark.parametrize("name", ["app", "billing", "subscription_service"])
@pytest.mark.rest_in_long(1)
def test_a_plugin_that_is_named_takes_the_place_of_the_wheels(tmp_path: Path, name: str) -> None:
    module = f"{name}.pytest_plugin"
    found = plugins(pytest_beside_a_wheel(tmp_path, "-p", module))
    assert found == ([module], module, "False")


@pytest.mark.long
def test_a_plugin_that_the_environment_names_takes_the_place_of_the_wheels(tmp_path: Path) -> None:
    named = {"PYTEST_PLUGINS": "billing.pytest_plugin"}
    found = plugins(pytest_beside_a_wheel(tmp_path, environment=named))
    assert found == (["billing.pytest_plugin"], "billing.pytest_plugin", "False")


@pytest.mark.long
def test_of_several_plugins_that_are_named_the_last_one_counts(tmp_path: Path) -> None:
    named = ["-p", "subscription_service.pytest_plugin", "-p", "billing.pytest_plugin"]
    found = plugins(pytest_beside_a_wheel(tmp_path, *named))
    assert found == (["billing.pytest_plugin"], "billing.pytest_plugin", "False")


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
