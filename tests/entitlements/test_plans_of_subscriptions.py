"""What the items of subscriptions, and the default plan, give."""

from dataclasses import replace
from typing import Any

import pytest

from app.db.models import Customer
from app.entitlements import access
from app.plans import (
    MAX_AMOUNT,
    AccessPolicy,
)

from .givens import DAY, END, NO_DEFAULT, NOW, WEEK, Bill, Given, Sub, catalogue_of, item, of, team

# Which plan and which quantity.


def test_without_a_subscription_the_default_plan_holds() -> None:
    user = of()
    assert (user.plan, user.status, user.access, user.valid_until) == ("free", None, "none", None)
    assert (user.limit("projects"), user.limit("daily"), user.value("sso")) == (3, 0, False)


def test_without_a_default_plan_everything_is_denied() -> None:
    user = of(catalogue=NO_DEFAULT)
    assert user.plan is None
    assert not any(user.allows(feature) for feature in NO_DEFAULT.features)
    assert all(user.limit(feature) == 0 for feature in NO_DEFAULT.features)
    assert user.check("projects", used=0).reason == "no_subscription"


@pytest.mark.parametrize(("quantity", "limit"), [(None, 10), (0, 0), (1, 10), (7, 70), (-3, 0)])
def test_a_limit_per_unit_is_times_the_quantity(quantity: int | None, limit: int) -> None:
    assert of(Sub(items=[item("team", quantity)])).limit("projects") == limit


def test_the_quantity_is_that_of_the_plans_own_item() -> None:
    items = [item("more", 2), item("unknown", 9), item("team", 3), item("starter", 5)]
    user = of(Sub(items=items, plan_id="more", quantity=2))
    assert (user.plan, user.limit("projects")) == ("team", 30 + 100)


@pytest.mark.parametrize("quantity", [None, 0, 3])
def test_addons_add_times_their_quantity(quantity: int | None) -> None:
    user = of(Sub(items=[item("starter"), item("more", quantity)]))
    assert user.limit("projects") == 20 + 50 * (1 if quantity is None else quantity)


def test_an_addon_alone_adds_to_the_default_plan() -> None:
    user = of(Sub(items=[item("more")]))
    assert (user.plan, user.access, user.limit("projects")) == ("free", "full", 53)


def test_a_price_in_no_plan_gives_nothing_and_says_so() -> None:
    user = of(Sub(items=[item("unknown")]))
    assert (user.plan, user.status, user.limit("projects")) == ("free", "active", 3)
    assert "price unknown is in no plan" in str(user.explain("projects"))


@pytest.mark.parametrize("items", [[], [item(None)], [{}]])
def test_items_without_prices_crash_nothing(items: list[dict[str, Any]]) -> None:
    assert of(Sub(items=items)).plan == "free"


def beside_a_yearly_addon(paid_until: int) -> dict[str, Any]:
    """A monthly plan that is paid until then, with an add-on that is paid for a year."""
    year = END + 365 * DAY
    return {
        "plan_id": "team",
        "items": [item("team") | {"item_id": "si_1"}, item("seats") | {"item_id": "si_2"}],
        "paid_through": year,
        "paid_lines": {"si_1": {"team": paid_until}, "si_2": {"seats": year}},
    }


@pytest.mark.parametrize(
    ("changes", "last_day"),
    [
        ({"paid_through": END + 30 * DAY}, END + 30 * DAY + WEEK),
        ({"paid_through": END - DAY}, END + WEEK),
        ({"paid_through": END + 30 * DAY, "cancel_at_period_end": True}, END),
        (beside_a_yearly_addon(END), END + WEEK),
        (beside_a_yearly_addon(END + 30 * DAY), END + 30 * DAY + WEEK),
    ],
    ids=[
        "renewal lost, invoice seen",
        "nothing new",
        "set to cancel",
        "an add-on is paid for a year",
        "its renewal lost, invoice seen",
    ],
)
def test_a_term_that_is_paid_counts_where_the_renewals_own_event_got_lost(
    changes: dict[str, Any], last_day: int
) -> None:
    subscription = Sub(**changes)
    before, after = (
        access(subscription, False, None, AccessPolicy(), now).level for now in (last_day - 1, last_day)
    )
    assert (before, after) == ("full", "none")


def test_an_internal_updates_expiry_stands_above_what_is_paid() -> None:
    subscription = overlaid(paid_through=END + 30 * DAY)
    assert access(subscription, False, None, AccessPolicy(), END + WEEK).level == "none"


def overlaid(**fields: Any) -> Sub:
    """A Stripe subscription on `starter` with an add-on, that an internal update put on `team` times 4."""
    overlay = {"created": NOW, "event_id": "int_1", "values": {"plan_id": "team", "quantity": 4}}
    items = [item("starter"), item("more", 2)]
    return replace(Sub(items=items, plan_id="team", quantity=4, overlay=overlay), **fields)


def test_an_internal_update_counts_before_the_items_but_addons_still_add() -> None:
    user = of(overlaid())
    assert (user.plan, user.limit("projects")) == ("team", 40 + 100)


@pytest.mark.parametrize(
    ("fields", "plan"),
    [
        ({"snapshot_created": NOW}, "team"),
        ({"snapshot_created": None, "snapshot_rank": None, "items": []}, "team"),
        ({"snapshot_created": NOW + 1}, "starter"),
        ({"snapshot_rank": 7}, "starter"),
    ],
)
def test_a_newer_snapshot_ends_an_internal_update(fields: dict[str, Any], plan: str) -> None:
    assert of(overlaid(**fields)).plan == plan


# Several subscriptions.


def test_the_best_plan_wins_for_each_feature_and_addons_add_up() -> None:
    user = of(
        Sub(id="sub_1", items=[item("starter"), item("more")]),
        Sub(id="sub_2", items=[item("team"), item("more", 2)]),
    )
    assert user.limit("projects") == 20 + 50 + 100
    assert (user.limit("calls"), user.limit("daily")) == (None, 5)
    assert (user.value("upload_mb"), user.value("tier"), user.value("sso")) == (575, "gold", True)
    assert user.plan == "team", "it is the later one in the file"


def test_each_subscription_is_judged_by_itself() -> None:
    late = Sub(id="sub_2", status="past_due", items=[item("starter")])
    user = of(Sub(items=[item("team")]), late, invoices=[Bill(subscription_id="sub_2")])
    assert user.check("daily", used=0).reason == "ok_grace"
    assert user.check("daily", used=0).grace_ends_at == NOW + 6 * DAY
    assert user.check("sso").reason == "ok"
    assert (user.access, user.grace_ends_at) == ("full", None)
    assert user.valid_until == NOW + 6 * DAY


def test_a_subscription_that_is_over_leaves_what_others_give() -> None:
    over = Sub(id="sub_2", status="canceled", items=[item("team", 100), item("more")])
    user = of(Sub(items=[item("starter")]), over)
    assert (user.plan, user.status, user.limit("projects")) == ("starter", "active", 20)
    user = of(Sub(items=[item("starter")]), replace(over, status="unpaid"))
    assert (user.plan, user.status) == ("starter", "active")


def test_a_deleted_customers_subscriptions_grant_nothing() -> None:
    user = of(Sub(), customers=[Customer(id="cus_1", deleted=True, deleted_at=NOW), Customer(id="cus_2")])
    assert (user.plan, user.access, user.own_plan) == ("free", "none", None)


@pytest.mark.parametrize(
    ("status", "shown"),
    [("canceled", "canceled"), ("unpaid", "unpaid"), ("paused", "paused"), (None, None)],
)
def test_a_user_on_the_default_plan_sees_the_status_that_put_them_there(
    status: str, shown: str | None
) -> None:
    user = of(Sub(status=status))
    assert (user.plan, user.status, user.access) == ("free", shown, "none")


def test_of_several_that_are_over_the_status_is_that_of_the_last_one() -> None:
    never_begun = team(status="incomplete_expired", expiry_date=NOW - 300 * DAY)
    last = Sub(id="sub_0", status="canceled", items=[item("starter")], expiry_date=NOW - DAY)
    assert of(never_begun, last).status == "canceled"
    blocked = Sub(id="sub_2", status="unpaid", items=[item("starter")], expiry_date=NOW - 30 * DAY)
    assert of(never_begun, last, blocked).status == "unpaid"
    higher = replace(blocked, id="sub_3", status="paused", items=[item("team")], expiry_date=NOW - 90 * DAY)
    assert of(never_begun, last, blocked, higher).status == "paused"
    deleted = Customer(id="cus_2", deleted=True, deleted_at=NOW - 9 * DAY)
    gone = Sub(id="sub_4", customer_id="cus_2", items=[item("team")], expiry_date=NOW + 300 * DAY)
    assert of(last, gone, customers=[Customer(id="cus_1"), deleted]).status == "canceled"


def test_soft_and_warnings_come_from_what_counts() -> None:
    user = of(Sub(items=[item("starter")]), Sub(id="sub_2", items=[item("team", 3)]))
    assert user.feature("projects").warn_at == (0.9,)
    assert of(Sub(items=[item("starter")])).feature("calls").soft


SEATS = catalogue_of("""
[features]
seats = { kind = "allocated" }
[plans.small]
prices = ["small"]
seats = { limit = 5, per_unit = true, soft = true }
""")


def test_0_denies_even_where_the_limit_is_soft() -> None:
    nobody = of(Sub(items=[item("small", 0)]), catalogue=SEATS)
    assert nobody.check("seats", used=0).reason == "not_in_plan"
    assert not nobody.feature("seats").soft
    taken = of(Sub(items=[item("small")]), catalogue=SEATS, overrides=[Given("seats", "set", 0)])
    assert taken.check("seats", used=0).reason == "not_in_plan"
    assert of(Sub(items=[item("small")]), catalogue=SEATS).check("seats", used=9).reason == "ok_soft"


def test_the_highest_plan_is_shown_whether_on_one_subscription_or_two() -> None:
    wide = Sub(id="sub_1", items=[item("wide")])
    narrow = Sub(id="sub_2", items=[item("narrow")])
    one = Sub(id="sub_1", items=[item("wide"), item("narrow")])
    both = catalogue_of("""
[features]
a = { kind = "boolean" }
b = { kind = "boolean" }
c = { kind = "boolean" }
[plans.wide]
prices = ["wide"]
a = true
b = true
[plans.narrow]
prices = ["narrow"]
c = true
""")
    for user in (of(wide, narrow, catalogue=both), of(narrow, wide, catalogue=both), of(one, catalogue=both)):
        assert (user.plan, user.value("a"), user.value("c")) == ("narrow", True, True)


# Numbers never overflow.


def test_arithmetic_stops_at_the_greatest_amount() -> None:
    user = of(Sub(items=[item("team", 2**62), item("more", 2**62), item("more", MAX_AMOUNT)]))
    assert user.limit("projects") == user.value("upload_mb") == MAX_AMOUNT
    assert user.check("projects", used=MAX_AMOUNT - 1).allowed
    assert not user.check("projects", used=MAX_AMOUNT).allowed
    assert {part["value"] for part in user.explain("projects").parts} == {MAX_AMOUNT}
    added = of(Sub(), overrides=[Given("projects", "add", MAX_AMOUNT)])
    assert added.limit("projects") == MAX_AMOUNT


def test_even_unlimited_and_soft_usage_fit_the_column() -> None:
    assert of(Sub()).check("calls", used=MAX_AMOUNT - 5, requested=5).allowed
    assert of(Sub()).check("calls", used=MAX_AMOUNT - 5, requested=6).reason == "limit_reached"
    soft = of(Sub(items=[item("starter")]))
    assert soft.check("calls", used=MAX_AMOUNT - 1).reason == "ok_soft"
    assert not soft.check("calls", used=MAX_AMOUNT).allowed
