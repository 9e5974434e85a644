"""Usage over HTTP: several features at once, reservations, and keys in the header, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from app import limits
from app.db.models import AuditEntry
from app.simulator import DAY

from ..client import AUTH, Client, running
from ..limits.helpers import PLANS, Clock, subscribe

pytestmark = pytest.mark.postgresql_in_long

USAGE = "/internal/users/ada/usage"
FILES = f"{USAGE}/storage_bytes/reservations"
GIB = 2**30


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(database_url: str, clock: Clock, tmp_path: Path) -> AsyncIterator[Client]:
    (tmp_path / "plans.toml").write_text(PLANS)
    async with running(database_url, clock=clock, plans_file=tmp_path / "plans.toml") as client:
        yield client


async def post(client: Client, path: str, body: Any, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.http.post(path, json=body, headers=AUTH | sent)


async def consume_many(client: Client, amounts: Mapping[str, int], **more: str) -> httpx.Response:
    return await post(client, USAGE, {"op": "consume", "amounts": amounts} | more)


async def reserve(client: Client, amount: int, **more: Any) -> Any:
    response = await post(client, FILES, {"amount": amount} | more)
    assert response.status_code == 201, response.text
    return response.json()


async def commit(client: Client, id: str, amount: int) -> httpx.Response:
    return await post(client, f"{FILES}/{id}/commit", {"amount": amount})


async def release(client: Client, id: str) -> httpx.Response:
    return await client.http.delete(f"{FILES}/{id}", headers=AUTH)


async def used(feature: str = "storage_bytes") -> int:
    return (await limits.load("ada")).look(feature).used


async def actions(client: Client) -> list[str]:
    async with client.app.state.billing.database.reading() as session:
        entries = await session.exec(select(AuditEntry).where(col(AuditEntry.subject) == "ada"))
        return sorted(entry.action for entry in entries)


async def test_several_features_are_checked_at_once_and_nothing_is_used(client: Client) -> None:
    body = {"op": "check", "amounts": {"projects": 3, "storage_bytes": GIB + 1, "tokens": 1}}
    answer = (await post(client, USAGE, body)).json()
    assert answer["allowed"] is False
    allowed = {feature: each["allowed"] for feature, each in answer["decisions"].items()}
    assert allowed == {"projects": True, "storage_bytes": False, "tokens": False}
    assert answer["decisions"]["storage_bytes"]["requested"] == GIB + 1
    assert await used("projects") == 0
    body["amounts"] = {"projects": 3}
    assert (await post(client, USAGE, body)).json()["allowed"] is True


async def test_several_features_are_consumed_together_or_not_at_all(client: Client) -> None:
    taken = await consume_many(client, {"projects": 2, "storage_bytes": 7})
    assert (taken.status_code, taken.json()["allowed"]) == (200, True)
    assert {name: each["used"] for name, each in taken.json()["decisions"].items()} == {
        "projects": 2,
        "storage_bytes": 7,
    }
    denied = await consume_many(client, {"api_calls": 1, "projects": 2})
    assert (denied.status_code, denied.json()["feature"]) == (403, "projects")
    assert (await used("projects"), await used("api_calls")) == (2, 0)
    assert await actions(client) == ["usage.consume", "usage.consume"]


async def test_several_features_under_one_key_are_consumed_once(client: Client) -> None:
    amounts = {"projects": 1, "storage_bytes": 7}
    answers = await asyncio.gather(*(consume_many(client, amounts, key="k") for _ in range(5)))
    assert {answer.text for answer in answers} == {answers[0].text}
    assert (await used("projects"), await used()) == (1, 7)
    assert len(await actions(client)) == 2
    for other in ({"projects": 2, "storage_bytes": 7}, {**amounts, "api_calls": 1}):
        refused = await consume_many(client, other, key="k")
        assert (refused.status_code, "The key was used" in refused.json()["detail"]) == (409, True)
    assert await used("api_calls") == 0


async def test_orders_to_and_fro_of_several_features_never_wait_for_each_other(client: Client) -> None:
    there, back = {"projects": 1, "storage_bytes": 1}, {"storage_bytes": 1, "projects": 1}
    answers = await asyncio.gather(*(consume_many(client, (there, back)[n % 2]) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [403] * 5
    assert (await used("projects"), await used()) == (3, 3)


async def test_a_key_in_the_header_is_the_key_in_the_body(client: Client) -> None:
    path, body = f"{USAGE}/projects", {"op": "consume", "amount": 1}
    first = await post(client, path, body, Idempotency_Key="request-7")
    again = await post(client, path, body | {"key": "request-7"})
    both = await post(client, path, body | {"key": "request-7"}, Idempotency_Key="request-7")
    assert {each.text for each in (first, again, both)} == {first.text}
    assert await used("projects") == 1
    other = await post(client, path, body | {"amount": 2}, Idempotency_Key="request-7")
    assert other.status_code == 409
    many = {"op": "consume", "amounts": {"projects": 1}}
    assert (await post(client, USAGE, many, Idempotency_Key="request-7")).status_code == 200
    assert await used("projects") == 1


async def test_two_keys_in_one_request_are_refused(client: Client) -> None:
    await refuses_two_keys(client, f"{USAGE}/projects", {"op": "consume"})
    await refuses_two_keys(client, USAGE, {"op": "consume", "amounts": {"projects": 1}})
    await refuses_two_keys(client, FILES, {"amount": 1})
    assert (await used("projects"), await used()) == (0, 0)


async def refuses_two_keys(client: Client, path: str, body: dict[str, Any]) -> None:
    differ = await post(client, path, body | {"key": "a"}, Idempotency_Key="b")
    twice = await client.http.post(
        path, json=body, headers=[*AUTH.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    )
    for refused in (differ, twice):
        assert refused.status_code == 422
        assert "Idempotency-Key" in refused.json()["detail"]
    for wrong in ("", " ", "é", "x" * 256):
        sent = {name.encode(): value.encode() for name, value in (AUTH | {"Idempotency-Key": wrong}).items()}
        refused = await client.http.post(path, json=body, headers=sent)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


async def test_usage_under_a_key_is_set_once(client: Client) -> None:
    path, body = f"{USAGE}/projects", {"op": "set", "amount": 0, "key": "count-1"}
    assert (await post(client, path, body)).json()["used"] == 0
    await consume_many(client, {"projects": 2})
    assert (await post(client, path, body)).status_code == 200
    assert await used("projects") == 2
    assert (await post(client, path, body | {"amount": 1})).status_code == 409


async def test_a_reservation_counts_until_it_is_committed_with_what_was_used(client: Client) -> None:
    reserved = await reserve(client, GIB)
    assert (reserved["feature"], reserved["decision"]["used"]) == ("storage_bytes", GIB)
    assert (await post(client, FILES, {"amount": 1})).status_code == 403
    committed = await commit(client, reserved["id"], 5)
    assert (committed.status_code, committed.json()["used"]) == (200, 5)
    assert await used() == 5
    assert await actions(client) == ["reservation.commit", "reservation.reserve"]


async def test_a_commit_that_is_sent_again_uses_once(client: Client) -> None:
    id = (await reserve(client, 10))["id"]
    answers = await asyncio.gather(*(commit(client, id, 4) for _ in range(5)))
    assert {answer.text for answer in answers} == {answers[0].text}
    assert (answers[0].status_code, await used()) == (200, 4)
    other = await commit(client, id, 5)
    assert (other.status_code, "amount of 4" in other.json()["detail"]) == (409, True)
    released = await release(client, id)
    assert (released.status_code, "`release`" in released.json()["detail"]) == (409, True)
    assert await used() == 4


async def test_a_release_that_is_sent_again_releases_once_and_ends_the_reservation(client: Client) -> None:
    id, other = [(await reserve(client, 10))["id"] for _ in range(2)]
    answers = await asyncio.gather(*(release(client, id) for _ in range(4)))
    assert {answer.text for answer in answers} == {answers[0].text}
    assert (answers[0].status_code, await used()) == (200, 10)
    late = await commit(client, id, 1)
    assert (late.status_code, "released" in late.json()["detail"]) == (409, True)
    assert (await commit(client, other, 0)).status_code == 200
    assert await used() == 0


async def test_one_of_a_commit_and_a_release_at_once_wins(client: Client) -> None:
    id = (await reserve(client, 10))["id"]
    answers = await asyncio.gather(commit(client, id, 4), release(client, id))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert await used() == (4 if answers[0].status_code == 200 else 0)


async def test_a_reservation_under_a_key_is_held_once(client: Client) -> None:
    again = await asyncio.gather(*(reserve(client, 10, key="upload/7") for _ in range(5)))
    assert again == [again[0]] * 5
    assert await used() == 10
    by_header = await post(client, FILES, {"amount": 10}, Idempotency_Key="upload/7")
    assert by_header.json() == again[0]
    for other in ({"amount": 11}, {"amount": 10, "ttl": 61}):
        assert (await post(client, FILES, other, Idempotency_Key="upload/7")).status_code == 409
    await commit(client, again[0]["id"], 3)
    assert await reserve(client, 10, key="upload/7") == again[0]
    assert await used() == 3
    assert await actions(client) == ["reservation.commit", "reservation.reserve"]


async def test_a_denied_reservation_leaves_nothing_and_its_key_is_free(client: Client) -> None:
    assert (await post(client, FILES, {"amount": GIB + 1, "key": "k"})).status_code == 403
    assert await actions(client) == []
    assert (await reserve(client, GIB, key="k"))["amount"] == GIB


async def test_a_reservation_past_its_time_commits_as_an_ordinary_consume(
    client: Client, clock: Clock
) -> None:
    id = (await reserve(client, GIB, ttl=60))["id"]
    clock.now += 60
    assert await used() == 0
    await consume_many(client, {"storage_bytes": 10})
    assert (await commit(client, id, GIB)).status_code == 403
    assert (await commit(client, id, 5)).json()["used"] == 15
    clock.now += 7 * DAY
    assert (await commit(client, id, 5)).status_code == 404


async def test_more_than_is_held_is_committed_only_within_the_limit(client: Client, clock: Clock) -> None:
    id = (await reserve(client, GIB - 10))["id"]
    assert (await commit(client, id, GIB + 1)).status_code == 403
    assert await used() == GIB - 10
    assert (await commit(client, id, GIB)).json()["used"] == GIB


async def test_a_committed_downgrade_is_obeyed_by_reservations(client: Client, clock: Clock) -> None:
    account, subscription = await subscribe(client, clock)
    id = (await reserve(client, 2 * GIB))["id"]
    seen = len(account.events)
    account.cancel_now(subscription)
    await client.deliver(*account.events[seen:])
    assert (await post(client, FILES, {"amount": 1})).status_code == 403
    assert (await commit(client, id, 2 * GIB + 1)).status_code == 403
    assert (await commit(client, id, 2 * GIB)).json()["used"] == 2 * GIB  # what was held may be used


async def test_nobody_commits_what_another_user_or_feature_holds(client: Client) -> None:
    id = (await reserve(client, 10))["id"]
    for path in (FILES.replace("ada", "eve"), FILES.replace("storage_bytes", "projects")):
        assert (await post(client, f"{path}/{id}/commit", {"amount": 1})).status_code == 404
        assert (await client.http.delete(f"{path}/{id}", headers=AUTH)).status_code == 404
    assert (await commit(client, "nothing", 1)).status_code == 404
    assert await used() == 10


WRONG: list[tuple[str, Any, int, str]] = [
    (USAGE, {"op": "consume", "amounts": {}}, 422, "amounts"),
    (USAGE, {"op": "consume", "amounts": {"projects": 0}}, 422, "projects"),
    (USAGE, {"op": "consume", "amounts": {"projects": True}}, 422, "projects"),
    (USAGE, {"op": "check", "amounts": {"projects": -1}}, 422, "projects"),
    (USAGE, {"op": "release", "amounts": {"projects": 1}}, 422, "op"),
    (USAGE, {"op": "consume", "amounts": {"projects": 1, "nothing": 1}}, 404, "nothing"),
    (USAGE, {"op": "check", "amounts": {"nothing": 1}}, 404, "nothing"),
    (USAGE, {"op": "consume", "amounts": {"projects": 1, "sso": 1}}, 422, "sso"),
    (USAGE, {"op": "consume", "amounts": {"projects": 1}, "key": ""}, 422, "key"),
    (FILES, {"amount": 0}, 422, "amount"),
    (FILES, {"amount": 1, "ttl": 0}, 422, "ttl"),
    (FILES, {"amount": 1, "ttl": 30 * DAY + 1}, 422, "ttl"),
    (FILES, {"amount": 1, "more": 1}, 422, "more"),
    (f"{USAGE}/sso/reservations", {"amount": 1}, 422, "sso"),
    (f"{USAGE}/nothing/reservations", {"amount": 1}, 404, "nothing"),
    (f"{FILES}/x/commit", {"amount": -1}, 422, "amount"),
    (f"{FILES}/x/commit", {}, 422, "amount"),
]


async def test_what_cannot_be_is_refused_by_name(client: Client) -> None:
    for path, body, status, named in WRONG:
        refused = await post(client, path, body)
        assert (refused.status_code, named in refused.json()["detail"]) == (status, True), refused.text
    assert (await used("projects"), await used()) == (0, 0)
