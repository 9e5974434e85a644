"""Who is let in, beyond the forms of the key that `internal/test_internal_api` goes through."""

import hashlib
import hmac

import pytest
from pydantic import SecretStr

from tests.client import AUTH, KEY, running

NEW_KEY = "test-key-that-comes-after-the-other-0002"
UPDATE = {
    "customer_id": "cus_XXX",
    "subscription_id": "sub_XXX",
    "plan_id": "price_XXX",
    "start_date": 1_893_456_000,
    "expiry_date": 1_896_134_400,
    "status": "active",
}


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


async def test_while_a_key_is_rolled_each_of_them_is_taken(sqlite_database: str) -> None:
    keys = (SecretStr(KEY), SecretStr(NEW_KEY))
    async with running(sqlite_database, internal_api_key=keys) as client:
        for key in (KEY, NEW_KEY):
            response = await client.http.get("/internal/events", headers={"X-API-Key": key})
            assert response.status_code == 200, key
        both = {"X-API-Key": f"{KEY},{NEW_KEY}"}
        assert (await client.http.get("/internal/events", headers=both)).status_code == 401


async def test_a_match_does_not_spare_the_other_keys_the_comparison(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def recording(key: bytes, sent: bytes) -> bool:
        compared.append((key, sent))
        return compare(key, sent)

    keys = (SecretStr(KEY), SecretStr(NEW_KEY))
    async with running(sqlite_database, internal_api_key=keys) as client:
        monkeypatch.setattr(hmac, "compare_digest", recording)
        assert (await client.http.get("/internal/events", headers=AUTH)).status_code == 200
    assert compared == [(digest(KEY), digest(KEY)), (digest(NEW_KEY), digest(KEY))]


@pytest.mark.parametrize(
    "key",
    [
        "test-key-of-many-letters-ends-in-à",
        "test-key-of-many-letters-ends-in-Å",
        "\u0160-starts-the-test-key-of-letters",
    ],
)
async def test_a_key_beyond_ascii_is_taken_as_its_utf8_bytes(sqlite_database: str, key: str) -> None:
    """The last byte of à is 0xA0, that of Å 0x85: white space, were they text."""
    async with running(sqlite_database, internal_api_key=(SecretStr(key),)) as client:
        for headers in ({b"X-API-Key": key.encode()}, {b"Authorization": b"X-API-Key: " + key.encode()}):
            assert (await client.http.get("/internal/events", headers=headers)).status_code == 200


@pytest.mark.parametrize("sent", [b"\xa0" + KEY.encode(), KEY.encode() + b"\x85"])
async def test_a_byte_more_is_another_key(sqlite_database: str, sent: bytes) -> None:
    async with running(sqlite_database) as client:
        assert (await client.http.get("/internal/events", headers={b"X-API-Key": sent})).status_code == 401


async def test_without_the_right_key_nothing_changes(database_url: str) -> None:
    async with running(database_url) as client:
        assert (await client.http.post("/internal/subscription/update", json=UPDATE)).status_code == 401
        stored = await client.http.post("/internal/subscription/update", json=UPDATE, headers=AUTH)
        assert stored.status_code == 200
        for headers in ({}, {"X-API-Key": NEW_KEY}):
            refused = [
                await client.http.post(
                    "/internal/subscription/update", json=UPDATE | {"status": "unpaid"}, headers=headers
                ),
                await client.http.put(
                    "/internal/customers/cus_XXX", json={"user_id": "user_1"}, headers=headers
                ),
            ]
            assert [response.status_code for response in refused] == [401, 401]
        assert await client.read("/internal/subscriptions/sub_XXX") == stored.json()
        assert len((await client.read("/internal/events"))["data"]) == 1
