"""The documentation says what the code has, and what it shows runs."""

import ast
import doctest
import functools
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app import simulator
from app.admin.actions import ACTIONS
from app.admin.table_definitions import TABLES
from app.config import Settings
from app.doctor import CHECKS
from app.inbox import handlers
from app.inbox.handlers import HANDLERS
from app.signals import reactions
from app.simulator import SCENARIOS
from tools import reference

from . import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


pages = cache(reference.pages)


@pytest.mark.parametrize("name", sorted(path.name for path in reference.FOLDER.iterdir()))
def test_the_reference_is_what_the_code_says(name: str) -> None:
    written = (reference.FOLDER / name).read_text()
    assert written == pages().get(name), "The code has changed: run `make reference`."


def test_each_page_of_the_reference_is_written() -> None:
    assert pages().keys() <= {path.name for path in reference.FOLDER.iterdir()}


def test_the_reference_lists_every_setting_event_signal_and_route() -> None:
    page = pages()
    assert [
        name for name in Settings.model_fields if f"| `{name.upper()}` |" not in page["settings.md"]
    ] == []
    assert [name for name in HANDLERS if f"`{name}`" not in page["events.md"]] == []
    assert [name for name in reactions if f"| `{name}` |" not in page["signals.md"]] == []
    assert page["routes.md"].count("| `") > 25
    assert page["commands.md"].count("\n## `python -m app ") > 20


def test_a_page_of_the_reference_has_no_empty_meaning() -> None:
    for name, page in pages().items():
        for row in re.findall(r"^\| `.*\|$", page, re.MULTILINE):
            cells = [cell.strip() for cell in row.strip("|").split(" | ")]
            meaning = cells[2] if name in ("settings.md", "commands.md") else cells[1]
            assert meaning or name == "metrics.md", row


def test_every_page_of_the_admin_screen_is_in_its_document() -> None:
    document = (ROOT / "docs" / "admin.md").read_text()
    pages = [
        "",
        "search",
        "user",
        "event",
        "login",
        "logout",
        *TABLES,
        *(f"action/{name}" for name in ACTIONS),
    ]
    assert [page for page in pages if f"`/admin/{page}`" not in document] == []


def test_every_check_of_the_doctor_is_in_its_document_in_order() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs" / "doctor.md").read_text(), re.MULTILINE)
    assert told == [check.name for check in CHECKS]


def test_every_make_target_that_the_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"`make ([a-z-]+)", document.read_text()))
        assert named <= targets, document.name


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("name", ["README.md", "docs/embedding.md", "docs/reactions.md"])
def test_the_python_examples_of_a_page_run(name: str) -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    assert examples
    for example in examples:
        exec(compile(example, name, "exec"), {})  # noqa: S102


def test_what_the_page_of_examples_shows_is_in_the_examples() -> None:
    page = (ROOT / "docs" / "examples.md").read_text()
    shown = re.findall(r'```\w+ title="(examples/[^"]+)"\n(.*?)```', page, re.DOTALL)
    assert len(shown) == 5
    for path, excerpt in shown:
        assert excerpt in (ROOT / path).read_text(), path
    told = page + (ROOT / "docs" / "checkout.md").read_text()
    programs = [each for each in ROOT.glob("examples/*.py") if each.stem != "__init__"]
    assert [each.name for each in programs if f"`examples/{each.name}`" not in told] == []


def test_the_examples_in_the_simulators_docstring_run() -> None:
    assert doctest.testmod(simulator) == doctest.TestResults(failed=0, attempted=10)


def test_scenarios_that_the_documents_name_exist() -> None:
    for document in DOCUMENTS:
        named = set(re.findall(r"--scenario (\w+)", document.read_text()))
        assert named <= SCENARIOS.keys(), document.name


def test_a_handled_event_without_a_receiver_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "has_receivers", lambda event_type: event_type != "invoice.paid")
    with pytest.raises(RuntimeError, match=r"invoice\.paid"):
        handlers.connect()


def test_env_example_has_every_setting_that_must_be_set() -> None:
    example = (ROOT / ".env.example").read_text()
    required = [name for name, field in Settings.model_fields.items() if field.is_required()]
    assert [name for name in required if f"{name.upper()}=" not in example] == []


def test_locks_carry_hashes_and_no_addresses() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text


FILES = re.compile(r"`((?:app|tests|tools|examples|deploy|docs|benchmarks)/[\w./-]+)`")
DATED = ("CHANGELOG.md", "decisions")
"""What these say was so when it was written."""


def undated() -> list[Path]:
    return [path for path in DOCUMENTS if not {path.name, path.parent.name} & set(DATED)]


def test_every_file_and_folder_that_a_document_names_exists() -> None:
    named = {(document, name) for document in undated() for name in FILES.findall(document.read_text())}
    assert len(named) > 40
    assert [f"{document.name}: {name}" for document, name in named if not (ROOT / name).exists()] == []


def test_every_function_that_a_document_names_with_its_file_is_there() -> None:
    found = 0
    for document in undated():
        for name, path in re.findall(r"`(\w+)(?:\(\))?` in `([\w/]+\.py)`", document.read_text()):
            found += 1
            assert re.search(
                rf"^\s*(async )?(def|class) {name}\b|^{name}\b", (ROOT / path).read_text(), re.M
            ), name
    assert found


def test_every_module_that_a_document_names_can_be_imported() -> None:
    for document in undated():
        for name in set(re.findall(r"`((?:app\.)[a-z_]+(?:\.\w+)*)`", document.read_text())):
            assert pkgutil.resolve_name(name) is not None, f"{document.name}: {name}"


def missing_imports(text: str) -> list[str]:
    """What the Python examples of a page import from this package, and is not there."""
    blocks = re.findall(r"^ *```python[^\n]*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    imports = [node for block in blocks for node in ast.walk(ast.parse(textwrap.dedent(block)))]
    named = [
        (str(node.module), each.name)
        for node in imports
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "app"
        for each in node.names
    ]
    return [
        f"{module}.{name}" for module, name in named if not hasattr(importlib.import_module(module), name)
    ]


def test_what_the_python_examples_import_is_there() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    wrong = {page.name: missing for page in pages if (missing := missing_imports(page.read_text()))}
    assert wrong == {}
    assert missing_imports("```python\nfrom app import nowhere\n```\n") == ["app.nowhere"]


WITHIN = r"(?:app|subscription_service)(|\..*)$"


def calls_that_do_not_fit(text: str) -> list[str]:
    """The calls in the Python examples of a page with arguments that a function of this package refuses."""
    wrong = []
    for block in re.findall(r"^ *```python[^\n]*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        nodes = list(ast.walk(ast.parse(textwrap.dedent(block))))
        known: dict[str, Any] = {}
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and (name := re.match(WITHIN, str(node.module))):
                module = importlib.import_module(f"app{name[1]}")
                known |= {each.asname or each.name: getattr(module, each.name) for each in node.names}
        wrong += [ast.unparse(node) for node in nodes if isinstance(node, ast.Call) and not fits(node, known)]
    return wrong


def fits(call: ast.Call, known: dict[str, Any]) -> bool:
    root, *path = ast.unparse(call.func).split(".")
    function = functools.reduce(lambda found, name: getattr(found, name, None), path, known.get(root))
    names = [each.arg for each in call.keywords]
    if not callable(function) or None in names or any(isinstance(each, ast.Starred) for each in call.args):
        return True
    try:
        inspect.signature(function).bind(*call.args, **{str(name): None for name in names})
    except TypeError:
        return False
    return True


def test_every_call_in_the_python_examples_has_arguments_that_the_function_takes() -> None:
    wrong = {page.name: found for page in undated() if (found := calls_that_do_not_fit(page.read_text()))}
    assert wrong == {}
    example = (
        "```python\nfrom app.billing import portal\nportal.create_portal_session(service, person=1)\n```\n"
    )
    assert calls_that_do_not_fit(example) == ["portal.create_portal_session(service, person=1)"]


def test_the_glossary_is_sorted_and_each_of_its_terms_is_used() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    terms = [term.lower() for term in re.findall(r"^\*\*(.+?)\*\*:", glossary, re.MULTILINE)]
    assert len(terms) > 40
    assert terms == sorted(terms)
    others = [path.read_text().lower() for path in undated() if path.name != "glossary.md"]
    code = "".join(path.read_text().lower() for path in ROOT.glob("app/**/*.py"))
    text = " ".join([*others, code])
    assert [term for term in terms if term.removesuffix(" feature") not in text] == []


def test_the_readme_has_at_most_120_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob("**/*.md")]
    assert [page for page in pages if page not in navigation and not page.startswith("decisions/")] == []


@pytest.mark.long
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    loads = re.compile(r'<(?:script|link|img|iframe)[^>]*\s(?:src|href)="?(?:https?:)?//')
    assert [page.name for page in tmp_path.rglob("*.html") if loads.search(page.read_text())] == []
