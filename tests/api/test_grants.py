"""Grants over HTTP: given, listed, ended, once for a key."""

from typing import Any

import pytest

from ..client import AUTH, Client, running
from ..limits.helpers import START, Clock, consume

PATH = "/internal/users/ada/grants"
GIVEN = {"feature": "api_calls", "amount": 500, "reason": "An outage", "actor": "support"}


async def give(client: Client, body: dict[str, Any], **headers: str) -> tuple[int, Any]:
    response = await client.http.post(PATH, json=body, headers=AUTH | headers)
    return response.status_code, response.json()


async def test_a_grant_is_given_once_for_a_key_drawn_from_listed_and_ended(database_url: str) -> None:
    async with running(database_url, clock=Clock()) as client:
        status, given = await give(client, GIVEN | {"key": "outage-7"})
        assert (status, given["left"], given["source"]) == (201, 500, "operator")
        assert await give(client, GIVEN, **{"Idempotency-Key": "outage-7"}) == (200, given)
        assert (await give(client, GIVEN | {"amount": 501, "key": "outage-7"}))[0] == 409
        await consume(client, "ada", "api_calls", 1100)
        [listed] = (await client.read(PATH))["data"]
        assert (listed["id"], listed["drawn"], listed["left"]) == (given["id"], 100, 400)
        shown = (await client.read("/internal/users/ada/entitlements"))["features"]["api_calls"]
        assert (shown["limit"], shown["used"], shown["granted"]) == (1500, 1100, 500)
        gone = await client.http.delete(f"{PATH}/{given['id']}", headers=AUTH)
        assert gone.status_code == 204
        [ended] = (await client.read(PATH))["data"]
        assert (ended["in_force"], ended["expires_at"], ended["left"]) == (False, START, 0)
        for grant_id, expected in ((given["id"], 409), ("gr_unknown", 404)):
            again = await client.http.delete(f"{PATH}/{grant_id}", headers=AUTH)
            assert again.status_code == expected


@pytest.mark.parametrize(
    "change", [{"amount": 0}, {"plan": "team"}, {"feature": None}, {"feature": "sso"}, {"expires_at": START}]
)
async def test_what_cannot_be_a_grant_is_refused(sqlite_database: str, change: dict[str, Any]) -> None:
    async with running(sqlite_database, clock=Clock()) as client:
        status, problem = await give(client, GIVEN | change)
        assert (status, bool(problem["detail"])) == (422, True)
        assert (await client.read(PATH))["data"] == []
