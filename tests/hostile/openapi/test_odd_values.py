"""Odd values in bodies, paths and queries are refused or kept, and never a 500."""

import json
from typing import Any

import pytest

from tests.client import AUTH, running

from .helpers import BASE, NOW

pytestmark = pytest.mark.postgresql_in_long

ODD_VALUES: list[Any] = [2**63, -(2**70), 10**400, float("nan"), float("inf"), 1e308, 0.5, "\x00", "\ud800"]
UPDATE = {
    "customer_id": "cus_9",
    "subscription_id": "sub_9",
    "plan_id": "price_team",
    "start_date": NOW,
    "expiry_date": NOW,
    "status": "active",
}
NO_FILTERS: list[Any] = [[], "x", None, {"state": ["dead"]}]
OVERRIDE = {"op": "set", "value": 5, "reason": "because", "actor": "ada"}
ODD_BODIES: list[tuple[str, str, Any]] = [
    *(
        ("POST", "/subscription/update", UPDATE | {"customer_id": odd})
        for odd in ("\x00", "\ud800", "x" * 10**5)
    ),
    *(
        ("POST", "/subscription/update", UPDATE | {"quantity": odd})
        for odd in (2**63, -1, 10**400, 1e400, True)
    ),
    *(("POST", "/subscription/update", UPDATE | {"expiry_date": odd}) for odd in (2**63, 1e18, "1", None)),
    ("POST", "/subscription/update", UPDATE | {"\ud800": 1}),
    ("POST", "/subscription/update", UPDATE | {"a\x00\n": 1}),
    ("PUT", "/customers/cus_9", {"user_id": "\ud800"}),
    ("PUT", "/customers/cus_9", {"user_id": "\u202e"}),
    *(
        ("PUT", "/users/ada/overrides/projects", OVERRIDE | {"reason": odd})
        for odd in ("\x00", "\ud800", "a\x00b")
    ),
    *(
        ("PUT", "/users/ada/overrides/projects", OVERRIDE | {"value": odd})
        for odd in [*ODD_VALUES, "9" * 5000]
    ),
    *(("POST", "/users/ada/usage/projects", {"op": "set", "amount": odd}) for odd in (2**62, 2**63, 10**400)),
    *(
        ("POST", "/users/ada/usage/projects", {"op": "consume", "key": odd})
        for odd in ("\x00", "\ud800", " ")
    ),
    *(("POST", "/users/ada/preview", {"plan": odd}) for odd in ("\x00", "\ud800", "nonsense")),
    ("POST", "/users/ada/preview", {"plan": "team", "quantity": 2**53}),
    ("POST", "/events/replay", {"state": "dead", "type": "\x00"}),
    *(("POST", "/events/replay", odd) for odd in NO_FILTERS),
]


async def test_odd_values_in_bodies_are_refused_or_kept_and_never_a_500(database_url: str) -> None:
    async with running(database_url, clock=lambda: NOW) as client:
        for method, path, body in ODD_BODIES:
            content = json.dumps(body)
            answer = await client.http.request(
                method,
                f"/internal{path}",
                content=content,
                headers=AUTH | {"Content-Type": "application/json"},
            )
            assert answer.status_code in (200, 403, 404, 409, 422), (path, content[:100], answer.text)
        for deep in ("[" * 100_000, '{"user_id": ' * 50_000, '{"user_id": ' + "[" * 500 + "]" * 500 + "}"):
            headers = AUTH | {"Content-Type": "application/json"}
            answer = await client.http.put("/internal/customers/cus_9", content=deep, headers=headers)
            assert answer.status_code == 422
        assert (await client.get("/internal/users/ada/overrides")).status_code == 200
        assert (await client.get("/internal/users/ada/entitlements")).status_code == 200


ODD_PATHS = [
    "%00",
    "%ED%A0%80",
    "%FF",
    "a%00b",
    "%0A",
    "..%2F..",
    "%F0%9F%98%80",
    "x" * 5_000,
    "%25",
    "%E2%80%AE",
]


@pytest.mark.parametrize("odd", ODD_PATHS)
@pytest.mark.rest_in_long(4)
async def test_odd_ids_in_paths_and_queries_are_refused_and_never_a_500(database_url: str, odd: str) -> None:
    paths = [
        f"/subscriptions/{odd}",
        f"/customers/{odd}",
        f"/customers/{odd}/entitlements",
        f"/users/{odd}",
        f"/users/{odd}/entitlements",
        f"/users/{odd}/overrides",
        f"/events/{odd}",
        f"/events?type={odd}",
        f"/events?object_id={odd}",
        f"/events?cursor={odd}",
        f"/customers?cursor={odd}",
    ]
    async with running(database_url) as client:
        for path in paths:
            answer = await client.http.get(f"{BASE}/internal{path}", headers=AUTH)
            assert answer.status_code in (200, 404, 422), (path, answer.text)
        for method, path, body in (
            ("PUT", f"/customers/{odd}", {"user_id": "ada"}),
            ("POST", f"/users/{odd}/usage/projects", {"op": "consume"}),
            ("POST", f"/users/ada/usage/{odd}", {"op": "consume"}),
            ("POST", f"/users/{odd}/preview", {"plan": "team"}),
            ("PUT", f"/users/{odd}/overrides/projects", OVERRIDE),
            ("PUT", f"/users/ada/overrides/{odd}", OVERRIDE),
            ("DELETE", f"/users/ada/overrides/{odd}", None),
            ("DELETE", f"/users/{odd}/overrides/projects", None),
            ("POST", f"/events/{odd}/replay", None),
        ):
            answer = await client.http.request(method, f"{BASE}/internal{path}", json=body, headers=AUTH)
            assert answer.status_code in (200, 204, 404, 422), (method, path, answer.text)
