"""The OpenAPI page: errors, units and examples of what the internal API takes and answers."""

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from app.main import create_app
from tests.client import AUTH, running, settings_for

pytestmark = pytest.mark.xdist_group("description of the API")

TIME = re.compile(r"(_at|_date|trial_end|_through|^created|^next_payment_attempt)$")
AMOUNT = re.compile(r"^(amount_|unit_amount)")
RECORDS = ("SubscriptionOut", "InvoiceOut", "EventOut", "ItemOut", "SubscriptionUpdate")
YEAR_2030 = 1_893_456_000


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Made once for all tests here: it takes longer than they do."""
    settings = settings_for(f"sqlite:///{tmp_path_factory.mktemp('description')}/app.db")
    page: dict[str, Any] = orjson.loads(orjson.dumps(create_app(settings).openapi()))
    return page


def test_times_and_amounts_say_their_unit(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    seen = 0
    for name in RECORDS:
        for key, schema in schemas[name]["properties"].items():
            unit = "Unix seconds" if TIME.search(key) else "minor unit" if AMOUNT.search(key) else None
            if unit is not None:
                assert unit in schema.get("description", ""), (name, key)
                seen += 1
    assert seen >= 20


def test_every_internal_route_documents_its_problems(description: dict[str, Any]) -> None:
    paths = description["paths"]
    internal = {path: methods for path, methods in paths.items() if path.startswith("/internal/")}
    for path, methods in internal.items():
        for operation in methods.values():
            refusals = {status for status in operation["responses"] if status >= "4"}
            assert {"401", "422", "503"} <= refusals, path
            for status in refusals:
                problem = operation["responses"][status]["content"]["application/problem+json"]
                assert problem["example"]["status"] == int(status), (path, status)
    for path in ("subscriptions/{subscription_id}", "customers/{customer_id}", "users/{user_id}"):
        assert "404" in internal[f"/internal/{path}"]["get"]["responses"]
    assert "404" in internal["/internal/customers/{customer_id}"]["put"]["responses"]
    assert "409" in internal["/internal/subscription/update"]["post"]["responses"]


def test_operation_ids_are_short_and_unique_and_errors_have_a_schema(description: dict[str, Any]) -> None:
    operations = [each for methods in description["paths"].values() for each in methods.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids) > 25
    assert max(map(len, ids)) <= 25
    for operation in operations:
        assert len(operation["tags"]) == 1
        for response in operation["responses"].values():
            for content in response.get("content", {}).values():
                assert content["schema"] != {"type": "object"}, operation["operationId"]
    assert description["servers"][0]["url"] == "/"


def test_every_object_says_what_is_in_it(description: dict[str, Any]) -> None:
    found = list(objects(description))
    assert len(found) > 60
    assert [each for each in found if not each.get("properties") and not typed(each)] == []


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every schema of an object; a client generated from one that says nothing has an empty model."""
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for value in node.values():
            yield from objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from objects(value)


def typed(schema: dict[str, Any]) -> bool:
    """Whether the object is a map, with values of a schema of their own."""
    values = schema.get("additionalProperties")
    return isinstance(values, dict) and bool(values)


async def test_an_error_is_as_its_schema_says(sqlite_database: str) -> None:
    async with running(sqlite_database) as client:
        schemas = (await client.http.get("/openapi.json")).json()["components"]["schemas"]
        body = {"op": "consume", "amount": 1000}
        denied = await client.http.post("/internal/users/ada/usage/projects", json=body, headers=AUTH)
        unknown = await client.http.get("/internal/customers/cus_9", headers=AUTH)
        method = await client.http.delete("/internal/customers/cus_9", headers=AUTH)
        broken = await client.http.post(
            "/internal/users/ada/usage/projects",
            content=b'{"op":\n "consume" oops}',
            headers=AUTH | {"Content-Type": "application/json"},
        )
    assert [each.status_code for each in (denied, unknown, method, broken)] == [403, 404, 405, 422]
    assert set(schemas["Denial"]["required"]) <= denied.json().keys() <= set(schemas["Denial"]["properties"])
    for response in (unknown, method, broken):
        assert response.headers["Content-Type"] == "application/problem+json"
        assert set(schemas["Problem"]["required"]) <= response.json().keys()
    assert method.headers["Allow"] == "GET, PUT"
    (fault,) = broken.json()["errors"]
    assert fault["field"] == "body"
    assert "line 2, column" in fault["message"]


def test_the_dates_of_the_examples_lie_ahead(description: dict[str, Any]) -> None:
    dates = [date for date in examples(description) if date > 1_000_000_000]
    assert len(dates) > 8
    assert min(dates) >= YEAR_2030


def examples(node: Any, *, inside: bool = False) -> Iterator[int]:
    """Every whole number in an example."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from examples(value, inside=inside or key in ("example", "examples"))
    elif isinstance(node, list):
        for value in node:
            yield from examples(value, inside=inside)
    elif inside and type(node) is int:
        yield node
