"""The bounds that keep the code readable: modules at the root, layers, lengths of files and functions."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from . import ROOT

APP = ROOT / "app"
MAX_ROOT_MODULES = 12
MAX_LAYERS = 12
MAX_FILE_LINES = 330
MAX_FUNCTION_LINES = 60
FOLDERS = ("app", "tests", "examples", "benchmarks", "tools")


def source_files() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a file, with its lines."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{path.relative_to(ROOT)}::{node.name}", node.end_lineno - node.lineno + 1


def test_the_root_of_the_package_has_few_modules() -> None:
    modules = sorted(path.name for path in APP.glob("*.py"))
    assert "main.py" in modules
    assert len(modules) <= MAX_ROOT_MODULES, modules


def test_the_layers_are_few() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (each["layers"] for each in contracts if "app.main" in each.get("layers", ()))
    assert len(layers) <= MAX_LAYERS, layers


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in source_files()
    }
    assert "app/main.py" in lengths
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    lengths = [each for path in sorted(APP.rglob("*.py")) for each in functions(path)]
    assert len(lengths) > 1_000
    assert [each for each in lengths if each[1] > MAX_FUNCTION_LINES] == []
