"""Laws that hold for random users, at every moment."""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.models import Customer
from app.entitlements import Entitlements, decide, entitle
from app.plans import (
    MAX_AMOUNT,
    OverrideOp,
)

from .givens import (
    CATALOGUE,
    DAY,
    NO_DEFAULT,
    NOW,
    Bill,
    Given,
    Sub,
    item,
    lenient,
    limited,
    maybe_moments,
    moments,
    quantities,
    strict,
    subscriptions,
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
catalogues = st.sampled_from([CATALOGUE, NO_DEFAULT, lenient, limited, strict])
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


@pytest.mark.long
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


@pytest.mark.long
@given(users, st.sampled_from(["starter", "team"]), quantities)
def test_a_plan_more_never_lowers_what_other_plans_give(
    user: dict[str, Any], price: str, quantity: int | None
) -> None:
    base = [*user["subscriptions"], Sub(id="sub_8", items=[item("starter")])]
    before = entitled(user, subscriptions=base)
    after = entitled(user, subscriptions=[*base, Sub(id="sub_9", items=[item(price, quantity)])])
    assert all(height(after, feature) >= height(before, feature) for feature in after.features)
    assert all(after.feature(key).soft >= each.soft for key, each in before.features.items())


@pytest.mark.long
@given(users)
def test_unlimited_wins(user: dict[str, Any]) -> None:
    plain = user | {"overrides": [], "customers": []}
    entitlements = entitled(plain, subscriptions=[*user["subscriptions"], Sub(id="sub_9")])
    assert entitlements.limit("calls") is None


@pytest.mark.long
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


@pytest.mark.long
@given(users, moments, st.integers(0, 100 * DAY))
def test_periods_hold_the_moment_and_follow_each_other(user: dict[str, Any], now: int, later: int) -> None:
    entitlements = entitled(user, now)
    for feature in ("daily", "monthly", "yearly"):
        start, end = entitlements.period_of(feature, now + later)
        assert end is not None and start <= now + later < end
        assert entitlements.period_of(feature, end).start == end
