"""Each request to the internal API that the documentation shows is one that the API takes."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.routing import Match

from app.api import SUBJECTS

from ..cli.test_documented_commands import BLOCK
from ..test_docs import undated

RECORD = """set -u
curl() { printf '%s\\0' "$@" "" >&2; echo an-id; }
cut() { read -r answer; echo "$answer"; }
"""
"""In place of curl: its arguments, each with a null byte behind it, and an empty one at the end."""
WITH_VALUE = {"-H", "-X", "-d", "--json", "-u"}
SHOWN = "http://127.0.0.1:8000/internal/"
PARTS = [part for parts in SUBJECTS.values() for part in parts]
ROUTES = [route for part in PARTS for route in part.router.routes if isinstance(route, APIRoute)]


class Request(NamedTuple):
    """`path`: below `/internal`."""

    method: str
    path: str
    headers: tuple[str, ...]
    body: str | None


def requests_of(block: str, folder: Path) -> list[Request]:
    """The requests to the internal API that curl makes when the block is typed, with INTERNAL_API_KEY set.

    Bash reads the block, and finds no program: only curl's arguments are of interest.

    Raises:
        AssertionError: when the block uses a variable that is not set.
    """
    bash = shutil.which("bash")
    assert bash
    typed = re.sub(r"^\s*\. .*$", "", block, flags=re.MULTILINE)  # what `.env` has is in the environment
    ran = subprocess.run(
        [bash, "--noprofile", "--norc", "-c", RECORD + typed],
        cwd=folder,
        env={"PATH": "", "INTERNAL_API_KEY": "the-key"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "unbound variable" not in ran.stderr, ran.stderr
    calls = [part.split("\0") for part in ran.stderr.split("\0\0")]
    return [request for call in calls if (request := request_of(call)) is not None]


def request_of(words: list[str]) -> Request | None:
    """The request that curl makes with these arguments; None for one to another address."""
    options: dict[str, list[str]] = {}
    address = ""
    rest = iter(words)
    for word in rest:
        if word in WITH_VALUE:
            options.setdefault(word, []).append(next(rest))
        elif word.startswith(SHOWN):
            address = word
    if not address:
        return None
    body = next(iter(options.get("-d", []) + options.get("--json", [])), None)
    method = next(iter(options.get("-X", [])), "GET" if body is None else "POST")
    path = "/" + address.removeprefix(SHOWN).partition("?")[0]
    return Request(method, path, tuple(options.get("-H", [])), body)


def complaint_about(request: Request) -> str | None:
    """Why the API would refuse the request before it does anything."""
    scope = {"type": "http", "method": request.method, "path": request.path, "headers": []}
    routes = [route for route in ROUTES if route.matches(scope)[0] is Match.FULL]
    if not routes:
        return "no such route"
    if "X-API-Key: the-key" not in request.headers:
        return "no key"
    for parameter in routes[0].dependant.body_params:
        try:
            TypeAdapter(cast(Any, parameter.field_info.annotation)).validate_json(request.body or "null")
        except ValidationError as error:
            return str(error)
    return None


def test_every_request_of_a_block_is_taken_by_the_api(tmp_path: Path) -> None:
    shown = [
        (page.name, request)
        for page in undated()
        for block in BLOCK.findall(page.read_text())
        if "curl" in block
        for request in requests_of(block, tmp_path)
    ]
    assert len(shown) > 12
    assert [(page, each, why) for page, each in shown if (why := complaint_about(each)) is not None] == []


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("curl $A/nowhere -H 'X-API-Key: the-key'", "no such route"),
        ("curl $A/plans", "no key"),
        ("""curl $A/users/a/seats -H "X-API-Key: the-key" --json '{"members": "seven"}'""", "members"),
    ],
)
def test_a_request_that_the_api_refuses_is_found(command: str, why: str, tmp_path: Path) -> None:
    [request] = requests_of(command.replace("$A/", SHOWN), tmp_path)
    assert why in (complaint_about(request) or "")


def test_a_variable_that_nothing_sets_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="KEY: unbound variable"):
        requests_of(f'curl {SHOWN}plans -H "X-API-Key: $KEY"', tmp_path)
