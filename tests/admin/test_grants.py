"""The user's page shows the grants, and what is left of each; they are given and ended there, too."""

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


async def test_a_grant_is_given_once_for_a_reason_and_ended(database_url: str) -> None:
    async with logged_in(database_url, Clock()) as (client, visitor):
        order = {"user": "user_ada", "feature": "api_calls", "amount": "1,500", "reason": "An outage"}
        for _ in range(2):  # a form that is sent twice
            await visitor.act("grant", **order)
        await visitor.act(
            "grant", user="user_ada", plan="team", reason="A friend", expires="2030-12-31T18:00"
        )
        granted = (await client.read("/internal/users/user_ada/grants"))["data"]
        assert {(each["amount"], each["plan"], each["expires_at"]) for each in granted} == {
            (1500, None, None),
            (None, "team", 1_924_970_400),
        }
        [calls] = [each["id"] for each in granted if each["feature"] == "api_calls"]
        page = await visitor.open("/user?id=user_ada")
        assert f"end-grant?user=user_ada&amp;grant={calls}" in page
        await visitor.act("end-grant", user="user_ada", grant=calls)
        await visitor.act("end-grant", 409, user="user_ada", grant=calls)
        assert words(await visitor.open("/user?id=user_ada")).count("grant.given") == 2


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"feature": "", "amount": ""}, 422, "either a feature with an amount, or a plan"),
        ({"plan": "team"}, 422, "either a feature with an amount, or a plan"),
        ({"amount": "0"}, 422, "amount"),
        ({"feature": "sso"}, 422, "sso"),
        ({"expires": "2001-01-01T00:00"}, 422, "past"),
        ({"reason": " "}, 422, "Reason"),
    ],
)
async def test_a_grant_that_cannot_be_is_refused_with_the_remedy(
    sqlite_database: str, change: dict[str, str], status: int, said: str
) -> None:
    order = {"user": "user_ada", "feature": "api_calls", "amount": "5", "reason": "An outage"}
    async with logged_in(sqlite_database, Clock()) as (client, visitor):
        refused = await visitor.act("grant", status, **(order | change))
        assert said in refused.text
        assert (await client.read("/internal/users/user_ada/grants"))["data"] == []
        assert "no such grant" in (await visitor.act("end-grant", 404, user="u", grant="gr_1")).text
