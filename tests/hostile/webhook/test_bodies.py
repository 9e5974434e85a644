"""Whatever Stripe signed is kept if it is an event, and refused if it is none."""

import pytest

from .helpers import numbers, post_all, rows, service

pytestmark = pytest.mark.postgresql_in_long


def event_text(**members: str) -> bytes:
    """An event of JSON texts, which need not be what any library writes."""
    content = {
        "id": f'"evt_{next(numbers)}"',
        "type": '"customer.updated"',
        "created": "1893456000",
        "data": '{"object": {"id": "cus_1", "object": "customer"}}',
    } | members
    return ("{" + ", ".join(f'"{key}": {value}' for key, value in content.items()) + "}").encode()


def data(member: str) -> str:
    return '{"object": {"id": "cus_1", "object": "customer", ' + member + "}}"


DEEP = 100_000
TAKEN = [
    event_text(created="1e400"),
    event_text(created="-1e400"),
    event_text(created="1e18"),
    event_text(created="18446744073709551616"),
    event_text(created="1" + "0" * 400),
    event_text(created="-1"),
    event_text(created="1893456000.0"),
    event_text(created="true"),
    event_text(created='"0001-01-01T00:00:00"'),
    event_text(created='"9999-12-31T23:59:59-23:59"'),
    event_text(created='"2030-01-01T00:00:00+24:00"'),
    event_text(created="NaN"),
    event_text(created="-Infinity"),
    event_text(id='"\\u0000"'),
    event_text(id='"\\ud800"'),
    event_text(id='"evt_\\u0000\\ud83d\\ude00"'),
    event_text(id='"' + "e" * 1_000 + '"'),
    event_text(id='" "'),
    event_text(id="[]"),
    event_text(type='"customer.updated\\u0000"'),
    event_text(type='"customer.updated\\ud800"'),
    event_text(type="{}"),
    event_text(type='"__class__"'),
    event_text(type='"ANY"'),
    event_text(api_version='"\\ud800\\u0000"'),
    event_text(account="{}"),
    event_text(data="[]"),
    event_text(data='{"object": []}'),
    event_text(data='{"object": {}}'),
    event_text(data='{"object": {"object": []}}'),
    event_text(data='{"object": {"object": {}, "id": "cus_1"}}'),
    event_text(data='{"object": {"object": "customer", "id": "cus_1"}, "previous_attributes": [1]}'),
    event_text(data=data('"email": "\\ud800\\u0000"')),
    event_text(data=data('"metadata": {"user_id": "\\ud800"}')),
    event_text(data=data('"metadata": {"\\u0000": "\\u0000", "": ""}')),
    event_text(data=data('"metadata": {"user_id": ["ada"], "x": {}}')),
    event_text(data=data('"metadata": []')),
    event_text(data=data('"email": ' + "9" * 4_000)),
    event_text(data=data('"deep": ' + "[" * 500 + "]" * 500)),
    event_text(data=data('"id": "cus_2", "id": "cus_3", "object": 1, "object": "customer"')),
    b'{"id": "evt_a", "id": "evt_b", "created": 1, "created": "x", "type": 1, "type": "customer.updated"}',
    b'{"object": "event"}',
    b'{"object": "event", "": null}',
    b'\r\n\t {"id": "evt_spaces"} \n',
]
REFUSED = [
    b"",
    b"{}",
    b'{"": null}',
    b'{"id": "cus_1", "object": "customer"}',
    b"\x00",
    b"\xef\xbb\xbf{}",
    b"{}\x00",
    b"\xff\xfe{\x00}\x00",
    b"\xc0\xaf",
    b'{"id": "\xed\xa0\x80"}',
    b'{"id": "evt_1"',
    b'{"id": "a\nb"}',
    b"{'id': 'evt_1'}",
    b'{"id": 1,}',
    b"{} {}",
    b"[]",
    b'[{"id": "evt_1"}]',
    b"1e400",
    b"null",
    b'"evt_1"',
    b"[" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b'{"a": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"n": ' + b"9" * 5_000 + b', "s": "\\ud800"}',
    b"t=1,v1=abc",
]


@pytest.mark.parametrize("shift", range(2))
async def test_any_json_object_that_stripe_signed_is_kept(database_url: str, shift: int) -> None:
    async with service(database_url) as client:
        bodies = TAKEN[shift::2]
        answers = await post_all(client, bodies)
        assert [answer.status_code for answer in answers] == [200] * len(bodies)
        for answer in answers:
            assert answer.json()["status"] in ("processed", "ignored", "deferred")
        assert await rows(client) == len(bodies)
        again = await post_all(client, bodies)
        assert {answer.json()["status"] for answer in again} == {"duplicate"}
        assert await rows(client) == len(bodies)


async def test_whatever_else_stripe_signs_is_400_and_leaves_no_row(database_url: str) -> None:
    async with service(database_url) as client:
        for body in REFUSED:
            answer = await client.post_signed(body)
            assert answer.status_code == 400, body[:50]
            assert answer.headers["content-type"] == "application/problem+json"
        assert await rows(client) == 0
