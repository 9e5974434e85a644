"""Whatever comes to the webhook: never a 500, never a row without a signature, and it goes on working."""

import asyncio
import copy
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.inbox.handlers import HANDLERS
from app.simulator import NEW, OLD, Account, render_event, sign
from tests.client import SECRET, Client, running

pytestmark = pytest.mark.postgresql_in_long

NOW = 1_893_456_000
HANDLED = [name for name in HANDLERS if not name.startswith("internal.")]
numbers = itertools.count(1)


@asynccontextmanager
async def service(database_url: str) -> AsyncIterator[Client]:
    async with running(database_url, clock=lambda: NOW) as client:
        yield client
        await takes_a_normal_event(client)


async def takes_a_normal_event(client: Client) -> None:
    """The proof that nothing before has left the service any worse."""
    account = Account(next(numbers), start=NOW - 60)
    subscription = account.create_subscription(account.create_customer(user_id="ada"))
    assert set(await client.deliver(*account.events)) <= {"processed", "ignored"}
    stored = await client.read(f"/internal/subscriptions/{subscription.id}")
    assert (stored["status"], stored["user_id"]) == ("active", "ada")


async def rows(client: Client) -> int:
    async with client.app.state.billing.database.reading() as session:
        found = await (await session.connection()).execute(text("SELECT count(*) FROM billing_event"))
        number: int = found.scalar_one()
        return number


async def post_all(client: Client, bodies: Sequence[bytes]) -> list[httpx.Response]:
    """All at once, so that hostile ones share a batch with each other."""
    return list(await asyncio.gather(*(client.post_signed(body) for body in bodies)))


def payloads() -> list[dict[str, Any]]:
    """One true event for each type that is handled, in both shapes."""
    account = Account(7, start=NOW - 86_400 * 60)
    subscription = account.create_subscription(account.create_customer("ada@example.com", user_id="ada"))
    account.complete_checkout(subscription, client_reference_id="ada")
    account.renew(subscription)
    rendered = [render_event(event, shape) for event in account.events for shape in (NEW, OLD)]
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for number, payload in enumerate(rendered):
        found.setdefault((payload["data"]["object"]["object"], number % 2), payload)
    return list(found.values())


def types_of(kind: str) -> str:
    """A handled type for an object of this kind."""
    names = {"subscription": "customer.subscription.updated", "invoice": "invoice.paid"}
    return names.get(kind, "checkout.session.completed" if "checkout" in kind else "customer.updated")


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a payload, also those inside."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from paths(entry, (*path, key))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from paths(entry, (*path, number))


def replaced(payload: dict[str, Any], path: Sequence[str | int], value: Any) -> dict[str, Any]:
    """A copy with another value in one place."""
    changed = copy.deepcopy(payload)
    holder: Any = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return changed


NESTED: Any = "x"
for _ in range(200):
    NESTED = [NESTED]

WRONG: list[Any] = [
    None,
    True,
    0,
    -1,
    2**31,
    2**63 - 1,
    -(2**63),
    1.5,
    1e308,
    "",
    "text",
    "x" * 10_000,
    "\x00",
    "a\nb\x1b[31m",
    "\u202e\u200b\ufeff\U000e0001",
    "𝕊𝕦𝕓\u0301" * 80,
    "'; DROP TABLE billing_event; --",
    [],
    [None],
    [[]],
    {},
    {"id": None},
    {"id": {"id": "x"}},
    {"data": "text"},
    {"data": [None, 1, [], {}]},
    {"": {"": {}}},
    NESTED,
]


@pytest.mark.parametrize("step", [25, pytest.param(5, marks=pytest.mark.long)])
@pytest.mark.parametrize("payload", payloads(), ids=lambda payload: str(payload["data"]["object"]["object"]))
async def test_a_wrong_value_in_any_one_place_is_taken_and_harms_no_other_event(
    database_url: str, payload: dict[str, Any], step: int
) -> None:
    payload |= {"type": types_of(payload["data"]["object"]["object"])}
    places = sorted(set(paths(payload)), key=str)
    async with service(database_url) as client:
        for start, wrong in enumerate(WRONG):
            # Each value comes to some places; its neighbours, which are like it, to the others.
            bodies = []
            for place in places[start % step :: step]:
                changed = replaced(payload, place, wrong)
                if place != ("id",):
                    changed["id"] = f"evt_{next(numbers)}"
                bodies.append(orjson.dumps(changed))
            answers = await post_all(client, bodies)
            assert {answer.status_code for answer in answers} <= {200}, (wrong, answers)
        assert (await client.get("/internal/events")).status_code == 200


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


texts = st.text(st.characters(), max_size=20)
surrogates = st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | texts
    | surrogates
    | st.sampled_from(["evt_1", "cus_1", "sub_1", "active", "paid", "customer", "subscription", "invoice"])
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
WORDS = (
    "id object customer subscription status items data price quantity metadata user_id period end lines "
    "parent type plan recurring created current_period_end cancel_at pause_collection client_reference_id "
    "deleted subscription_details subscription_item_details status_transitions email attempt_count "
    "amount_paid"
)
KEYS = WORDS.split()
known_keys = st.sampled_from(KEYS)
objects = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(known_keys, inner, max_size=5),
    max_leaves=25,
)
events = st.fixed_dictionaries(
    {
        "type": st.sampled_from(HANDLED) | documents,
        "created": st.just(NOW) | st.integers(NOW, NOW + 1) | documents,
        "data": st.fixed_dictionaries(
            {
                "object": st.fixed_dictionaries(
                    {
                        "id": st.sampled_from(["cus_1", "sub_1", "in_1"]) | documents,
                        "object": st.sampled_from(["customer", "subscription", "invoice"]) | documents,
                    },
                    optional={key: objects for key in KEYS if key not in ("id", "object")},
                )
                | documents
            },
            optional={"previous_attributes": objects | documents},
        )
        | documents,
    },
    optional={"id": documents, "livemode": documents, "account": documents, "object": documents},
)


def as_json(value: Any) -> bytes:
    """Also what no JSON has: NaN, Infinity, lone surrogates in their escapes."""
    return json.dumps(value).encode()


@pytest.mark.parametrize("examples", [60, pytest.param(300, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["events", "documents"])
async def test_generated_events_are_taken_and_generated_documents_answered(
    database_url: str, kind: str, examples: int
) -> None:
    async with service(database_url) as client:
        generated = events if kind == "events" else st.dictionaries(texts, documents, max_size=4)
        batch: list[bytes] = []

        @seed(20)
        @settings(max_examples=examples if kind == "events" else examples // 3, database=None)
        @given(generated)
        def collect(payload: Any) -> None:
            batch.append(as_json(payload if kind == "events" else {"object": "event"} | payload))

        collect()
        for start in range(0, len(batch), 16):
            answers = await post_all(client, batch[start : start + 16])
            for body, answer in zip(batch[start:], answers, strict=False):
                assert answer.status_code == 200, (body, answer.text)
                assert b"\\u0000" in body or answer.json()["event_id"].isprintable()
        assert await rows(client) > examples // 6
        await client.app.state.billing.worker.retry_due()
        assert (await client.get("/internal/events", limit=100)).status_code == 200


async def test_generated_bytes_without_a_signature_leave_no_row(database_url: str) -> None:
    async with service(database_url) as client:
        sent: list[tuple[bytes, list[tuple[bytes, bytes]]]] = []
        right = sign(b"{}", SECRET, NOW).encode()
        values = st.binary(max_size=60) | st.sampled_from([right, right[:-1], right + b",v1=", right.upper()])
        names = st.sampled_from([b"stripe-signature", b"content-length", b"content-type", b"x", b"cookie"])

        @seed(21)
        @settings(max_examples=200, database=None)
        @given(st.binary(max_size=100), st.lists(st.tuples(names, values), max_size=4))
        def collect(body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
            sent.append((body, headers))

        collect()
        for body, headers in sent:
            status = await bare(client, body, headers)
            allowed = (200, 400, 413) if body == b"{}" else (400, 413)
            assert status in allowed, (body, headers)
        signed = sum(body == b"{}" for body, _ in sent)
        assert await rows(client) <= min(signed, 1)


async def bare(client: Client, body: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    """The status for a request of exactly these headers, past all that a client would correct."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/webhook/stripe",
        "raw_path": b"/webhook/stripe",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("billing.test", 80),
        "client": ("127.0.0.1", 1),
        "state": {},
    }
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await client.app(scope, receive, send)
    status: int = messages[0]["status"]
    return status
