"""Grants of consumables and allocated features: drawn down after the allowance, in one statement."""

from typing import Any

import pytest

from app import limits
from app.errors import Conflict, InvalidRequest, NotFound
from app.limits import LimitExceeded
from app.stripe.objects import MAX_SECONDS

from ..client import Client
from .helpers import START, Clock, consume, release, subscribe

pytestmark = pytest.mark.postgresql_in_long

DAY = 86_400


async def grant(
    client: Client, user: str = "ada", feature: str = "api_calls", amount: Any = 10, **options: Any
) -> str:
    async with client.app.state.billing.database.session() as session:
        given: limits.Grant = await limits.grant(session, "ada", feature, amount, **options)
        return given.id


async def left(user: str = "ada", feature: str = "api_calls") -> dict[str, int]:
    """What is left of each grant."""
    entitlements = await limits.load(user)
    return {each.id: each.left for each in entitlements.grants if each.feature == feature}


async def test_the_allowance_is_used_first_and_then_the_grant(client: Client) -> None:
    given = await grant(client, amount=10)
    decision = await consume(client, "ada", "api_calls", 4)
    assert (decision.limit, decision.used, decision.remaining) == (15, 4, 11)
    assert await left() == {given: 10}
    decision = await consume(client, "ada", "api_calls", 4)
    assert (decision.limit, decision.used, decision.remaining) == (15, 8, 7)
    assert await left() == {given: 7}
    with pytest.raises(LimitExceeded) as caught:
        await consume(client, "ada", "api_calls", 8)
    assert (caught.value.decision.used, caught.value.decision.remaining) == (8, 7)
    assert (await consume(client, "ada", "api_calls", 7)).remaining == 0
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "api_calls")


async def test_grants_are_drawn_by_priority_then_expiry_then_age(client: Client, clock: Clock) -> None:
    oldest = await grant(client, amount=2)
    clock.now += 1
    newest = await grant(client, amount=2)
    expiring = await grant(client, amount=2, expires_at=START + 20 * DAY)
    first = await grant(client, amount=2, priority=-1)
    await consume(client, "ada", "api_calls", 5)
    order = []
    for _ in range(8):
        before = await left()
        await consume(client, "ada", "api_calls")
        after = await left()
        order += [each for each in before if before[each] != after[each]]
    assert order == [first, first, expiring, expiring, oldest, oldest, newest, newest]


async def test_a_release_returns_to_the_grant_last_taken_from(client: Client, clock: Clock) -> None:
    second = await grant(client, amount=5)
    first = await grant(client, amount=5, priority=-1)
    await consume(client, "ada", "api_calls", 12)
    assert await left() == {first: 0, second: 3}
    assert (await release(client, "ada", "api_calls", 3)).used == 9
    assert await left() == {first: 1, second: 5}
    late = await grant(client, amount=1, priority=-2)
    await consume(client, "ada", "api_calls", 3)
    assert await left() == {late: 0, first: 0, second: 4}
    await release(client, "ada", "api_calls", 3)
    assert await left() == {late: 0, first: 2, second: 5}
    decision = await release(client, "ada", "api_calls", 9)
    assert (decision.used, decision.limit, decision.remaining) == (0, 16, 16)
    assert await left() == {late: 1, first: 5, second: 5}


async def test_a_grant_lasts_over_a_renewal_and_what_was_drawn_stays_drawn(
    client: Client, clock: Clock
) -> None:
    given = await grant(client, amount=10)
    await consume(client, "ada", "api_calls", 9)
    assert await left() == {given: 6}
    clock.now += 40 * DAY
    entitlements = await limits.load("ada")
    assert (entitlements.limit("api_calls"), entitlements.look("api_calls").used) == (11, 0)
    decision = await consume(client, "ada", "api_calls", 11)
    assert (decision.remaining, await left()) == (0, {given: 0})
    clock.now += 40 * DAY
    assert (await limits.load("ada")).limit("api_calls") == 5
    [february, january] = await limits.history("ada")
    assert (january.used, january.included, january.over) == (9, 15, 0)
    assert (february.used, february.included) == (11, 11)


async def test_a_release_in_a_closed_period_returns_to_its_grant(client: Client, clock: Clock) -> None:
    given = await grant(client, amount=10)
    january = int(clock.now)
    await consume(client, "ada", "api_calls", 9)
    clock.now += 40 * DAY
    await release(client, "ada", "api_calls", 1, at=january)
    assert await left() == {given: 7}
    await consume(client, "ada", "api_calls", 1)
    await release(client, "ada", "api_calls", 1, at=january)
    assert await left() == {given: 8}
    assert [each.used for each in await limits.history("ada")] == [7]


async def test_a_grant_counts_from_its_start_to_its_end(client: Client, clock: Clock) -> None:
    given = await grant(client, amount=10, starts_at=START + 10, expires_at=START + 20)
    await consume(client, "ada", "api_calls", 5)
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "api_calls")
    clock.now = START + 10
    await consume(client, "ada", "api_calls", 3)
    clock.now = START + 20
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "api_calls")
    entitlements = await limits.load("ada")
    assert (entitlements.limit("api_calls"), entitlements.look("api_calls").used) == (8, 8)
    await release(client, "ada", "api_calls", 1)  # to a grant that has ended: nobody may use it again
    assert (await limits.load("ada")).look("api_calls").remaining == 0
    assert [each.drawn.taken for each in entitlements.grants if each.id == given] == [3]


async def test_what_was_used_beyond_the_plan_leaves_a_grant_as_it_is(client: Client, clock: Clock) -> None:
    account, subscription = await subscribe(client, clock)
    await consume(client, "ada", "api_calls", 50)
    account.advance(10)
    seen = len(account.events)
    account.cancel_now(subscription)
    await client.deliver(*account.events[seen:])
    given = await grant(client, amount=4)
    decision = await consume(client, "ada", "api_calls", 3)
    assert (decision.used, decision.remaining, await left()) == (53, 1, {given: 1})
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "api_calls", 2)


async def test_past_a_soft_limit_the_grant_is_used_first(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    given = await grant(client, amount=10)
    decision = await consume(client, "ada", "api_calls", 105)
    assert (decision.reason, decision.limit, await left()) == ("ok", 110, {given: 5})
    decision = await consume(client, "ada", "api_calls", 10)
    assert (decision.reason, decision.used, await left()) == ("ok_soft", 115, {given: 0})


async def test_a_plan_without_the_feature_leaves_the_grant_to_be_used(client: Client) -> None:
    given = await grant(client, feature="tokens", amount=2)
    assert (await consume(client, "ada", "tokens", 2)).remaining == 0
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "tokens")
    assert await left(feature="tokens") == {given: 0}


async def test_a_plan_is_advised_whose_first_period_and_what_is_left_of_the_grant_suffice(
    client: Client,
) -> None:
    await grant(client, feature="tokens", amount=100)
    await consume(client, "ada", "tokens", 60)
    entitlements = await limits.load("ada")
    assert entitlements.check("tokens", None, 1040).upgrade_to == ("team",)
    assert entitlements.check("tokens", None, 1041).upgrade_to == ()
    entitlements = await limits.load("bob")
    assert entitlements.check("tokens", 900, 1000).upgrade_to == ("team",)


async def test_a_key_draws_once(client: Client) -> None:
    given = await grant(client, amount=10)
    for _ in range(2):
        assert (await consume(client, "ada", "api_calls", 8, key="k")).used == 8
    assert await left() == {given: 7}


async def test_a_rolled_back_use_and_a_rolled_back_grant_leave_nothing(client: Client) -> None:
    given = await grant(client, amount=10)
    database = client.app.state.billing.database
    with pytest.raises(ZeroDivisionError):
        async with database.session() as session:
            await limits.grant(session, "ada", "api_calls", 10)
            assert (await limits.consume(session, "ada", "api_calls", 20)).remaining == 5
            raise ZeroDivisionError
    assert await left() == {given: 10}
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "api_calls", 16)


async def test_several_features_are_drawn_all_or_none(client: Client) -> None:
    given = await grant(client, amount=2)
    database = client.app.state.billing.database
    with pytest.raises(LimitExceeded):
        async with database.session() as session:
            await limits.consume_many(session, "ada", {"api_calls": 6, "projects": 4})
    assert await left() == {given: 2}
    async with database.session() as session:
        await limits.consume_many(session, "ada", {"api_calls": 6, "projects": 3})
    assert await left() == {given: 1}


async def test_a_hold_reserves_of_a_grant_and_its_commit_draws(client: Client) -> None:
    given = await grant(client, amount=10)
    async with limits.reserve("ada", "api_calls", 12) as hold:
        assert (hold.decision.remaining, await left()) == (3, {given: 10})
        with pytest.raises(LimitExceeded):
            await consume(client, "ada", "api_calls", 4)
        decision = await hold.commit(9)
        assert (decision.used, decision.remaining) == (9, 6)
    assert await left() == {given: 6}


async def test_what_is_held_is_drawn_also_when_the_grant_came_after(client: Client) -> None:
    async with limits.reserve("ada", "api_calls", 5) as hold:
        given = await grant(client, amount=2)
        await consume(client, "ada", "api_calls", 2)
        assert (await hold.commit(5)).remaining == 0
    assert await left() == {given: 0}


async def test_usage_that_is_set_draws_what_is_more_and_returns_what_is_less(client: Client) -> None:
    given = await grant(client, amount=10)
    database = client.app.state.billing.database
    for measured, expected in ((9, 6), (20, 0), (7, 8), (1, 10)):
        async with database.session() as session:
            await limits.set_usage(session, "ada", "api_calls", measured)
        assert (measured, await left()) == (measured, {given: expected})


async def test_a_grant_raises_an_allocated_limit_while_it_lasts(client: Client, clock: Clock) -> None:
    await grant(client, feature="projects", amount=2, expires_at=START + 10)
    await grant(client, feature="projects", amount=1)
    assert (await consume(client, "ada", "projects", 6)).remaining == 0
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "projects")
    clock.now = START + 10
    entitlements = await limits.load("ada")
    assert (entitlements.limit("projects"), entitlements.look("projects").used) == (4, 6)
    assert "+ grant" in str(entitlements.explain("projects"))


async def test_a_plan_is_granted_until_it_ends(client: Client, clock: Clock) -> None:
    database = client.app.state.billing.database
    async with database.session() as session:
        given = await limits.grant(session, "ada", plan="team", expires_at=START + 10, reason="a friend")
    entitlements = await limits.load("ada")
    assert (entitlements.plan, entitlements.access, entitlements.allows("sso")) == ("team", "full", True)
    assert (entitlements.limit("projects"), entitlements.subscription) == (10, None)
    assert f"grant {given.id} by code, until" in str(entitlements.explain("projects"))
    clock.now = START + 10
    assert ((await limits.load("ada")).plan, (await limits.load("ada")).allows("sso")) == ("free", False)


async def test_an_ended_grant_gives_nothing_more(client: Client) -> None:
    given = await grant(client, amount=10)
    await consume(client, "ada", "api_calls", 6)
    database = client.app.state.billing.database
    async with database.session() as session:
        await limits.end_grant(session, "ada", given)
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "api_calls")
    with pytest.raises(Conflict):
        async with database.session() as session:
            await limits.end_grant(session, "ada", given)
    with pytest.raises(NotFound):
        async with database.session() as session:
            await limits.end_grant(session, "bob", given)


async def test_a_key_grants_once(client: Client, clock: Clock) -> None:
    given = await grant(client, key="k", expires_at=START + 10)
    assert await grant(client, key="k", expires_at=START + 10) == given
    assert len(await left()) == 1
    clock.now = START + 20
    assert await grant(client, key="k", expires_at=START + 10) == given, "also once it is over"
    with pytest.raises(Conflict):
        await grant(client, amount=11, key="k")


@pytest.mark.parametrize(
    "options",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 2**53},
        {"amount": "unlimited"},
        {"amount": True},
        {"amount": None},
        {"expires_at": START},
        {"starts_at": START + 20, "expires_at": START + 10},
        {"starts_at": -1},
        {"expires_at": MAX_SECONDS + 1},
        {"priority": 2**31},
        {"feature": "sso"},
        {"feature": "max_upload_mb"},
        {"plan": "team"},
        {"key": ""},
    ],
)
@pytest.mark.rest_in_long(8)
async def test_what_cannot_be_a_grant_is_refused(client: Client, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        await grant(client, **options)
    assert await left() == {}


async def test_a_great_grant_beside_a_great_limit_overflows_nothing(client: Client) -> None:
    for _ in range(3):
        await grant(client, amount=2**53 - 1)
    assert (await consume(client, "ada", "api_calls", 3 * (2**53 - 1) + 5)).remaining == 0
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "api_calls", 2**63 - 1)
