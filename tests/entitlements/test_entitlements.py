"""What a user has: every status × pause × cancel flag × clock, and laws that hold for random histories."""

import itertools
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.models import RULES_VERSION, Customer, Invoice, Subscription
from app.entitlements import Access, Decision, Entitlements, Owed, Reason, access, decide, entitle, preview
from app.entitlements.records import SubscriptionRecord
from app.errors import InvalidRequest, NotFound
from app.plans import (
    MAX_AMOUNT,
    AccessPolicy,
    AccessRule,
    Catalogue,
    CollectionPolicy,
    OverrideOp,
    load_catalogue,
)

DAY = 86_400
WEEK = 7 * DAY
NOW = 1_893_456_000  # 2030-01-01 00:00:00 UTC
START, END = NOW - 10 * DAY, NOW + 20 * DAY


def catalogue_of(text: str) -> Catalogue:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plans.toml")
        path.write_text(text)
        return load_catalogue(path)


TEXT = """
[features]
projects = { kind = "allocated" }
calls = { kind = "consumable", reset = "period" }
daily = { kind = "consumable", reset = "day" }
monthly = { kind = "consumable", reset = "month" }
yearly = { kind = "consumable", reset = "year" }
upload_mb = { kind = "static" }
tier = { kind = "static" }
sso = { kind = "boolean" }

[plans.free]
projects = 3
calls = 100
monthly = 10

[plans.starter]
prices = ["starter"]
projects = { limit = 20, warn_at = [0.8] }
calls = { limit = 1000, soft = true }
daily = 5
upload_mb = 50
tier = "silver"

[plans.team]
prices = ["team", "team_yearly"]
projects = { limit = 10, per_unit = true, warn_at = [0.9] }
calls = "unlimited"
upload_mb = 500
tier = "gold"
sso = true

[addons.more]
prices = ["more"]
projects = 50
calls = 500
upload_mb = 25

[addons.sso]
prices = ["sso"]
sso = true
projects = 0
"""
DEFAULTS = 'default_plan = "free"\n' + TEXT
CATALOGUE = catalogue_of(DEFAULTS)
NO_DEFAULT = catalogue_of(TEXT)


@dataclass(frozen=True)
class Sub:
    """A subscription's record, as far as it is read; an active one on `team` unless told otherwise."""

    id: str = "sub_1"
    customer_id: str | None = "cus_1"
    link_source: str | None = "customer"
    status: str | None = "active"
    items: Sequence[Mapping[str, Any]] = field(default_factory=lambda: [item("team")])
    item_history: Mapping[str, Any] | None = None
    plan_id: str | None = None
    quantity: int | None = None
    start_date: int | None = START - 100 * DAY
    expiry_date: int | None = END
    paid_through: int | None = None
    current_period_start: int | None = START
    current_period_end: int | None = END
    billing_cycle_anchor: int | None = None
    period_changes: Sequence[Mapping[str, Any]] | None = None
    trial_end: int | None = None
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    pause_collection: Mapping[str, Any] | None = None
    pause_cause: str | None = None
    past_due_since: int | None = None
    first_payment_failed_at: int | None = None
    ever_paid: bool | None = None
    rules_version: int | None = RULES_VERSION
    rules_row_version: int | None = 1
    version: int = 1
    snapshot_rank: int | None = 4
    snapshot_created: int | None = START
    snapshot_event_id: str | None = "evt_1"
    overlay: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Bill:
    subscription_id: str | None = "sub_1"
    status: str | None = "open"
    attempt_count: int = 1
    amount_remaining: int | None = 2000
    hosted_invoice_url: str | None = "https://invoice.example.com/in_1"
    created: int | None = NOW - DAY


@dataclass(frozen=True)
class Given:
    feature: str
    op: OverrideOp
    value: Any = None
    expires_at: int | None = None
    reason: str | None = "goodwill"
    actor: str | None = "support"


def item(price_id: str | None, quantity: int | None = 1) -> dict[str, Any]:
    return {"price_id": price_id, "quantity": quantity}


def of(*subscriptions: SubscriptionRecord, now: int = NOW, **rest: Any) -> Entitlements:
    """The entitlements of a user with these subscriptions."""
    return entitle(
        "user_1",
        subscriptions,
        rest.get("invoices", []),
        rest.get("customers", []),
        rest.get("overrides", []),
        rest.get("catalogue", CATALOGUE),
        now,
    )


# Access: every status, pause, cancel flag and clock.

STATUSES = [
    "active",
    "trialing",
    "past_due",
    "unpaid",
    "paused",
    "incomplete",
    "incomplete_expired",
    "canceled",
    "a_status_of_2031",
    None,
]
PAUSES: list[dict[str, Any] | None] = [None, {"behavior": "void", "resumes_at": None}]
CANCELS: list[dict[str, Any]] = [
    {},
    {"cancel_at_period_end": True},
    {"cancel_at_period_end": True, "cancel_at": END},
    {"cancel_at": END},
    {"cancel_at": END + 3 * DAY},
    {"cancel_at": END + 300 * DAY},
]
INVOICE_CREATED = END - 5 * DAY
CLOCKS = sorted(
    moment + step
    for moment in (START, START + WEEK, INVOICE_CREATED + WEEK, END, END + 3 * DAY, END + WEEK)
    for step in (-1, 0, 1)
)


def last_moment(cancel: dict[str, Any]) -> float:
    """When a subscription that is set to cancel is over."""
    if cancel.get("cancel_at_period_end"):
        return END
    moment: float = cancel.get("cancel_at", float("inf"))
    return moment


NOT_WHILE_PAUSED = CollectionPolicy(AccessRule("none"), AccessRule("none"), AccessRule("none"))


def expected_level(status: str | None, pause: Any, cancel: dict[str, Any], since: int, now: int) -> str:
    """The rules in an order of their own, for the policy in which a pause of collection grants nothing."""
    if status not in ("active", "trialing", "past_due") or pause or now >= last_moment(cancel):
        return "none"
    if status == "past_due":
        return "grace" if now < since + WEEK else "none"
    return "full" if now < END + WEEK else "none"


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("pause", PAUSES, ids=["running", "paused"])
@pytest.mark.parametrize("cancel", CANCELS, ids=str)
def test_access_follows_the_rules_at_every_moment(
    status: str | None, pause: dict[str, Any] | None, cancel: dict[str, Any]
) -> None:
    strict = AccessPolicy(pause_collection=NOT_WHILE_PAUSED)
    for now, since, owed in itertools.product(CLOCKS, (START, INVOICE_CREATED), (None, Owed(START - WEEK))):
        subscription = Sub(status=status, pause_collection=pause, past_due_since=since, **cancel)
        case = f"now = END {now - END:+}, since {since}, {owed}"
        lenient = access(subscription, False, owed, AccessPolicy(), now)
        assert lenient.level == expected_level(status, None, cancel, since, now), case
        paused = access(subscription, False, owed, strict, now)
        assert paused.level == expected_level(status, pause, cancel, since, now), case
        assert access(subscription, True, owed, AccessPolicy(), now).level == "none", case


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("pause", [*PAUSES, {"resumes_at": END - DAY}, {"resumes_at": END + DAY}], ids=str)
@pytest.mark.parametrize("cancel", CANCELS, ids=str)
@pytest.mark.parametrize("policy", ["full", "none"])
def test_access_says_when_it_changes_next(
    status: str | None, pause: dict[str, Any] | None, cancel: dict[str, Any], policy: Any
) -> None:
    subscription = Sub(status=status, pause_collection=pause, past_due_since=INVOICE_CREATED, **cancel)
    rule = AccessRule(policy)
    rules = AccessPolicy(pause_collection=CollectionPolicy(rule, rule, rule))

    def at(now: int) -> Access:
        return access(subscription, False, Owed(INVOICE_CREATED), rules, now)

    now, steps = START, 0
    while (changes_at := at(now).changes_at) is not None:
        assert changes_at > now
        assert at(changes_at - 1) == at(now) != at(changes_at)
        if (ends_at := at(now).ends_at) is not None:
            assert ends_at >= changes_at
            assert at(ends_at).level == "none" not in (at(now).level, at(ends_at - 1).level)
        now, steps = changes_at, steps + 1
    assert steps <= 4
    assert at(now + 1000 * DAY) == at(now)


@pytest.mark.parametrize(
    ("subscription", "ends"),
    [
        pytest.param(Sub(status="past_due", past_due_since=NOW - DAY), NOW - DAY + WEEK, id="past due since"),
        pytest.param(
            Sub(status="past_due", past_due_since=NOW, cancel_at=NOW + DAY, expiry_date=NOW + DAY),
            NOW + DAY,
            id="never beyond its cancellation",
        ),
        pytest.param(
            Sub(first_payment_failed_at=NOW - DAY), NOW - DAY + WEEK, id="the first payment that failed late"
        ),
        pytest.param(
            Sub(status="past_due", past_due_since=NOW - 99 * DAY, version=2),
            NOW - 3 * DAY + WEEK,
            id="as before, in a row that a process of the release before has changed",
        ),
    ],
)
def test_grace_counts_from(subscription: Sub, ends: int) -> None:
    granted = access(subscription, False, Owed(NOW - 3 * DAY), AccessPolicy(), NOW)
    assert (granted.level, granted.grace_ends_at, granted.changes_at, granted.ends_at) == (
        "grace",
        ends,
        ends,
        ends,
    )


def test_grace_that_began_at_no_known_moment_is_none() -> None:
    unknown = Sub(status="past_due", current_period_start=None, start_date=None)
    granted = access(unknown, False, None, AccessPolicy(), NOW)
    assert (granted.level, granted.blocked_by) == ("none", "payment_required")


def test_the_policy_is_obeyed() -> None:
    policy = AccessPolicy(
        past_due=AccessRule("full"),
        unpaid=AccessRule("grace", 30 * DAY),
        canceled=AccessRule("grace", DAY),
        trialing=AccessRule("none"),
        expired_active=AccessRule("none"),
    )
    levels = {
        status: access(
            Sub(status=status, expiry_date=NOW, past_due_since=NOW - WEEK), False, None, policy, NOW
        ).level
        for status in ("active", "past_due", "unpaid", "canceled", "trialing")
    }
    assert levels == {
        "active": "none",
        "past_due": "none",
        "unpaid": "grace",
        "canceled": "grace",
        "trialing": "none",
    }
    assert (
        access(Sub(status="past_due", past_due_since=NOW - 99 * DAY), False, None, policy, NOW).level
        == "full"
    )
    forever = AccessPolicy(expired_active=AccessRule("full"))
    assert access(Sub(), False, None, forever, END + 999 * DAY).level == "full"


def test_the_expiry_of_an_internal_update_outlasts_stripes_cancellation() -> None:
    kept = Sub(cancel_at=NOW - DAY, cancel_at_period_end=True, expiry_date=END)
    assert access(kept, False, None, AccessPolicy(), END - 1).level == "full"
    assert access(kept, False, None, AccessPolicy(), END).reason == "cancel_at_reached"


def test_a_trial_without_an_expiry_ends_with_the_trial() -> None:
    trial = Sub(status="trialing", expiry_date=None, trial_end=NOW)
    assert access(trial, False, None, AccessPolicy(), NOW + WEEK - 1).level == "full"
    assert access(trial, False, None, AccessPolicy(), NOW + WEEK).level == "none"


def test_a_pause_ends_at_resumes_at() -> None:
    policy = AccessPolicy(pause_collection=NOT_WHILE_PAUSED)
    paused = Sub(pause_collection={"resumes_at": NOW + DAY})
    before, after = (access(paused, False, None, policy, NOW + DAY + step) for step in (-1, 0))
    assert (before.level, before.blocked_by, before.changes_at) == ("none", "paused", NOW + DAY)
    assert (after.level, after.blocked_by) == ("full", None)


@pytest.mark.parametrize(
    ("invoices", "ends"),
    [
        ([Bill(created=NOW - 2 * DAY), Bill(created=NOW - 3 * DAY)], NOW + 4 * DAY),
        ([Bill(created=NOW - 3 * DAY), Bill(created=NOW - 2 * DAY)], NOW + 4 * DAY),
        ([Bill(created=NOW - DAY), Bill(created=NOW - 3 * DAY, attempt_count=0)], NOW + 6 * DAY),
        ([Bill(created=NOW - DAY), Bill(created=NOW - 3 * DAY, status="paid")], NOW + 6 * DAY),
        ([Bill(created=NOW - DAY), Bill(created=NOW - 3 * DAY, subscription_id="sub_2")], NOW + 6 * DAY),
        ([Bill(created=NOW - DAY), Bill(created=None), Bill(subscription_id=None, created=1)], NOW + 6 * DAY),
        ([], NOW - 2 * DAY + WEEK),
    ],
)
def test_only_an_attempted_open_invoice_of_the_subscription_starts_grace(
    invoices: list[Bill], ends: int
) -> None:
    late = Sub(status="past_due", current_period_start=NOW - 2 * DAY)
    assert of(late, invoices=invoices).grace_ends_at == ends


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


@pytest.mark.parametrize(
    ("changes", "last_day"),
    [
        ({"paid_through": END + 30 * DAY}, END + 30 * DAY + WEEK),
        ({"paid_through": END - DAY}, END + WEEK),
        ({"paid_through": END + 30 * DAY, "cancel_at_period_end": True}, END),
    ],
    ids=["renewal lost, invoice seen", "nothing new", "set to cancel"],
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


# Overrides.


@pytest.mark.parametrize(
    ("override", "limit"),
    [
        (Given("projects", "set", 7), 7),
        (Given("projects", "set", 0), 0),
        (Given("projects", "set", "1 KiB"), 1024),
        (Given("projects", "set", "unlimited"), None),
        (Given("projects", "add", 5), 25),
        (Given("projects", "add", "unlimited"), None),
        (Given("projects", "remove", 5), 15),
        (Given("projects", "remove", 500), 0),
        (Given("projects", "remove"), 0),
        (Given("projects", "set", 7, NOW + 1), 7),
        (Given("projects", "set", 7, NOW), 20),
        (Given("projects", "set", None), 20),
        (Given("projects", "set", True), 20),
        (Given("projects", "add", -1), 20),
        (Given("gone", "set", 1), 20),
    ],
)
def test_an_override_comes_last(override: Given, limit: int | None) -> None:
    assert of(Sub(items=[item("starter")]), overrides=[override]).limit("projects") == limit


def test_overrides_of_other_kinds() -> None:
    starter = Sub(items=[item("starter")])
    assert of(starter, overrides=[Given("sso", "add")]).allows("sso")
    assert of(starter, overrides=[Given("sso", "set", True)]).allows("sso")
    assert not of(Sub(), overrides=[Given("sso", "remove")]).allows("sso")
    assert of(starter, overrides=[Given("tier", "set", "platinum")]).value("tier") == "platinum"
    assert of(starter, overrides=[Given("tier", "remove")]).value("tier") == ""
    assert of(starter, overrides=[Given("upload_mb", "add", 0.5)]).value("upload_mb") == 50.5
    assert of(Sub(), overrides=[Given("calls", "remove", 5)]).limit("calls") is None
    assert of(Sub(), overrides=[Given("calls", "remove")]).limit("calls") == 0


def test_an_override_grants_where_no_plan_does_and_is_no_grace() -> None:
    assert of(catalogue=NO_DEFAULT, overrides=[Given("projects", "set", 2)]).limit("projects") == 2
    late = Sub(status="past_due")
    user = of(late, invoices=[Bill()], overrides=[Given("projects", "set", 2)])
    assert user.check("projects", used=0).reason == "ok"
    assert user.check("sso").reason == "ok_grace"


def test_several_overrides_set_then_add_then_remove_in_any_order() -> None:
    overrides = [Given("projects", "remove", 1), Given("projects", "add", 5), Given("projects", "set", 100)]
    results = {of(Sub(), overrides=each).limit("projects") for each in itertools.permutations(overrides)}
    assert results == {104}


def test_an_override_of_another_type_is_ignored_and_told() -> None:
    user = of(Sub(), overrides=[Given("projects", "set", "gold")])
    assert user.limit("projects") == 10
    assert "override set ignored" in str(user.explain("projects"))


# Decisions.


def team(quantity: int = 1, **fields: Any) -> Sub:
    return replace(Sub(items=[item("team", quantity)]), **fields)


STARTER = Sub(items=[item("starter")])
LATE = [Bill()]


@pytest.mark.parametrize(
    ("user", "feature", "used", "requested", "reason"),
    [
        pytest.param(of(STARTER), "projects", 19, 1, "ok", id="up to the limit"),
        pytest.param(of(STARTER), "projects", 20, 0, "ok", id="nothing more at the limit"),
        pytest.param(of(STARTER), "projects", 20, 1, "limit_reached", id="one over"),
        pytest.param(of(STARTER), "projects", 0, 21, "limit_reached", id="too much at once"),
        pytest.param(of(STARTER), "projects", 21, 0, "over_limit", id="over already"),
        pytest.param(of(STARTER), "projects", 21, 1, "over_limit", id="over already, and more"),
        pytest.param(of(STARTER), "calls", 1000, 1, "ok_soft", id="over a soft limit"),
        pytest.param(of(STARTER), "sso", 0, 1, "not_in_plan", id="boolean not in the plan"),
        pytest.param(of(STARTER), "yearly", 0, 1, "not_in_plan", id="counted not in the plan"),
        pytest.param(of(STARTER), "yearly", 0, 0, "not_in_plan", id="not even nothing"),
        pytest.param(of(STARTER), "tier", 0, 1, "ok", id="a text"),
        pytest.param(of(STARTER), "upload_mb", 0, 50, "ok", id="a static number is a bound"),
        pytest.param(of(STARTER), "upload_mb", 0, 51, "limit_reached", id="above a static number"),
        pytest.param(of(team()), "sso", 0, 1, "ok", id="boolean"),
        pytest.param(of(), "sso", 0, 1, "not_in_plan", id="not in the default plan"),
        pytest.param(of(catalogue=NO_DEFAULT), "sso", 0, 1, "no_subscription", id="no plan at all"),
        pytest.param(
            of(team(status="canceled"), catalogue=NO_DEFAULT), "sso", 0, 1, "no_subscription", id="canceled"
        ),
        pytest.param(of(team(status="past_due"), invoices=LATE), "sso", 0, 1, "ok_grace", id="in grace"),
        pytest.param(
            of(team(status="past_due"), invoices=LATE, now=NOW + WEEK),
            "sso",
            0,
            1,
            "payment_required",
            id="grace over",
        ),
        pytest.param(of(team(status="unpaid")), "sso", 0, 1, "payment_required", id="unpaid"),
        pytest.param(of(team(status="incomplete")), "sso", 0, 1, "payment_required", id="incomplete"),
        pytest.param(of(team(status="unpaid")), "projects", 2, 1, "ok", id="unpaid, the default plan allows"),
        pytest.param(
            of(team(status="unpaid")), "projects", 3, 1, "payment_required", id="unpaid, it does not"
        ),
        pytest.param(
            of(team(status="unpaid")), "projects", 9, 1, "payment_required", id="unpaid, the last one"
        ),
        pytest.param(of(team(status="unpaid")), "projects", 10, 1, "over_limit", id="nor would the own plan"),
        pytest.param(
            of(team(status="unpaid")), "daily", 0, 1, "not_in_plan", id="not in the own plan either"
        ),
        pytest.param(of(team(status="paused")), "sso", 0, 1, "paused", id="paused"),
        pytest.param(
            of(team(status="paused")), "daily", 0, 1, "not_in_plan", id="paused, not in the own plan"
        ),
        pytest.param(
            of(team(status="canceled")), "sso", 0, 1, "not_in_plan", id="what is over blocks nothing"
        ),
        pytest.param(
            of(team(status="paused"), replace(STARTER, id="sub_2", status="unpaid")),
            "projects",
            15,
            1,
            "payment_required",
            id="of two blocked ones, the one that would do",
        ),
        pytest.param(
            of(team(status="paused"), replace(STARTER, id="sub_2", status="unpaid")),
            "sso",
            0,
            1,
            "paused",
            id="of two blocked ones, the other",
        ),
        pytest.param(
            of(team(status="unpaid"), overrides=[Given("sso", "set", False)]),
            "sso",
            0,
            1,
            "not_in_plan",
            id="paying does not lift an override",
        ),
    ],
)
def test_a_decision_has_the_reason_that_helps(
    user: Entitlements, feature: str, used: int, requested: int, reason: Reason
) -> None:
    decision = user.check(feature, used=used, requested=requested)
    assert decision.reason == reason
    assert decision.allowed == bool(decision) == reason.startswith("ok")
    assert decision == decide(user, feature, used, requested, user.as_of)
    assert decision == user.check(feature, used=used, requested=requested), "asked again"


def test_every_reason_is_tested_above() -> None:
    marks = test_a_decision_has_the_reason_that_helps.pytestmark  # type: ignore[attr-defined]
    assert {case.values[4] for case in marks[0].args[1]} == set(get_args(Reason)) - {"over_released"}
    # `over_released` is of a release alone: see tests/limits.


def test_a_decision_tells_all_that_the_caller_needs() -> None:
    user = of(Sub(items=[item("starter")]), catalogue=CATALOGUE)
    assert user.check("daily", used=4, requested=2) == Decision(
        allowed=False,
        reason="limit_reached",
        feature="daily",
        limit=5,
        used=4,
        remaining=1,
        requested=2,
        resets_at=NOW + DAY,
        plan="starter",
        status="active",
        grace_ends_at=None,
        upgrade_to=(),
        as_of=NOW,
    )
    assert user.check("projects", used=30).remaining == 0
    assert user.check("projects", used=1).remaining == 19
    assert of(Sub()).check("calls", used=1).remaining is None


@pytest.mark.parametrize(
    ("user", "feature", "used", "plans"),
    [
        (of(), "projects", 3, ("starter", "team")),
        (of(), "projects", 10, ("starter",)),
        (of(), "projects", 20, ()),
        (of(), "sso", 0, ("team",)),
        (of(STARTER), "projects", 20, ()),
        (of(Sub(items=[item("starter", 5), item("more")])), "projects", 70, ("team",)),
        (of(team(status="unpaid")), "sso", 0, ("team",)),
        (of(overrides=[Given("projects", "set", 3)]), "projects", 3, ()),
        (of(team()), "sso", 0, ()),
    ],
)
def test_upgrades_are_the_plans_that_would_allow_it(
    user: Entitlements, feature: str, used: int, plans: tuple[str, ...]
) -> None:
    assert user.check(feature, used=used).upgrade_to == plans


def test_usage_loaded_with_the_snapshot_is_what_is_checked() -> None:
    user = of(STARTER).with_usage({"projects": 20})
    assert user.check("projects").reason == "limit_reached"
    assert user.check("daily").used == 0
    assert user.check("projects", used=3).allowed
    assert of(STARTER).check("tier").allowed, "has no usage"
    with pytest.raises(InvalidRequest, match="usage of projects was not loaded"):
        of(STARTER).check("projects")


def test_what_the_catalogue_does_not_know_is_an_error() -> None:
    user = of(Sub())
    for ask in (user.allows, user.check, user.limit, user.value, user.explain, user.feature):
        with pytest.raises(NotFound, match=r"No feature 'seats'.*\[features\]"):
            ask("seats")
    with pytest.raises(NotFound, match="No feature 'seats'"):
        user.resets_at("seats", NOW)


@pytest.mark.parametrize(("used", "requested"), [(-1, 1), (1, -1), (-5, 5)])
def test_negative_amounts_are_refused(used: int, requested: int) -> None:
    with pytest.raises(InvalidRequest):
        of(Sub()).check("projects", used=used, requested=requested)


def test_a_snapshot_remembers_a_bounded_number_of_answers() -> None:
    user = of(STARTER)
    for used in range(20, 2000):
        assert user.check("projects", used=used).used == used
    assert len(user._remembered) <= 256


# Periods.


def seconds(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("feature", "now", "period"),
    [
        ("daily", seconds(2028, 2, 29, 23, 59, 59), (seconds(2028, 2, 29), seconds(2028, 3, 1))),
        ("daily", seconds(2028, 3, 1), (seconds(2028, 3, 1), seconds(2028, 3, 2))),
        ("monthly", seconds(2028, 2, 29, 23, 59, 59), (seconds(2028, 2, 1), seconds(2028, 3, 1))),
        ("monthly", seconds(2028, 12, 31), (seconds(2028, 12, 1), seconds(2029, 1, 1))),
        ("monthly", seconds(2029, 1, 1), (seconds(2029, 1, 1), seconds(2029, 2, 1))),
        ("yearly", seconds(2028, 12, 31, 23, 59, 59), (seconds(2028, 1, 1), seconds(2029, 1, 1))),
        ("calls", seconds(2028, 2, 29), (seconds(2028, 2, 1), seconds(2028, 3, 1))),
        ("projects", NOW, (0, None)),
        ("sso", NOW, (0, None)),
    ],
)
def test_periods_without_a_subscription_are_utcs(
    feature: str, now: int, period: tuple[int, int | None]
) -> None:
    user = of()
    assert user.period_of(feature, now) == period
    assert user.resets_at(feature, now) == period[1]


def test_a_billing_period_is_the_subscriptions_own() -> None:
    assert of(STARTER).period_of("calls", NOW) == (START, END)
    assert of(STARTER).period_of("calls", END - 1) == (START, END)


def test_a_period_that_is_over_stays_open_as_long_as_access_does() -> None:
    for now in (END, END + WEEK - 1):
        assert of(STARTER, now=now).period_of("calls", now) == (START, END), "another begins, or none"
        assert of(STARTER, now=now).resets_at("calls", now) == now + 300, "look again in minutes"
    assert of(STARTER, now=NOW).resets_at("calls", END - 1) == END
    assert of(STARTER, now=NOW).resets_at("calls", END + 1) == END + 301, "asked beforehand"
    over = of(STARTER, now=END + WEEK)
    assert over.plan == "free"
    month = of().period_of("calls", END + WEEK)
    assert over.period_of("calls", END + WEEK) == (END, month.end), (
        "the month, from the end of the last period"
    )


def test_a_billing_period_is_that_of_the_subscription_that_gives_the_feature() -> None:
    other = Sub(id="sub_0", items=[item("team")], current_period_start=START + 1, current_period_end=END + 1)
    user = of(STARTER, other)
    assert user.period_of("calls", NOW) == (START + 1, END + 1), "unlimited on team"


def test_without_stripes_period_the_term_of_the_internal_update_is_the_period() -> None:
    internal = replace(STARTER, current_period_start=None, current_period_end=None, start_date=START + 5)
    assert of(internal).period_of("calls", NOW) == (START + 5, END)
    broken = replace(internal, start_date=END)
    assert of(broken).period_of("calls", NOW) == of().period_of("calls", NOW)


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


# Laws, over random users.

moments = st.integers(NOW - 40 * DAY, NOW + 40 * DAY) | st.sampled_from([NOW, NOW - WEEK, START, END])
maybe_moments = st.none() | moments
prices = st.sampled_from(["starter", "team", "team_yearly", "more", "sso", "unknown", None])
quantities = st.none() | st.integers(0, 4) | st.just(2**62)
items = st.lists(st.builds(item, prices, quantities), max_size=4)
pauses = st.none() | st.builds(lambda at: {"behavior": "void", "resumes_at": at}, maybe_moments)
overlays = st.none() | st.builds(
    lambda created, price: {"created": created, "values": {"plan_id": price}}, moments, prices
)
subs = st.builds(
    Sub,
    id=st.just(""),
    customer_id=st.sampled_from(["cus_1", "cus_2", None]),
    status=st.sampled_from([*STATUSES, "active", "past_due", "trialing"]),
    items=items,
    plan_id=prices,
    quantity=quantities,
    start_date=maybe_moments,
    expiry_date=maybe_moments,
    current_period_start=maybe_moments,
    current_period_end=maybe_moments,
    trial_end=maybe_moments,
    cancel_at=maybe_moments,
    cancel_at_period_end=st.booleans(),
    pause_collection=pauses,
    snapshot_rank=st.sampled_from([None, 3, 4, 7]),
    snapshot_created=maybe_moments,
    overlay=overlays,
)
subscriptions = st.lists(subs, max_size=4).map(
    lambda found: [replace(each, id=f"sub_{number}") for number, each in enumerate(found)]
)
bills = st.lists(
    st.builds(
        Bill,
        subscription_id=st.sampled_from(["sub_0", "sub_1", None]),
        status=st.sampled_from(["open", "paid"]),
        attempt_count=st.integers(0, 2),
        created=maybe_moments,
    ),
    max_size=4,
)
amounts = st.sampled_from([0, 1, 7, MAX_AMOUNT, "unlimited", "1 KiB", True, False, "gold", None])
gifts = st.lists(
    st.builds(
        Given,
        feature=st.sampled_from([*CATALOGUE.features, "gone"]),
        op=st.sampled_from(get_args(OverrideOp)),
        value=amounts,
        expires_at=maybe_moments,
    ),
    max_size=4,
)
lenient = catalogue_of(DEFAULTS + "[access]\nunpaid = { grace_days = 3 }\ncanceled = { grace_days = 2 }")
strict = catalogue_of(TEXT + '[access]\npause_collection = "none"\nexpired_active = "none"')
catalogues = st.sampled_from([CATALOGUE, NO_DEFAULT, lenient, strict])
users = st.fixed_dictionaries(
    {
        "subscriptions": subscriptions,
        "invoices": bills,
        "customers": st.just([Customer(id="cus_2", deleted=True)]) | st.just([]),
        "overrides": gifts,
        "catalogue": catalogues,
    }
)


def entitled(user: Mapping[str, Any], now: int = NOW, **changed: Any) -> Entitlements:
    return entitle("user_1", now=now, **(dict(user) | changed))


def height(user: Entitlements, feature: str) -> float:
    """The limit as a number that can be compared."""
    limit = user.limit(feature)
    return float("inf") if limit is None else limit


@given(users, moments)
def test_an_answer_holds_until_valid_until_and_not_longer(user: dict[str, Any], now: int) -> None:
    first = entitled(user, now)
    valid_until = first.valid_until
    if valid_until is None:
        assert entitled(user, now + 9999 * DAY) == first
        return
    assert valid_until > now
    middle = now + (valid_until - now) // 2
    assert entitled(user, valid_until - 1) == entitled(user, middle) == first
    assert entitled(user, valid_until) != first


@given(users, moments, st.randoms(use_true_random=False))
def test_order_counts_for_nothing(user: dict[str, Any], now: int, dice: random.Random) -> None:
    shuffled = {
        name: dice.sample(value, len(value)) for name, value in user.items() if isinstance(value, list)
    }
    assert entitled(user, now, **shuffled) == entitled(user, now)


@given(users, moments, st.sampled_from(["more", "sso"]), quantities, st.data())
def test_an_addon_more_never_lowers_a_limit(
    user: dict[str, Any], now: int, price: str, quantity: int | None, data: st.DataObject
) -> None:
    before = entitled(user, now)
    added = [Sub(id="sub_9", items=[item(price, quantity)])]
    if user["subscriptions"] and data.draw(st.booleans()):
        chosen = data.draw(st.sampled_from(user["subscriptions"]))
        more = replace(chosen, items=[*chosen.items, item(price, quantity)])
        added, user = [more], user | {"subscriptions": [s for s in user["subscriptions"] if s is not chosen]}
    after = entitled(user, now, subscriptions=[*user["subscriptions"], *added])
    assert all(height(after, feature) >= height(before, feature) for feature in after.features)


@given(users, st.sampled_from(["starter", "team"]), quantities)
def test_a_plan_more_never_lowers_what_other_plans_give(
    user: dict[str, Any], price: str, quantity: int | None
) -> None:
    base = [*user["subscriptions"], Sub(id="sub_8", items=[item("starter")])]
    before = entitled(user, subscriptions=base)
    after = entitled(user, subscriptions=[*base, Sub(id="sub_9", items=[item(price, quantity)])])
    assert all(height(after, feature) >= height(before, feature) for feature in after.features)
    assert all(after.feature(key).soft >= each.soft for key, each in before.features.items())


@given(users)
def test_unlimited_wins(user: dict[str, Any]) -> None:
    plain = user | {"overrides": [], "customers": []}
    entitlements = entitled(plain, subscriptions=[*user["subscriptions"], Sub(id="sub_9")])
    assert entitlements.limit("calls") is None


@given(users, moments, st.sampled_from(sorted(CATALOGUE.features)), st.integers(0, 200), st.integers(0, 200))
def test_no_decision_grants_more_than_the_limit(
    user: dict[str, Any], now: int, feature: str, used: int, requested: int
) -> None:
    entitlements = entitled(user, now)
    decision = entitlements.check(feature, used=used, requested=requested)
    limit = entitlements.limit(feature)
    assert limit is None or 0 <= limit <= MAX_AMOUNT
    assert decision == decide(entitlements, feature, used, requested, now)
    if decision.allowed:
        assert entitlements.allows(feature)
        assert limit is None or used + requested <= limit or decision.reason == "ok_soft"
        assert decision.upgrade_to == ()
    else:
        assert (limit is not None and used + requested > limit) or limit == 0
        assert entitlements.plan not in decision.upgrade_to
    assert str(entitlements.explain(feature)).startswith(feature)


@given(users, moments, st.integers(0, 100 * DAY))
def test_periods_hold_the_moment_and_follow_each_other(user: dict[str, Any], now: int, later: int) -> None:
    entitlements = entitled(user, now)
    for feature in ("daily", "monthly", "yearly"):
        start, end = entitlements.period_of(feature, now + later)
        assert end is not None and start <= now + later < end
        assert entitlements.period_of(feature, end).start == end
