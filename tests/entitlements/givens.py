"""Subscriptions, invoices and a catalogue for the tests of entitlements."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from app.db.models import RULES_VERSION
from app.entitlements import Entitlements, entitle
from app.entitlements.records import SubscriptionRecord
from app.plans import (
    Catalogue,
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
    paid_lines: dict[str, dict[str, int]] | None = None
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


# Decisions.


def team(quantity: int = 1, **fields: Any) -> Sub:
    return replace(Sub(items=[item("team", quantity)]), **fields)


STARTER = Sub(items=[item("starter")])


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
lenient = catalogue_of(DEFAULTS + "[access]\nunpaid = { grace_days = 3 }\ncanceled = { grace_days = 2 }")
strict = catalogue_of(TEXT + '[access]\npause_collection = "none"\nexpired_active = "none"')
limited = catalogue_of(
    DEFAULTS
    + """[plans.team.trial]
projects = 15
calls = { limit = 2, per_unit = true }
[plans.starter.trial]
daily = 0
sso = true
[addons.more.trial]
projects = 5
"""
)
