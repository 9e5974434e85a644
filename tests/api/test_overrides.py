"""Overrides over HTTP."""

from typing import Any

import pytest

from ..client import AUTH, running
from ..limits.helpers import START, Clock


@pytest.mark.parametrize("expires_at", [0, START - 1, START])
async def test_an_override_that_would_have_ended_already_is_refused(
    sqlite_database: str, expires_at: int
) -> None:
    async with running(sqlite_database, clock=Clock()) as client:
        body: dict[str, Any] = {"op": "add", "value": 5, "reason": "promised", "actor": "support"}
        path = "/internal/users/ada/overrides/projects"
        refused = await client.http.put(path, json=body | {"expires_at": expires_at}, headers=AUTH)
        assert refused.status_code == 422
        assert "is past" in refused.json()["detail"]
        assert (await client.read("/internal/users/ada/overrides"))["data"] == []
        taken = await client.http.put(path, json=body | {"expires_at": START + 1}, headers=AUTH)
        assert taken.status_code == 200
