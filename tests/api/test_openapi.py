"""The OpenAPI page: errors, units and examples of what the internal API takes and answers."""

import re
from collections.abc import Iterator
from typing import Any

from tests.client import running

TIME = re.compile(r"(_at|_date|trial_end|_through|^created|^next_payment_attempt)$")
AMOUNT = re.compile(r"^(amount_|unit_amount)")
RECORDS = ("SubscriptionOut", "InvoiceOut", "EventOut", "ItemOut", "SubscriptionUpdate")
YEAR_2030 = 1_893_456_000


async def description(database_url: str) -> dict[str, Any]:
    async with running(database_url) as client:
        page: dict[str, Any] = (await client.http.get("/openapi.json")).json()
        return page


async def test_times_and_amounts_say_their_unit(sqlite_database: str) -> None:
    schemas = (await description(sqlite_database))["components"]["schemas"]
    seen = 0
    for name in RECORDS:
        for key, schema in schemas[name]["properties"].items():
            unit = "Unix seconds" if TIME.search(key) else "minor unit" if AMOUNT.search(key) else None
            if unit is not None:
                assert unit in schema.get("description", ""), (name, key)
                seen += 1
    assert seen >= 20


async def test_every_internal_route_documents_its_problems(sqlite_database: str) -> None:
    paths = (await description(sqlite_database))["paths"]
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


async def test_the_dates_of_the_examples_lie_ahead(sqlite_database: str) -> None:
    page = await description(sqlite_database)
    dates = [date for date in examples(page) if date > 1_000_000_000]
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
