"""The envelope, and what the objects inside say in every API shape."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidPayload, MalformedEvent
from app.stripe.events import StripeEvent, parse
from app.stripe.invoice_lines import paid_lines
from app.stripe.objects import (
    customer_values,
    invoice_values,
    subscription_items,
    subscription_values,
)

from .. import SHARED

SAMPLES = SHARED / "stripe-ruby-mock"
MONTH_START, MONTH_END = 1_893_456_000, 1_896_134_400

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def event_of(payload: Any) -> StripeEvent:
    return parse(json.dumps(payload).encode())


def envelope(**changes: Any) -> dict[str, Any]:
    content = {"id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active"}
    whole = {
        "id": "evt_1",
        "type": "customer.subscription.updated",
        "created": 1,
        "data": {"object": content},
    }
    return whole | changes


@pytest.mark.parametrize(
    "body", [b"\xff", b"", b"[]", b"1", b"null", b'"x"', b"{", b"\xef\xbb\xbf{}", b"[" * 9999]
)
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidPayload):
        parse(body)


@pytest.mark.long
@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_any_json_object_makes_an_event(payload: dict[str, Any]) -> None:
    event = event_of(payload)
    assert 0 < len(event.id) <= 255


@pytest.mark.parametrize("key", ["id", "type", "created", "data"])
@pytest.mark.parametrize("value", [None, "", [], {}, True, -1, "x" * 256, "a\nb", 2**70])
def test_an_envelope_with_a_wrong_member_says_which(key: str, value: object) -> None:
    event = event_of(envelope(**{key: value}))
    if key == "type" and value == "a\nb":
        assert event.type == "a\nb"  # no type that anything handles, and none that breaks anything
    else:
        assert event.problem
        assert key in event.problem


def test_an_event_without_an_id_is_kept_under_its_bodys_own() -> None:
    first, again, other = event_of({"a": 1}), event_of({"a": 1}), event_of({"a": 2})
    assert first.id == again.id != other.id
    assert first.id.startswith("unidentified_")


def test_escaped_nul_and_lone_surrogates_do_not_reach_the_database() -> None:
    content = envelope()["data"]["object"] | {"metadata": {"a\u0000": "x\u0000y", "b": "\ud800"}}
    event = event_of(envelope(data={"object": content}))
    assert event.object["metadata"] == {"a": "xy", "b": "?"}


def test_a_body_nested_beyond_reason_is_refused_and_not_a_crash() -> None:
    deep = '{"data":' * 900 + '"\\u0000"' + "}" * 900
    with pytest.raises(InvalidPayload):
        parse(deep.encode())


def test_a_thin_event_names_its_object_and_its_time() -> None:
    event = event_of(
        {
            "id": "evt_thin",
            "object": "v2.core.event",
            "type": "v1.customer.subscription.updated",
            "created": "2030-01-01T00:00:00.000Z",
            "related_object": {"id": "sub_1", "type": "subscription", "url": "/v1/subscriptions/sub_1"},
        }
    )
    assert (event.thin, event.object_id, event.created, event.problem) == (True, "sub_1", MONTH_START, None)
    assert event.names["subscription"] == {"sub_1"}


def item(**changes: Any) -> dict[str, Any]:
    price = {
        "id": "price_1",
        "product": "prod_1",
        "unit_amount": 900,
        "currency": "eur",
        "recurring": {"interval": "month", "interval_count": 1},
    }
    return {"id": "si_1", "price": price, "quantity": 2} | changes


def subscription(**changes: Any) -> dict[str, Any]:
    base = {"id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "start_date": 5}
    return base | {"items": {"data": [item()]}} | changes


PERIOD = {"current_period_start": MONTH_START, "current_period_end": MONTH_END}


def test_an_item_of_a_plan_reads_like_one_of_a_price() -> None:
    plan = {
        "id": "price_1",
        "product": "prod_1",
        "amount": 900,
        "currency": "eur",
        "interval": "month",
        "interval_count": 1,
    }
    old = subscription(items={"data": [{"id": "si_1", "plan": plan, "quantity": 2}]})
    bare = subscription(items=None, plan=plan, quantity=2)
    new = subscription_items(subscription())
    assert subscription_items(old) == new
    assert subscription_items(bare) == [new[0] | {"item_id": None}]


@pytest.mark.parametrize("changes", [{"customer": None}, {"customer": 5}, {"status": None}, {"status": 1}])
def test_a_subscription_without_customer_or_status_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedEvent):
        subscription_values(subscription(**changes))


@pytest.mark.long
@given(
    st.dictionaries(st.sampled_from([*subscription(**PERIOD), "pause_collection", "metadata"]), json_values)
)
def test_no_content_of_a_subscription_crashes_its_reader(changes: dict[str, Any]) -> None:
    try:
        content = subscription() | changes
        values = subscription_values(content) | {"items": subscription_items(content)}
    except MalformedEvent:
        return
    json.dumps(values, allow_nan=False)


PRICE = {"id": "price_1", "object": "price"}
OLD_LINE: dict[str, Any] = {
    "type": "subscription",
    "subscription": "sub_1",
    "subscription_item": "si_1",
    "price": PRICE,
    "amount": 900,
    "proration": False,
    "period": {"end": MONTH_END},
}
NEW_LINE: dict[str, Any] = {
    "parent": {
        "type": "subscription_item_details",
        "subscription_item_details": {
            "subscription": "sub_1",
            "subscription_item": "si_1",
            "proration": False,
        },
    },
    "pricing": {"price_details": {"price": "price_1"}},
    "amount": 900,
    "period": {"end": MONTH_END},
}
NEW_PRORATION = {
    "type": "subscription_item_details",
    "subscription_item_details": {"subscription": "sub_1", "subscription_item": "si_1", "proration": True},
}
OTHER_LINES: list[Any] = [
    {"type": "invoiceitem", "subscription": "sub_1", "period": {"end": MONTH_END + 1}},
    {"parent": {"invoice_item_details": {"subscription": "sub_1"}}, "period": {"end": MONTH_END + 1}},
    OLD_LINE | {"proration": True, "period": {"end": MONTH_END + 1}},
    NEW_LINE | {"parent": NEW_PRORATION, "period": {"end": MONTH_END + 1}},
    None,
    {"period": None},
]


@pytest.mark.parametrize("line", [OLD_LINE, NEW_LINE], ids=["before basil", "since basil"])
def test_the_lines_that_pay_for_a_time_are_neither_prorations_nor_credits(line: dict[str, Any]) -> None:
    credit = line | {"amount": -900, "period": {"end": MONTH_END + 1}}
    free = line | {"amount": 0, "period": {"end": MONTH_START}}
    lines = {"data": [free, credit, line, *OTHER_LINES]}
    assert paid_lines({"lines": lines}) == [
        ("sub_1", "si_1", "price_1", MONTH_START),
        ("sub_1", "si_1", "price_1", MONTH_END),
    ]


@pytest.mark.parametrize(
    "where",
    [{"subscription": "sub_1"}, {"parent": {"subscription_details": {"subscription": "sub_1"}}}],
)
def test_an_invoices_subscription_is_found_in_every_shape(where: dict[str, Any]) -> None:
    assert invoice_values({"id": "in_1", "status": "open", **where})["subscription_id"] == "sub_1"


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared sample events are not beside this checkout")
@pytest.mark.parametrize("kind", ["customer.subscription", "invoice", "customer", "checkout.session"])
def test_real_older_events_are_read_without_a_problem(kind: str) -> None:
    readers = {
        "subscription": subscription_values,
        "invoice": invoice_values,
        "customer": customer_values,
    }
    files = sorted(SAMPLES.glob(f"{kind}.*.json"))
    assert files
    for file in files:
        event = parse(file.read_bytes())
        assert event.problem is None or "id" in event.problem, file.name
        if reader := readers.get(event.object.get("object", "")):
            assert reader(event.object)["livemode"] in (False, None), file.name
