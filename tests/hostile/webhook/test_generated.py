"""Generated events, documents and bytes."""

import json
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from app.inbox.handlers import HANDLERS
from app.simulator import sign
from tests.client import SECRET, Client

from .helpers import NOW, post_all, rows, service

pytestmark = pytest.mark.postgresql_in_long
HANDLED = [name for name in HANDLERS if not name.startswith("internal.")]


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


@pytest.mark.parametrize(
    "examples", [30, pytest.param(300, marks=[pytest.mark.long, pytest.mark.postgresql_in_deep])]
)
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
