"""Which API keys are accepted, how they are written, and that the audit trail names them."""

import hashlib
import math
import random
import string
from typing import Any

import pytest
from pydantic import SecretStr
from sqlmodel import select

from app.api_keys import find_key, new_key, read_key
from app.config import Settings, check_signing_secret
from app.db.models import AuditEntry

from .client import KEY, SECRET, Client, running, settings_for

UPDATE = {
    "customer_id": "cus_XXX",
    "subscription_id": "sub_XXX",
    "plan_id": "price_XXX",
    "start_date": 1_893_456_000,
    "expiry_date": 1_896_134_400,
    "status": "active",
}
NAMED = "test-key-of-the-billing-page-0002"
READING = "test-key-that-only-reads-000003"


ALPHABETS = {
    "hexadecimal": "0123456789abcdef",
    "base64url": string.ascii_letters + string.digits + "-_",
    # Without the comma, which separates keys, and the sign that ends a name.
    "with punctuation": "".join(sorted(set(string.printable) - set(string.whitespace) - set(",="))),
}


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_random_keys_of_128_bits_are_accepted(alphabet: str) -> None:
    rng, characters = random.Random(1), ALPHABETS[alphabet]
    length = 40 if alphabet == "with punctuation" else math.ceil(128 / math.log2(len(characters)))
    for _ in range(5_000):
        key = "".join(rng.choices(characters, k=length))
        assert find_key([read_key(key)], key.encode()) is not None


def test_a_key_that_the_command_makes_is_accepted() -> None:
    assert read_key(new_key()).name.startswith("sha256:")


@pytest.mark.parametrize(
    "part",
    ["xXxX", "XXXX", "your-", "YoUr_", "_Your-", "<", ">", "<a>", "..", "change", "key", "<aB3->"],
)
def test_a_random_key_is_accepted_although_part_of_a_placeholder_occurs_in_it(part: str) -> None:
    random_part = "k9Q2mZr7LwB4tYs8VdN3gHj6"
    for place in (0, 7, len(random_part)):
        key = random_part[:place] + part + random_part[place:]
        assert find_key([read_key(key)], key.encode()) is not None
    check_signing_secret(f"whsec_{random_part[:9]}{part}{random_part[9:]}")


@pytest.mark.parametrize(
    "weak",
    [
        "short",
        "a" * 64,
        "abcabcabcabcabcabcabcabcabcabcabcabc",
        "0123456789abcdef0123456789abcd",
        "12345678901234567890",
    ],
)
def test_a_key_that_could_be_guessed_is_refused_with_how_to_make_one(weak: str) -> None:
    with pytest.raises(ValueError, match="keys new") as caught:
        read_key(weak)
    assert weak not in str(caught.value)


@pytest.mark.parametrize(
    "placeholder",
    [
        "change-me-change-me-change-me-change-me",
        "your-internal-api-key-goes-in-here-please",
        "<a long random key of at least 32 bytes>",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxabcdefghijkl",
        "XXXX-XXXX-XXXX-XXXX-0123456789-ABCDEFGHIJ",
        "YOUR_INTERNAL_API_KEY_0123456789_ABCDEFGH",
        "<internal_api_key_of_the_billing_service>",
        "<insert a very long and random line here>",
        "the-key-of-the-internal-api-0123456789...",
    ],
)
def test_a_placeholder_stops_the_start(placeholder: str) -> None:
    with pytest.raises(ValueError, match="placeholder"):
        read_key(placeholder)


@pytest.mark.parametrize(
    "secret",
    [
        "whsec_",
        "whsec_short",
        "sk_test_fake_0123456789abcdef",
        "whsec_your_secret_here_0000",
        "whsec_xxxxxxxxxxxxxxxxxxxxxxxx",
        "whsec_0123456789abcdef...",
    ],
)
def test_a_signing_secret_that_is_none_stops_the_start(secret: str) -> None:
    with pytest.raises(ValueError, match=r"whsec_|placeholder") as caught:
        settings_for("sqlite://", stripe_webhook_secret=(SecretStr(secret),))
    assert "short" not in str(caught.value).replace("cut short", "")


def test_a_name_stands_before_the_key_and_base64_padding_is_no_name() -> None:
    assert read_key(f"billing-page={NAMED}").name == "billing-page"
    padded = "q83vq83vq83vq83vq83vq83vABCDEF=="
    assert find_key([read_key(padded)], padded.encode()) is not None
    assert read_key(padded).name.startswith("sha256:")


def test_a_digest_is_as_good_as_the_key() -> None:
    digest = hashlib.sha256(NAMED.encode()).hexdigest()
    key = read_key(f"page=sha256:{digest}")
    assert find_key([key], NAMED.encode()) is key
    assert find_key([key], f"sha256:{digest}".encode()) is None
    with pytest.raises(ValueError, match="64 hexadecimal"):
        read_key("sha256:abc")


def keys() -> dict[str, Any]:
    digest = hashlib.sha256(NAMED.encode()).hexdigest()
    return {
        "internal_api_key": (SecretStr(KEY), SecretStr(f"billing-page=sha256:{digest}")),
        "internal_api_read_key": (SecretStr(f"dashboard={READING}"),),
    }


async def test_a_read_only_key_reads_and_changes_nothing(sqlite_database: str) -> None:
    async with running(sqlite_database, **keys()) as client:
        headers = {"X-API-Key": READING}
        assert (await client.http.get("/internal/events", headers=headers)).status_code == 200
        refused = await client.http.post("/internal/subscription/update", json=UPDATE, headers=headers)
        assert refused.status_code == 403
        assert "INTERNAL_API_KEY" in refused.json()["detail"]
        assert (await client.read("/internal/events"))["data"] == []


async def trail(client: Client) -> list[AuditEntry]:
    async with client.app.state.billing.database.reading() as session:
        return list(await session.exec(select(AuditEntry).order_by(AuditEntry.id)))


async def test_every_change_is_in_the_trail_with_who_what_before_and_after(database_url: str) -> None:
    async with running(database_url, **keys()) as client:
        headers = {"X-API-Key": NAMED, "X-Request-Id": "request-7"}
        calls: list[tuple[str, str, Any]] = [
            ("POST", "/internal/subscription/update", UPDATE | {"user_id": "ada"}),
            ("POST", "/internal/subscription/update", UPDATE | {"status": "unpaid"}),
            ("PUT", "/internal/customers/cus_XXX", {"user_id": "bob"}),
            (
                "PUT",
                "/internal/users/bob/overrides/projects",
                {"op": "set", "value": 9, "reason": "promised", "actor": "ada"},
            ),
            ("POST", "/internal/users/bob/usage/projects", {"op": "consume", "amount": 2}),
            ("POST", "/internal/users/bob/usage/projects", {"op": "check", "amount": 2}),
            ("POST", "/internal/users/bob/preview", {"plan": "free"}),
            ("DELETE", "/internal/users/bob/overrides/projects", None),
            ("POST", "/internal/events/replay", {"state": "dead"}),
        ]
        for method, path, body in calls:
            response = await client.http.request(method, path, json=body, headers=headers)
            assert response.status_code in (200, 204), response.text
            assert response.headers["X-Request-Id"] == "request-7"
        entries = await trail(client)
        assert {entry.actor for entry in entries} == {"billing-page"}
        assert {entry.request_id for entry in entries if entry.action.startswith(("over", "usage"))} == {
            "request-7"
        }
        assert [(entry.action, entry.subject) for entry in entries] == [
            ("subscription.updated", "sub_XXX"),
            ("subscription.updated", "sub_XXX"),
            ("customer.linked", "cus_XXX"),
            ("override.set", "bob"),
            ("usage.consume", "bob"),
            ("override.ended", "bob"),
            ("events.replay", "*"),
        ]
        first, second, linked, put, consumed, *_ = entries
        assert first.before is None
        assert second.before is not None
        assert second.after is not None
        assert (second.before["status"], second.after["status"]) == ("active", "unpaid")
        assert (linked.before, linked.after) == ({"user_id": "ada"}, {"user_id": "bob"})
        assert put.after is not None
        assert put.after["value"] == 9
        assert consumed.before == {"feature": "projects", "used": 0}
        assert consumed.after == {"feature": "projects", "used": 2, "amount": 2, "key": None}


async def test_a_change_that_was_refused_is_not_in_the_trail(database_url: str) -> None:
    async with running(database_url, **keys()) as client:
        headers = {"X-API-Key": NAMED}
        for path, body in (
            ("/internal/users/bob/usage/projects", {"op": "consume", "amount": 1000}),
            ("/internal/users/bob/usage/projects", {"op": "consume", "amount": -1}),
        ):
            assert (await client.http.post(path, json=body, headers=headers)).status_code >= 400
        unknown = await client.http.put(
            "/internal/customers/cus_none", json={"user_id": "bob"}, headers=headers
        )
        assert unknown.status_code == 404
        assert await trail(client) == []


async def test_a_request_id_that_could_forge_a_log_line_is_replaced(sqlite_database: str) -> None:
    async with running(sqlite_database) as client:
        for sent in ("a b", "x" * 65, '"}{"'):
            response = await client.get("/internal/events")
            forged = await client.http.get(
                "/internal/events", headers={"X-API-Key": KEY, "X-Request-Id": sent}
            )
            assert forged.headers["X-Request-Id"] not in (sent, response.headers["X-Request-Id"])


def test_no_key_shows_in_the_settings() -> None:
    settings = settings_for("sqlite://", **keys())
    shown = repr(settings) + repr(settings.api_keys)
    assert not any(secret in shown for secret in (KEY, NAMED, READING, SECRET))
    assert isinstance(settings, Settings)
