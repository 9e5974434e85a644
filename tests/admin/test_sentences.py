"""The timeline in sentences: what each event says to a person, whatever it contains."""

from typing import Any

import orjson
import pytest

from app.admin.formatting import display_name
from app.admin.sentences import SENTENCES, date_of, sentence
from app.inbox.handlers import HANDLERS
from app.simulator import DAY, NEW, OLD, SCENARIOS, Account, Shape, event_body, play
from app.stripe.events import parse

from .visitor import START, Clock, logged_in, words


def said(type: str, content: dict[str, Any], previous: dict[str, Any] | None = None) -> str:
    data = {"object": content} | ({"previous_attributes": previous} if previous else {})
    body = orjson.dumps({"id": "evt_1", "object": "event", "type": type, "created": 1, "data": data})
    return sentence(parse(body))


@pytest.mark.parametrize("shape", [OLD, NEW])
def test_every_event_of_every_scenario_is_a_sentence(shape: Shape) -> None:
    account = Account(seed=2)
    for name in SCENARIOS:
        play(account, name, user_id=f"user_{name}")
    for event in account.events:
        told = sentence(parse(event_body(event, shape)))
        assert told[0].isupper() and " " in told, event.type
        assert not {"?", "–"} & set(told), told


def test_every_type_with_a_handler_has_a_sentence_or_comes_thin_or_from_the_internal_api() -> None:
    account_states = {"active", "trialing", "past_due", "unpaid"}
    missing = [name for name in HANDLERS if name not in SENTENCES and not name.startswith("internal.")]
    assert [name for name in missing if name.rpartition(".")[2] not in account_states] == []


@pytest.mark.parametrize(
    ("previous", "told"),
    [
        ({"status": "active"}, "The subscription became past due: a payment is missing"),
        ({"cancel_at_period_end": False}, "It was set to end with its period"),
        (
            {"items": {"data": [{"price": {"id": "price_old"}, "quantity": 1}]}},
            "The subscription changed from price_old to price_team × 3",
        ),
        ({"quantity": 2}, "The quantity changed from 2 to 3"),
        ({"pause_collection": {"behavior": "void"}}, "Payment collection was resumed"),
        ({"metadata": {}}, "The subscription was changed"),
        (
            {"status": "active", "cancel_at_period_end": False},
            "The subscription became past due: a payment is missing; It was set to end with its period",
        ),
    ],
)
def test_an_update_says_what_changed(previous: dict[str, Any], told: str) -> None:
    content = {
        "id": "sub_1",
        "status": "past_due",
        "cancel_at_period_end": True,
        "quantity": 3,
        "items": {"data": [{"price": {"id": "price_team"}, "quantity": 3}]},
    }
    assert said("customer.subscription.updated", content, previous) == told


@pytest.mark.parametrize("broken", [None, [], "text", 7, {"data": 7}, {"data": [None, 7]}])
def test_a_value_that_is_not_what_it_should_be_breaks_no_sentence(broken: Any) -> None:
    for type in SENTENCES:
        names = ("status", "items", "amount_due", "currency", "attempt_count", "trial_end", "cancel_at")
        assert said(type, dict.fromkeys(names, broken), dict.fromkeys(names, broken))


def test_dates_are_written_out() -> None:
    assert date_of(1_796_169_600) == "2 December 2026"


@pytest.mark.parametrize(
    ("key", "name"),
    [("storage_bytes", "Storage"), ("api_calls", "API calls"), ("sso", "SSO"), ("team", "Team"), ("_", "_")],
)
def test_keys_are_shown_as_names(key: str, name: str) -> None:
    assert display_name(key) == name


@pytest.mark.parametrize(
    ("days", "end"), [(1, "access continues until"), (20, "access has ended")], ids=["in grace", "after it"]
)
async def test_a_failed_payment_says_what_it_means_for_access(
    sqlite_database: str, days: int, end: str
) -> None:
    account = Account(seed=4, start=START - 60 * DAY)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    account.advance(31 * DAY)
    account.renew(subscription, paid=False)
    clock = Clock(account.now + days * DAY)
    async with logged_in(sqlite_database, clock) as (client, visitor):
        await client.deliver(*account.events)
        page = words(await visitor.open("/user?id=ada"))
        assert "Payment of 29.00 USD failed (attempt 1)" in page
        assert end in page.split("Payment of 29.00 USD failed", 1)[1][:200]
