"""The user's page shows the grants, and what is left of each."""

import pytest

from tests.client import AUTH

from .visitor import Clock, logged_in, words

pytestmark = pytest.mark.postgresql_in_long


async def test_the_page_of_a_user_shows_each_grant_and_the_trail(database_url: str) -> None:
    async with logged_in(database_url, Clock()) as (client, visitor):
        assert "Grants" not in words(await visitor.open("/user?id=user_ada"))
        grant = {"feature": "api_calls", "amount": 500, "reason": "<b>An outage</b>", "actor": "support"}
        given = await client.http.post("/internal/users/user_ada/grants", json=grant, headers=AUTH)
        assert given.status_code == 201
        used = {"op": "consume", "amount": 1100}
        await client.http.post("/internal/users/user_ada/usage/api_calls", json=used, headers=AUTH)
        source = await visitor.open("/user?id=user_ada")
        assert "<b>An outage</b>" not in source
        page = words(source)
        for text in (given.json()["id"], "500 of api_calls", "100", "400", "by support", "grant.given"):
            assert text in page, text
