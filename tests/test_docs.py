"""What the code has, the README tells; and what the README shows, runs."""

import doctest
import re

import pytest
from fastapi.routing import APIRoute

from app import api, simulator
from app.admin.actions import ACTIONS
from app.admin.table_definitions import TABLES
from app.api import health, metrics
from app.cli import cli
from app.config import Settings
from app.doctor import CHECKS
from app.inbox import handlers
from app.inbox.handlers import HANDLERS
from app.reactions.notifications import TEMPLATES
from app.signals import reactions
from app.simulator import SCENARIOS

from . import ROOT

README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_in_the_readme(name: str) -> None:
    assert f"`{name.upper()}`" in README


@pytest.mark.parametrize("event_type", list(HANDLERS))
def test_every_signal_is_in_the_readme(event_type: str) -> None:
    assert f"`{event_type}`" in README


def routes() -> list[str]:
    found = []
    for part in (
        api.subscription_changes,
        api.checkout,
        api.customers,
        api.events,
        api.limits,
        api.overrides,
        api.portal,
        api.subscriptions,
        api.summary,
        api.users,
    ):
        for route in part.router.routes:
            assert isinstance(route, APIRoute)
            found += [f"`{method} /internal{route.path}`" for method in route.methods or ()]
    open_or_not = [*health.router.routes, *metrics.router.routes]
    found += [f"`GET {route.path}`" for route in open_or_not if isinstance(route, APIRoute)]
    return found


def test_every_route_is_in_the_readme() -> None:
    assert len(routes()) > 8
    assert [route for route in routes() if route not in README] == []


def test_every_page_of_the_admin_screen_is_in_the_readme() -> None:
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
    assert [page for page in pages if f"`/admin/{page}`" not in README] == []


def test_every_command_is_in_a_document_or_a_make_target() -> None:
    told = README + (ROOT / "Makefile").read_text() + (ROOT / "Dockerfile").read_text()
    commands = [
        command.name or command.callback.__name__.replace("_", "-")
        for command in cli.registered_commands
        if command.callback
    ]
    assert "simulate" in commands
    assert [name for name in commands if f"python -m app {name}" not in told] == []


def test_every_check_of_the_doctor_is_in_its_document_in_order() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs" / "doctor.md").read_text(), re.MULTILINE)
    assert told == [check.name for check in CHECKS]


def test_every_command_of_a_group_is_in_a_document() -> None:
    told = "".join(document.read_text() for document in DOCUMENTS)
    commands = [
        f"python -m app {group.name} {command.name or getattr(command.callback, '__name__', '')}"
        for group in cli.registered_groups
        if group.typer_instance
        for command in group.typer_instance.registered_commands
    ]
    assert len(commands) > 3
    assert [command for command in commands if command not in told] == []


def test_every_make_target_that_the_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"`make ([a-z-]+)", document.read_text()))
        assert named <= targets, document.name


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_reaction_is_in_its_document() -> None:
    told = (ROOT / "docs" / "reactions.md").read_text()
    assert len(reactions) > 10
    assert [name for name in reactions if f"| `{name}` |" not in told] == []


def test_every_message_has_a_signal_and_a_mark_in_the_document() -> None:
    told = (ROOT / "docs" / "reactions.md").read_text()
    marked = set(re.findall(r"^\| `(\w+)` \|.*\| yes \|$", told, re.MULTILINE))
    assert marked == set(TEMPLATES)
    assert marked < set(reactions)


def test_the_python_examples_of_the_readme_run() -> None:
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert examples
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})  # noqa: S102


def test_the_examples_in_the_simulators_docstring_run() -> None:
    assert doctest.testmod(simulator) == doctest.TestResults(failed=0, attempted=10)


def test_scenarios_named_in_the_readme_exist() -> None:
    assert set(re.findall(r"--scenario (\w+)", README)) <= SCENARIOS.keys()


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
