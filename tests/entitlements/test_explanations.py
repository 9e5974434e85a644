"""What `explain` and a preview say."""

from dataclasses import replace
from typing import Any

import pytest

from app.db.models import Customer, Invoice, Subscription
from app.entitlements import Entitlements, preview
from app.errors import InvalidRequest, NotFound

from .givens import (
    CATALOGUE,
    DAY,
    END,
    NO_DEFAULT,
    NOW,
    START,
    STARTER,
    WEEK,
    Bill,
    Given,
    Sub,
    item,
    of,
    team,
)

# Own plan, explanation, preview.


@pytest.mark.parametrize(
    ("subscriptions", "own"),
    [
        ([team(status="unpaid")], ("team", "sub_1", "unpaid", "payment_required")),
        ([team(status="paused")], ("team", "sub_1", "paused", "paused")),
        ([team(status="paused"), replace(STARTER, id="sub_2", status="unpaid")], ("starter", "sub_2")),
        ([team(status="canceled")], None),
        ([team()], None),
        ([team(status="unpaid", items=[item("unknown")])], None),
        ([team(status="past_due", cancel_at=NOW, expiry_date=NOW)], None),
        ([team(status="unpaid", cancel_at=NOW, expiry_date=NOW)], None),
        ([team(expiry_date=NOW - WEEK)], None),
    ],
)
def test_the_own_plan_is_what_paying_or_resuming_restores(
    subscriptions: list[Sub], own: tuple[Any, ...] | None
) -> None:
    found = of(*subscriptions).own_plan
    assert (found and tuple(found)[: len(own or ())]) == own


def test_explain_names_plan_price_addon_override_and_status() -> None:
    user = of(
        Sub(items=[item("team", 3), item("more", 2)], status="past_due"),
        Sub(id="sub_2", items=[item("starter")]),
        Sub(id="sub_3", status="canceled"),
        invoices=[Bill()],
        overrides=[Given("projects", "add", 5, NOW + DAY)],
    )
    explained = user.explain("projects")
    late = "sub_1 (past_due, access grace until 2030-01-07 00:00:00 UTC)"
    assert explained.lines == (
        "projects (allocated): 135",
        f"  plan team: 30 (10 × 3), price team of {late}",
        "  plan starter: 20, price starter of sub_2 (active, access full), outdone by a better plan",
        f"  + add-on more: 100 (50 × 2), price more of {late}",
        "  override add 5, by support, until 2030-01-02 00:00:00 UTC: goodwill",
        "  nothing from sub_3 (canceled): the access policy grants nothing for its status",
    )
    assert str(explained).count("\n") == 5
    assert (explained.limit, explained.kind) == (135, "allocated")
    assert [(part["source"], part["id"], part["value"], part["counted"]) for part in explained.parts] == [
        ("plan", "team", 30, True),
        ("plan", "starter", 20, False),
        ("addon", "more", 100, True),
        ("override", "add", 5, True),
    ]


@pytest.mark.parametrize(
    ("user", "feature", "told"),
    [
        (of(), "projects", "default plan free: 3"),
        (of(), "sso", "not in plan free"),
        (of(catalogue=NO_DEFAULT), "sso", "no subscription entitles, and there is no default plan"),
        (of(Sub()), "calls", "calls (consumable): unlimited"),
        (of(Sub()), "sso", "sso (boolean): included"),
        (of(Sub(), now=END), "sso", "active, access full, past its expiry, renewal awaited"),
        (
            of(Sub(), now=END + WEEK),
            "sso",
            "nothing from sub_1 (active): it expired, and no renewal was seen",
        ),
        (of(Sub(cancel_at=NOW, expiry_date=NOW)), "sso", "it was set to cancel, and has reached its end"),
        (of(Sub(status=None)), "sso", "it is known from an invoice alone"),
        (of(Sub(status="new")), "sso", "its status is not one that this service knows"),
        (of(Sub(status="past_due")), "sso", "a payment is due, and its grace is over"),
        (of(Sub(), overrides=[Given("sso", "remove")]), "sso", "override remove, by support: goodwill"),
        (
            of(Sub(), customers=[Customer(id="cus_1", deleted=True, deleted_at=NOW)]),
            "sso",
            "its customer is deleted in Stripe",
        ),
    ],
)
def test_explain_says_why(user: Entitlements, feature: str, told: str) -> None:
    assert told in str(user.explain(feature))


def test_a_preview_shows_what_would_be_over() -> None:
    user = of(Sub(items=[item("team", 3), item("more")]))
    shown = preview(user, {"projects": 72, "calls": 5000}, plan="starter")
    projects, calls = shown["projects"], shown["calls"]
    assert (projects.limit_now, projects.limit_then, projects.used, projects.over) == (80, 70, 72, 2)
    assert (calls.limit_now, calls.limit_then, calls.over) == (None, 1500, 3500)
    assert (shown["sso"].limit_now, shown["sso"].limit_then, shown["sso"].over) == (None, 0, 0)
    assert shown["daily"].over == 0
    assert shown.keys() == CATALOGUE.features.keys()


def test_a_preview_of_a_price_a_quantity_and_an_addon() -> None:
    user = of(Sub(items=[item("team", 3)]))
    usage: dict[str, int] = {}
    assert preview(user, usage, price_id="team_yearly")["projects"].limit_then == 30, "keeps the quantity"
    assert preview(user, usage, price_id="team", quantity=5)["projects"].limit_then == 50
    assert preview(user, usage, price_id="more", quantity=2)["projects"].limit_then == 130
    assert preview(of(), usage, plan="team")["projects"].limit_then == 10
    assert preview(of(team(status="unpaid")), usage, plan="free")["projects"].limit_then == 3


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"plan": "gold"}, NotFound),
        ({"price_id": "gold"}, NotFound),
        ({}, InvalidRequest),
        ({"plan": "team", "price_id": "team"}, InvalidRequest),
        ({"plan": "team", "quantity": -1}, InvalidRequest),
    ],
)
def test_a_preview_of_nothing_known_is_an_error(change: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        preview(of(), {}, **change)


def test_the_stored_rows_fit() -> None:
    row = Subscription(
        id="sub_1",
        customer_id="cus_1",
        status="past_due",
        items=[item("team", 2)],
        current_period_start=START,
    )
    bill = Invoice(id="in_1", subscription_id="sub_1", status="open", attempt_count=1, created=NOW)
    user = of(row, invoices=[bill], customers=[Customer(id="cus_1", user_id="user_1")])
    assert (user.plan, user.access, user.grace_ends_at, user.limit("projects")) == (
        "team",
        "grace",
        NOW + WEEK,
        20,
    )
