"""What strangers may write into Stripe's fields is shown as text, on every page."""

import pytest

from app.admin.formatting import plain, shown, web_address
from app.db.models import Customer

from .hostile import HOSTILE, LONG, rows
from .visitor import logged_in, words

pytestmark = pytest.mark.postgresql_in_long

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


@pytest.mark.parametrize("text", HOSTILE, ids=["tag", "right-to-left", "control", "long"])
@pytest.mark.rest_in_long(2)
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
