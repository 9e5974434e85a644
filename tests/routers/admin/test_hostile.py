"""What strangers may write into Stripe's fields is shown as text, on every page."""

from typing import Any

import orjson
import pytest

from app.models import AuditEntry, Customer, Invoice, OutboxEntry, Override, Subscription, WebhookEvent
from app.routers.admin.text import plain, shown, web_address

from .visitor import START, logged_in, words

TAG = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>"
RIGHT_TO_LEFT = "\u202egnp.exe‏ שלום"
CONTROL = "bell\x07 escape\x1b[31m line\u2028end"
LONG = "a" * 10_000 + "@example.com"
HOSTILE = (TAG, RIGHT_TO_LEFT, CONTROL, LONG)
PATHS = (
    "/user?id=user_h",
    "/event?id=evt_h",
    "/subscriptions",
    "/customers",
    "/invoices",
    "/events",
    "/outbox",
    "/audit",
    "/action/replay?event=evt_h",
)


def rows(text: str) -> list[object]:
    """A row of each table, with the text wherever a stranger may put one."""
    content = {"id": "sub_h", "object": "subscription", "status": text, "metadata": {text: text}}
    body = {"id": "evt_h", "type": text, "created": START, "data": {"object": content}}
    invoice: dict[str, Any] = {
        "status": text,
        "currency": text,
        "hosted_invoice_url": f"javascript:alert('{text}')",
    }
    override: dict[str, Any] = {"op": "set", "value": 3, "reason": text, "actor": text}
    event: dict[str, Any] = {
        "type": text,
        "body": orjson.dumps(body).decode(),
        "last_error": text,
        "state": "dead",
    }
    reaction: dict[str, Any] = {
        "signal": text,
        "receiver": text[:200],
        "reaction": {"a": text},
        "last_error": text,
    }
    entry: dict[str, Any] = {"actor": text, "action": text, "before": {text: text}, "after": {"b": text}}
    return [
        Customer(id="cus_h", user_id="user_h", email=text, link_source=text),
        Subscription(id="sub_h", customer_id="cus_h", status=text, plan_id=text[:200], items=[]),
        Invoice(id="in_h", customer_id="cus_h", amount_due=1, created=START, **invoice),
        Override(user_id="user_h", feature="projects", created_at=START, **override),
        WebhookEvent(id="evt_h", object_id="sub_h", created=START, received_at=START, **event),
        OutboxEntry(id="out_h", customer_id="cus_h", created_at=START, state="dead", **reaction),
        AuditEntry(id="aud_h", at=START, subject="user_h", **entry),
    ]


@pytest.mark.parametrize("text", HOSTILE, ids=["tag", "right-to-left", "control", "long"])
async def test_hostile_text_is_shown_as_text_on_every_page(database_url: str, text: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        async with client.app.state.billing.database.session() as session:
            session.add_all(rows(text))
        for path in PATHS:
            page = await visitor.open(path)
            for sign in ("<script", "<img", "<b>", "javascript:", "\x07", "\x1b", "\u202e", "\u2028"):
                assert sign not in page, (path, sign)
            assert len(page) < 400_000, path


async def test_a_hostile_search_is_answered_in_words(database_url: str) -> None:
    async with logged_in(database_url) as (_, visitor):
        for text in (*HOSTILE, "\x00", "%00", "a" * 1500, "' OR 1=1 --", "%", "_", "@"):
            response = await visitor.http.get("/admin/search", params={"q": text})
            assert response.status_code == 200, text
            assert "<script" not in response.text and "<img" not in response.text


async def test_a_long_e_mail_is_found_by_all_of_it_and_shown_cut(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        async with client.app.state.billing.database.session() as session:
            session.add(Customer(id="cus_h", user_id="user_h", email=LONG))
        page = words(await visitor.open("/user?id=user_h"))
        assert "a" * 80 + "…" in page
        assert LONG in page  # behind a click


MADE_UP = (
    "/user?id=%00",
    "/user?before=x&id=u",
    "/user?before=9.%00&id=u",
    "/events?after=[]",
    '/events?after=[1e99,"x"]',
    '/events?after=[99999999999999999999,"x"]',
    "/subscriptions?after=[1]",
    "/subscriptions?status=nothing",
    "/audit?after={}",
    "/events?object_id=%00",
    "/customers?user_id=%F0%9F",
)


@pytest.mark.parametrize("path", MADE_UP)
async def test_an_address_that_nobody_made_is_a_page_all_the_same(database_url: str, path: str) -> None:
    async with logged_in(database_url) as (_, visitor):
        response = await visitor.http.get(f"/admin{path}")
        assert response.status_code in (200, 404), response.text


def test_control_characters_are_made_visible() -> None:
    assert plain("a\x00b\x1bc\u202ed") == "a␀b␛c⟨Right-To-Left Override⟩d"
    assert plain("line\nnext\ttab") == "line\nnext\ttab"


def test_each_value_stands_by_itself_whatever_its_direction() -> None:
    assert shown("שלום") == "<bdi>שלום</bdi>"


NO_LINKS = ("javascript:alert(1)", "http://x.test", "https:", "//x", "data:,x", None, 5, "https://x\n")


@pytest.mark.parametrize("address", NO_LINKS)
def test_only_https_becomes_a_link(address: object) -> None:
    assert web_address(address) is None
    assert web_address("https://invoice.stripe.com/i/1") is not None
