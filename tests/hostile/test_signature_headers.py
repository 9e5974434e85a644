"""Odd signature headers; tests of signatures and of the webhook have the plain ones."""

import hashlib
import hmac
from collections.abc import AsyncIterator

import orjson
import pytest
from pydantic import SecretStr

from app.errors import InvalidSignature
from app.simulator import sign
from app.stripe.signatures import verify
from tests.client import SECRET, Client, running

from .webhook.helpers import rows, takes_a_normal_event

NOW = 1_893_456_000
OTHER = "whsec_test_of_another_endpoint"
OBJECT = {"id": "cus_1", "object": "customer"}
BODY = orjson.dumps({"id": "evt_1", "type": "customer.updated", "created": NOW, "data": {"object": OBJECT}})


def mac(timestamp: str, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + BODY, hashlib.sha256).hexdigest()


RIGHT, WRONG = mac(str(NOW)), mac(str(NOW), OTHER)


@pytest.mark.parametrize("digits", [30, 310, 4_000])
@pytest.mark.parametrize("sign_of_it", ["", "-"])
def test_a_signed_time_of_any_size_is_refused_and_breaks_no_arithmetic(digits: int, sign_of_it: str) -> None:
    huge = sign_of_it + "9" * digits
    with pytest.raises(InvalidSignature, match="replay" if sign_of_it else "future"):
        verify(BODY, f"t={huge},v1={mac(huge)}", [SECRET], float(NOW))


@pytest.mark.parametrize(
    "header",
    [
        f"t={NOW},v1={RIGHT}",
        f"v1={RIGHT},t={NOW}",
        f"t={NOW},v1={WRONG},v1={RIGHT}",
        f"t={NOW},v1={RIGHT},v1={WRONG}",
        f"t={NOW},v0={WRONG},v1={RIGHT},v2=x,",
        f",,t={NOW},,v1={RIGHT},",
        f"t={NOW},v1={RIGHT},t={NOW - 10_000}",
        f"t={NOW},{','.join(['v1=' + WRONG] * 100)},v1={RIGHT}",
    ],
)
async def test_a_right_signature_counts_wherever_it_stands(sqlite_database: str, header: str) -> None:
    async with running(sqlite_database, clock=lambda: NOW) as client:
        answer = await client.http.post(
            "/webhook/stripe", content=BODY, headers={"Stripe-Signature": header[:15_000]}
        )
        assert answer.status_code == 200, answer.text
        assert await rows(client) == 1


@pytest.mark.parametrize(
    "header",
    [
        f"t={NOW},v1={WRONG}".encode(),
        f"t={NOW},v1={WRONG},v1={mac(str(NOW + 1))}".encode(),
        f"t={NOW},v1={RIGHT[:32]}".encode(),
        f"t={NOW},v1={RIGHT}0".encode(),
        f"t={NOW},v1={RIGHT.upper()}".encode(),
        f"t={NOW},v0={RIGHT}".encode(),
        f"t={NOW},V1={RIGHT}".encode(),
        f"t={NOW}, v1={RIGHT}".encode(),
        f"t={NOW} v1={RIGHT}".encode(),
        f"t={NOW};v1={RIGHT}".encode(),
        f"t={NOW},v1 ={RIGHT}".encode(),
        f"t={NOW},v1= {RIGHT}".encode(),
        f"T={NOW},v1={RIGHT}".encode(),
        f'"t={NOW},v1={RIGHT}"'.encode(),
        f"v1={RIGHT}".encode(),
        f"t={NOW - 10_000},v1={RIGHT},t={NOW}".encode(),
        f"t={NOW}.5,v1={RIGHT}".encode(),
        f"t=0x70dbd880,v1={RIGHT}".encode(),
        f"t={NOW},v1={RIGHT}".encode() + b"\xff",
        f"t={NOW},v1=".encode() + b"\xc3\xa9" * 32,
        b"t=\xb2,v1=" + RIGHT.encode(),
        b"\x80\x81\x82",
        b"," * 15_000,
        b"=" * 15_000,
        f"t={NOW}{',v1=' * 3_000}".encode(),
    ],
)
@pytest.mark.rest_in_long(12)
async def test_any_other_signature_is_400_and_leaves_no_row(sqlite_database: str, header: bytes) -> None:
    async with running(sqlite_database, clock=lambda: NOW) as client:
        headers = {b"Stripe-Signature": header}
        answer = await client.http.post("/webhook/stripe", content=BODY, headers=headers)
        assert (answer.status_code, answer.json()["title"]) == (400, "Invalid signature")
        assert await rows(client) == 0
        await takes_a_normal_event(client)


@pytest.fixture
async def client(sqlite_database: str) -> AsyncIterator[Client]:
    async with running(sqlite_database, clock=lambda: NOW) as client:
        yield client


@pytest.mark.parametrize("second", [f"t={NOW},v1={WRONG}", f"t={NOW},v1={RIGHT}", ""])
async def test_two_headers_are_400_whichever_of_them_is_right(client: Client, second: str) -> None:
    right = ("Stripe-Signature", f"t={NOW},v1={RIGHT}")
    for pair in ([right, ("stripe-signature", second)], [("STRIPE-SIGNATURE", second), right]):
        answer = await client.http.post("/webhook/stripe", content=BODY, headers=pair)
        assert answer.status_code == 400
    assert await rows(client) == 0


async def test_a_delivery_that_is_replayed_after_its_time_is_400(sqlite_database: str) -> None:
    now = NOW
    async with running(sqlite_database, clock=lambda: now) as client:
        headers = {"Stripe-Signature": sign(BODY, SECRET, NOW)}
        statuses = []
        for now in (NOW, NOW + 300, NOW + 301):  # noqa: B007 # the clock reads it
            answer = await client.http.post("/webhook/stripe", content=BODY, headers=headers)
            statuses.append((answer.status_code, answer.json().get("status")))
        assert statuses == [(200, "processed"), (200, "duplicate"), (400, 400)]
        assert await rows(client) == 1


async def test_a_secret_counts_until_it_is_taken_out(sqlite_database: str) -> None:
    headers = {"Stripe-Signature": sign(BODY, OTHER, NOW)}
    for secrets, expected in (
        ((SecretStr(SECRET), SecretStr(OTHER)), 200),
        ((SecretStr(OTHER), SecretStr(SECRET)), 200),
        ((SecretStr(SECRET),), 400),
    ):
        async with running(sqlite_database, clock=lambda: NOW, stripe_webhook_secret=secrets) as client:
            answer = await client.http.post("/webhook/stripe", content=BODY, headers=headers)
            assert answer.status_code == expected


@pytest.mark.parametrize("size", [1, 7, len(BODY)])
async def test_a_body_in_chunks_is_verified_as_a_whole(client: Client, size: int) -> None:
    async def chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    headers = {"Stripe-Signature": f"t={NOW},v1={RIGHT}"}
    for body, expected in ((BODY + b" ", 400), (BODY[:-1], 400), (BODY, 200)):
        answer = await client.http.post("/webhook/stripe", content=chunks(body), headers=headers)
        assert answer.status_code == expected
    assert await rows(client) == 1
