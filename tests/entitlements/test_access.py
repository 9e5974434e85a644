"""When a subscription gives access, and when that changes next."""

import itertools
from typing import Any

import pytest

from app.entitlements import Access, Owed, access
from app.plans import (
    AccessPolicy,
    AccessRule,
    CollectionPolicy,
)

from .givens import DAY, END, NOW, START, STATUSES, WEEK, Bill, Sub, of

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
def test_access_follows_the_rules_at_every_moment(status: str | None, pause: dict[str, Any] | None) -> None:
    strict = AccessPolicy(pause_collection=NOT_WHILE_PAUSED)
    starts, debts = (START, INVOICE_CREATED), (None, Owed(START - WEEK))
    for cancel, now, since, owed in itertools.product(CANCELS, CLOCKS, starts, debts):
        subscription = Sub(status=status, pause_collection=pause, past_due_since=since, **cancel)
        case = f"{cancel}, now = END {now - END:+}, since {since}, {owed}"
        lenient = access(subscription, False, owed, AccessPolicy(), now)
        assert lenient.level == expected_level(status, None, cancel, since, now), case
        paused = access(subscription, False, owed, strict, now)
        assert paused.level == expected_level(status, pause, cancel, since, now), case
        assert access(subscription, True, owed, AccessPolicy(), now).level == "none", case


@pytest.mark.parametrize("pause", [*PAUSES, {"resumes_at": END - DAY}, {"resumes_at": END + DAY}], ids=str)
@pytest.mark.parametrize("policy", ["full", "none"])
def test_access_says_when_it_changes_next(pause: dict[str, Any] | None, policy: Any) -> None:
    rule = AccessRule(policy)
    rules = AccessPolicy(pause_collection=CollectionPolicy(rule, rule, rule))
    for status, cancel in itertools.product(STATUSES, CANCELS):
        subscription = Sub(status=status, pause_collection=pause, past_due_since=INVOICE_CREATED, **cancel)
        says_when_it_changes(subscription, rules, f"{status}, {cancel}")


def says_when_it_changes(subscription: Any, rules: AccessPolicy, case: str) -> None:
    """Follow what is said from moment to moment, until nothing changes any more."""

    def at(now: int) -> Access:
        return access(subscription, False, Owed(INVOICE_CREATED), rules, now)

    now, steps = START, 0
    while (changes_at := at(now).changes_at) is not None:
        assert changes_at > now, case
        assert at(changes_at - 1) == at(now) != at(changes_at), case
        if (ends_at := at(now).ends_at) is not None:
            assert ends_at >= changes_at, case
            assert at(ends_at).level == "none" not in (at(now).level, at(ends_at - 1).level), case
        now, steps = changes_at, steps + 1
    assert steps <= 4, case
    assert at(now + 1000 * DAY) == at(now), case


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
