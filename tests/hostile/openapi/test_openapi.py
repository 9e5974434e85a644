"""Requests made from the OpenAPI description, right ones and wrong ones: every answer is as described.

Seeded and short in `make test-long`; `make fuzz` is longer, and on PostgreSQL too.
"""

import os
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.db.models import SeatRequest
from app.simulator import NEW, Account, event_body
from tests.client import AUTH, Client, running

from .helpers import BASE, NOW

AnyCase = Case[Any]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
NEEDS_STRIPE = 501
"""Documented, and the right answer of a service without STRIPE_API_KEY."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


def operations(description: dict[str, Any]) -> Iterator[Any]:
    for result in schemathesis.openapi.from_dict(description).get_all_operations():
        operation = result.ok() if hasattr(result, "ok") else None
        assert operation is not None, result  # a description that cannot be understood
        yield operation


def cases(operation: Any, mode: GenerationMode, count: int = EXAMPLES) -> list[AnyCase]:
    """So many requests to one operation; none where it cannot be got wrong."""
    found: list[AnyCase] = []

    @seed(SEED)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: AnyCase) -> None:
        found.append(case)

    collect()
    return found


async def send(client: Client, case: AnyCase, headers: dict[str, str]) -> httpx.Response:
    kwargs = case.as_transport_kwargs(base_url=BASE, headers=headers)
    prepared = requests.Request(**kwargs).prepare()
    return await client.http.request(
        str(prepared.method),
        str(prepared.url),
        content=cast(bytes, prepared.body),
        headers=[
            (name, value if isinstance(value, str) else value.decode())
            for name, value in prepared.headers.items()
        ],
    )


KNOWN = {
    "user_id": ["ada", "bob"],
    "customer_id": ["cus_1", "cus_2"],
    "subscription_id": ["sub_1"],
    "session_id": ["cs_test_1"],
    "event_id": ["evt_1", "evt_failed"],
    "feature": ["projects", "api_calls", "sso", "max_upload_mb"],
}


def with_known_ids(cases: list[AnyCase], ids: dict[str, list[str]] = KNOWN) -> list[AnyCase]:
    """Every other request is for something that there is: random ids alone would see little but 404."""
    for number, case in enumerate(cases):
        for name, known in ids.items():
            if number % 2 and name in (case.path_parameters or {}):
                case.path_parameters[name] = known[number // 2 % len(known)]
    return cases


async def store_something(client: Client) -> None:
    """A user with a subscription and invoices, an unlinked customer, and an event that failed."""
    account = Account(1, start=NOW - 86_400)
    subscription = account.create_subscription(account.create_customer("ada@example.com", user_id="ada"))
    account.create_subscription(account.create_customer("bob@example.com"))
    bodies = [event_body(event, NEW) for event in account.events]
    ids = {subscription.id: "sub_1", subscription.customer: "cus_1"}
    for body in bodies:
        for old, new in ids.items():
            body = body.replace(old.encode(), new.encode())
        assert (await client.post_signed(body)).status_code == 200
    failing = {"id": "evt_failed", "type": "customer.updated", "created": NOW, "data": {"object": {"id": 1}}}
    assert await client.send(failing) == "deferred"
    assert (await client.get("/internal/users/ada")).status_code == 200
    async with client.app.state.billing.database.session() as session:
        session.add(SeatRequest(user_id="ada", members=2, actor="ada", requested_at=NOW, due_at=NOW))


def with_examples(cases: list[AnyCase], operation: Any, description: dict[str, Any]) -> list[AnyCase]:
    """Every fourth body is the description's own example, which must be one that works."""
    bodies = description["paths"][operation.path][operation.method].get("requestBody")
    if bodies and operation.path.startswith("/internal/"):
        schema = bodies["content"]["application/json"]["schema"]
        [referred] = [each for each in schema.get("anyOf", [schema]) if "$ref" in each]  # one may be left out
        reference = referred["$ref"].rsplit("/", 1)[1]
        for case in cases[1::4]:
            case.body = description["components"]["schemas"][reference]["example"]
    return cases


async def a_reservation(client: Client) -> dict[str, list[str]]:
    """The ids of a reservation of one project, of a user who has no other use."""
    path = "/internal/users/eve/usage/projects/reservations"
    held = await client.http.post(path, json={"amount": 1}, headers=AUTH)
    assert held.status_code == 201, held.text
    return {"user_id": ["eve"], "feature": ["projects"], "reservation_id": [held.json()["id"]]}


async def a_grant(client: Client) -> dict[str, list[str]]:
    """The ids of a grant, of a user who has no other use."""
    order = {"feature": "projects", "amount": 1, "reason": "because", "actor": "ada"}
    given = await client.http.post("/internal/users/eve/grants", json=order, headers=AUTH)
    assert given.status_code == 201, given.text
    return {"user_id": ["eve"], "grant_id": [given.json()["id"]]}


async def play(client: Client, operation: Any, mode: GenerationMode) -> set[int]:
    """Send the requests and check each answer; the statuses that came."""
    statuses = set()
    link = await client.http.put("/internal/customers/cus_1", json={"user_id": "ada"}, headers=AUTH)
    assert link.status_code == 200, link.text
    made: dict[str, list[str]] = {}
    for name, make in {"{reservation_id}": a_reservation, "{grant_id}": a_grant}.items():
        if name in operation.path:
            made = await make(client)
    found = with_known_ids(cases(operation, mode), KNOWN | made)
    if mode is GenerationMode.POSITIVE:
        with_examples(found, operation, client.app.openapi())
    for case in found:
        response = await send(client, case, AUTH)
        checks = CHECKS[1:] if response.status_code == NEEDS_STRIPE else CHECKS
        case.validate_response(response, checks=checks)
        statuses.add(response.status_code)
    return statuses


@pytest.mark.long
async def test_every_answer_is_as_described_whatever_is_asked(fuzzed_database: str) -> None:
    seen: dict[str, set[int]] = {}
    async with running(fuzzed_database, clock=lambda: NOW) as client:
        await store_something(client)
        for operation in operations(client.app.openapi()):
            modes = MODES if operation.body or operation.path_parameters or operation.query else MODES[:1]
            for mode in modes:
                name = f"{operation.method} {operation.path}"
                seen.setdefault(name, set()).update(await play(client, operation, mode))
        await store_something_else(client)
    # The requests came through to where the work is done, and not only to the first check.
    assert len(seen) > 18
    internal = {name: statuses for name, statuses in seen.items() if "/internal/" in name}
    assert [name for name, statuses in internal.items() if not statuses & {200, 201, 204, NEEDS_STRIPE}] == []


async def store_something_else(client: Client) -> None:
    """After all that, events are still taken."""
    account = Account(2, start=NOW - 60)
    subscription = account.create_subscription(account.create_customer(user_id="carol"))
    await client.deliver(*account.events)
    assert (await client.read(f"/internal/subscriptions/{subscription.id}"))["user_id"] == "carol"


WITHOUT_A_KEY = 2
"""Requests to each operation, in each mode and with each wrong key: none is read before the key."""


@pytest.mark.long
async def test_no_described_request_is_answered_without_a_key(sqlite_database: str) -> None:
    async with running(sqlite_database, clock=lambda: NOW) as client:
        await store_something(client)
        before = await client.read("/internal/events")
        asked = 0
        for operation in operations(client.app.openapi()):
            if not operation.path.startswith("/internal/"):
                continue
            asked += 1
            for mode in MODES:
                for case in with_known_ids(cases(operation, mode, WITHOUT_A_KEY)):
                    for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer x"}):
                        response = await send(client, case, headers)
                        assert response.status_code == 401, (operation.path, headers)
                        case.validate_response(response, checks=CHECKS)
        assert asked > 15
        assert await client.read("/internal/events") == before


@pytest.mark.long
async def test_a_body_over_the_limit_is_413_as_described(sqlite_database: str) -> None:
    asked = 0
    async with running(sqlite_database, max_body_bytes=1024) as client:
        for operation in operations(client.app.openapi()):
            if not operation.body:
                continue
            asked += 1
            case = cases(operation, GenerationMode.POSITIVE, 1)[0]
            path = operation.path.format(**(case.path_parameters or {}))
            answer = await client.http.request(
                operation.method,
                path,
                content=b" " * 1025,
                headers=AUTH | {"Content-Type": "application/json"},
            )
            assert (answer.status_code, answer.headers["connection"]) == (413, "close")
            case.validate_response(answer, checks=CHECKS)
    assert asked > 5


async def test_every_internal_operation_is_described_as_behind_the_key(sqlite_database: str) -> None:
    async with running(sqlite_database) as client:
        description = client.app.openapi()
    schemes = description["components"]["securitySchemes"]
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            named = [name for entry in operation.get("security", []) for name in entry]
            keys = [schemes[name]["name"] for name in named]
            guarded = path.startswith("/internal/") or path == "/metrics"
            assert keys == (["X-API-Key"] if guarded else []), (method, path)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.fuzz)])
def fuzzed_database(request: pytest.FixtureRequest) -> str:
    kind = "sqlite" if request.param == "sqlite" else "postgres"
    url: str = request.getfixturevalue(f"{kind}_database")
    return url
