"""Limits over HTTP: the dependency, usage, entitlements and overrides."""

from typing import Any

import pytest
from fastapi import Depends, FastAPI

from app import limits
from app.limits import LimitExceeded
from app.simulator import DAY, Account

from ..client import AUTH, Client
from .helpers import START, Clock, consume, subscribe

pytestmark = pytest.mark.postgresql_in_long


async def test_the_feature_dependency_lets_in_or_answers_with_the_decision(
    client: Client, clock: Clock
) -> None:
    async def current_user() -> str:
        return "ada"

    app: FastAPI = client.app

    @app.get("/sso")
    async def sso(
        entitlements: limits.Entitlements = Depends(limits.require("sso", user=current_user)),
    ) -> str:
        return entitlements.plan or ""

    response = await client.http.get("/sso")
    assert (response.status_code, response.json()["reason"]) == (403, "not_in_plan")
    assert response.json()["upgrade_to"] == ["team"]
    await subscribe(client, clock)
    assert (await client.http.get("/sso")).json() == "team"


async def post_usage(client: Client, feature: str = "projects", **body: Any) -> Any:
    return await client.http.post(f"/internal/users/ada/usage/{feature}", json=body, headers=AUTH)


async def test_other_services_take_and_ask_over_http(client: Client, clock: Clock) -> None:
    assert (await post_usage(client, op="consume", amount=3, key="k")).json()["used"] == 3
    assert (await post_usage(client, op="consume", amount=3, key="k")).status_code == 200
    denied = await post_usage(client, op="consume", amount=1)
    assert (denied.status_code, denied.json()["reason"], denied.json()["limit"]) == (403, "limit_reached", 3)
    asked = await post_usage(client, op="check", amount=1)
    assert (asked.status_code, asked.json()["allowed"]) == (200, False)
    assert (await post_usage(client, op="consume", amount=2, key="k")).status_code == 409
    assert (await post_usage(client, op="release", amount=1)).json()["used"] == 2
    assert (await post_usage(client, op="set", amount=0)).json()["used"] == 0
    spent = await post_usage(client, "api_calls", op="consume", amount=6)
    assert (spent.status_code, "retry-after" in spent.headers) == (429, True)
    assert (await post_usage(client, "tokens", op="consume")).status_code == 403


@pytest.mark.parametrize(
    ("feature", "body", "status"),
    [
        ("colour", {"op": "consume"}, 404),
        ("projects", {"op": "consume", "amount": 0}, 422),
        ("projects", {"op": "release", "amount": -1}, 422),
        ("projects", {"op": "set", "amount": 2**63}, 422),
        ("projects", {"op": "consume", "amount": "1"}, 422),
        ("projects", {"op": "consume", "amount": True}, 422),
        ("projects", {"op": "steal"}, 422),
        ("projects", {"op": "consume", "key": "a\u0000"}, 422),
        ("sso", {"op": "consume"}, 422),
    ],
)
async def test_a_bad_request_for_usage_changes_nothing(
    client: Client, feature: str, body: dict[str, Any], status: int
) -> None:
    assert (await post_usage(client, feature, **body)).status_code == status
    assert (await limits.load("ada")).usage == {}


async def test_entitlements_over_http(client: Client, clock: Clock) -> None:
    await consume(client, "ada", "projects", 2)
    free = await client.read("/internal/users/ada/entitlements")
    assert (free["plan"], free["access"], free["user_id"]) == ("free", "none", "ada")
    assert free["features"]["projects"] == {
        "kind": "allocated",
        "value": 3,
        "limit": 3,
        "used": 2,
        "remaining": 1,
        "granted": 0,
        "soft": False,
        "resets_at": None,
        "over_since": None,
        "over_until": None,
    }
    _, subscription = await subscribe(client, clock)
    team = await client.read(f"/internal/customers/{subscription.customer}/entitlements")
    assert (team["plan"], team["status"], team["access"]) == ("team", "active", "full")
    assert team["features"]["storage_bytes"]["limit"] is None
    assert (await client.get("/internal/customers/cus_unknown/entitlements")).status_code == 404


async def test_a_customer_of_no_user_has_the_default_plan(client: Client) -> None:
    account = Account(seed=2, start=START - DAY)
    subscription = account.create_subscription(account.create_customer(), "price_team")
    await client.deliver(*account.events)
    found = await client.read(f"/internal/customers/{subscription.customer}/entitlements")
    assert (found["plan"], found["user_id"], found["access"]) == ("free", None, "none")
    assert found["features"]["projects"]["used"] == 0


async def test_an_override_holds_at_once_and_ends_with_its_time(client: Client, clock: Clock) -> None:
    path = "/internal/users/ada/overrides/projects"
    body = {"op": "add", "value": 2, "expires_at": START + 60, "reason": "promised", "actor": "bob"}
    assert (await consume(client, "ada", "projects", 3)).remaining == 0
    put = await client.http.put(path, json=body, headers=AUTH)
    assert (put.status_code, put.json()["value"]) == (200, 2)
    assert (await consume(client, "ada", "projects")).used == 4
    listed = await client.read("/internal/users/ada/overrides")
    assert [entry["feature"] for entry in listed["data"]] == ["projects"]
    clock.now += 60
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "projects")
    unlimited = {"op": "set", "value": "unlimited", "reason": "promised", "actor": "bob"}
    await client.http.put(path, json=unlimited, headers=AUTH)
    assert (await consume(client, "ada", "projects", 100)).limit is None
    assert (await client.http.delete(path, headers=AUTH)).status_code == 204
    assert (await client.http.delete(path, headers=AUTH)).status_code == 404
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "projects")


@pytest.mark.parametrize(
    ("feature", "changes", "status"),
    [
        ("colour", {}, 404),
        ("projects", {"value": "many"}, 422),
        ("projects", {"value": -1}, 422),
        ("projects", {"value": None}, 422),
        ("projects", {"op": "multiply"}, 422),
        ("projects", {"reason": ""}, 422),
        ("projects", {"actor": "\u0000"}, 422),
        ("sso", {"value": 3}, 422),
    ],
)
async def test_a_bad_override_is_refused(
    client: Client, feature: str, changes: dict[str, Any], status: int
) -> None:
    body = {"op": "set", "value": 1, "reason": "promised", "actor": "bob"} | changes
    path = f"/internal/users/ada/overrides/{feature}"
    assert (await client.http.put(path, json=body, headers=AUTH)).status_code == status
    assert (await client.read("/internal/users/ada/overrides"))["data"] == []


async def test_a_preview_over_http(client: Client) -> None:
    path = "/internal/users/ada/preview"
    previewed = await client.http.post(path, json={"plan": "team", "quantity": 3}, headers=AUTH)
    assert previewed.json()["projects"] == {"limit_now": 3, "limit_then": 30, "used": 0, "over": 0}
    for body, status in (({"plan": "odd"}, 404), ({"price_id": "odd"}, 404), ({}, 422)):
        assert (await client.http.post(path, json=body, headers=AUTH)).status_code == status
