"""What application code asks and takes, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI

from app import limits
from app.errors import Conflict, InvalidRequest, NotFound
from app.limits import FeatureNotIncluded, LimitExceeded
from app.limits.cache import MAX_AGE_SECONDS
from app.observability import metrics
from app.simulator import DAY, Account, Subscription

from ..client import AUTH, Client, running

START = 1_893_456_000
PLANS = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
storage_bytes = { kind = "allocated" }
api_calls = { kind = "consumable", reset = "month" }
tokens = { kind = "consumable", reset = "period" }
max_upload_mb = { kind = "static" }
sso = { kind = "boolean" }
[plans.free]
projects = 3
storage_bytes = "1 GiB"
api_calls = 5
[plans.team]
prices = ["price_team"]
projects = { limit = 10, per_unit = true }
storage_bytes = "unlimited"
api_calls = { limit = 100, soft = true }
tokens = 1000
max_upload_mb = 100
sso = true
[addons.more_projects]
prices = ["price_more_projects"]
projects = 50
"""


class Clock:
    """A clock that moves only when a test says so."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plans_file(tmp_path: Path) -> Path:
    file = tmp_path / "plans.toml"
    file.write_text(PLANS)
    return file


@pytest.fixture
async def client(database_url: str, clock: Clock, plans_file: Path) -> AsyncIterator[Client]:
    async with running(database_url, clock=clock, plans_file=plans_file) as client:
        yield client


async def consume(
    client: Client, user: str, feature: str, amount: int = 1, **options: Any
) -> limits.Decision:
    async with client.app.state.billing.database.session() as session:
        taken: limits.Decision = await limits.consume(session, user, feature, amount, **options)
        return taken


async def release(
    client: Client, user: str, feature: str, amount: int = 1, **options: Any
) -> limits.Decision:
    async with client.app.state.billing.database.session() as session:
        released: limits.Decision = await limits.release(session, user, feature, amount, **options)
        return released


async def subscribe(
    client: Client, clock: Clock, user: str = "ada", **options: Any
) -> tuple[Account, Subscription]:
    account = Account(len(user), start=int(clock.now))
    subscription = account.create_subscription(account.create_customer(user_id=user), "price_team", **options)
    await client.deliver(*account.events)
    return account, subscription


async def test_an_unknown_user_has_the_default_plan_and_nothing_is_written(client: Client) -> None:
    entitlements = await limits.load("nobody")
    assert (entitlements.plan, entitlements.limit("projects"), entitlements.allows("sso")) == (
        "free",
        3,
        False,
    )
    assert entitlements.check("projects").allowed
    assert not entitlements.check("projects", used=3).allowed
    async with client.app.state.billing.database.reading() as session:
        connection = await session.connection()
        for table in ("user", "usage", "customer"):
            count = await connection.exec_driver_sql(f"SELECT count(*) FROM billing_{table}")
            assert count.scalar_one() == 0


async def test_a_free_user_is_stopped_at_the_limit_and_an_upgrade_is_seen_at_once(
    client: Client, clock: Clock
) -> None:
    for number in (1, 2, 3):
        decision = await consume(client, "ada", "projects")
        assert (decision.used, decision.remaining) == (number, 3 - number)
    with pytest.raises(LimitExceeded) as caught:
        await consume(client, "ada", "projects")
    denied = caught.value.decision
    assert (denied.reason, denied.used, denied.limit, denied.upgrade_to) == ("limit_reached", 3, 3, ("team",))
    await subscribe(client, clock, quantity=2)
    assert (await limits.load("ada")).limit("projects") == 20
    assert (await consume(client, "ada", "projects")).used == 4


async def test_a_rollback_is_the_refund(client: Client) -> None:
    database = client.app.state.billing.database
    with pytest.raises(ZeroDivisionError):
        async with database.session() as session:
            await limits.consume(session, "ada", "projects", 3, key="k")
            raise ZeroDivisionError
    assert (await consume(client, "ada", "projects", 3, key="k")).used == 3


async def test_a_downgrade_below_the_usage_blocks_growth_and_allows_release(
    client: Client, clock: Clock
) -> None:
    account, subscription = await subscribe(client, clock)
    await consume(client, "ada", "projects", 8)
    account.advance(10)
    clock.now += 10
    account.cancel_now(subscription)
    await client.deliver(account.events[-1])
    with pytest.raises(LimitExceeded) as caught:
        await consume(client, "ada", "projects")
    assert (caught.value.decision.reason, caught.value.decision.used) == ("over_limit", 8)
    assert (await release(client, "ada", "projects", 6)).used == 2
    assert (await consume(client, "ada", "projects")).used == 3
    assert (await release(client, "ada", "projects", 50)).used == 0


async def test_what_a_plan_does_not_name_is_denied(client: Client) -> None:
    with pytest.raises(FeatureNotIncluded) as caught:
        await consume(client, "ada", "tokens")
    assert (caught.value.decision.reason, caught.value.decision.upgrade_to) == ("not_in_plan", ("team",))


@pytest.mark.parametrize("amount", [0, -1, 2**63, True, 1.5])
async def test_an_amount_that_is_none_is_refused(client: Client, amount: Any) -> None:
    with pytest.raises(InvalidRequest, match="amount"):
        await consume(client, "ada", "projects", amount)


async def test_the_greatest_amounts_do_not_overflow(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    assert (await consume(client, "ada", "storage_bytes", 2**63 - 1)).used == 2**63 - 1
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "storage_bytes", 1)
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "storage_bytes", 2**63 - 1)
    assert (await release(client, "ada", "storage_bytes", 2**63 - 1)).used == 0


async def test_a_feature_that_is_not_counted_cannot_be_taken(client: Client) -> None:
    with pytest.raises(InvalidRequest, match="boolean"):
        await consume(client, "ada", "sso")
    with pytest.raises(NotFound, match="colour"):
        await consume(client, "ada", "colour")


async def test_a_key_takes_once_and_answers_alike_for_seven_days(client: Client, clock: Clock) -> None:
    first = await consume(client, "ada", "projects", 2, key="request-1")
    assert await consume(client, "ada", "projects", 2, key="request-1") == first
    assert (await limits.load("ada")).check("projects").used == 2
    with pytest.raises(Conflict):
        await consume(client, "ada", "projects", 1, key="request-1")
    clock.now += 7 * DAY + 1
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "projects", 2, key="request-1")


async def test_a_denial_is_not_remembered_under_a_key(client: Client, clock: Clock) -> None:
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "projects", 4, key="request-1")
    await subscribe(client, clock)
    assert (await consume(client, "ada", "projects", 4, key="request-1")).used == 4


async def test_a_key_of_consume_is_none_of_release_nor_of_another_feature_or_user(client: Client) -> None:
    await consume(client, "ada", "projects", 2, key="k")
    assert (await release(client, "ada", "projects", 1, key="k")).used == 1
    assert (await release(client, "ada", "projects", 1, key="k")).used == 1
    assert (await consume(client, "ada", "storage_bytes", 1, key="k")).used == 1
    assert (await consume(client, "bob", "projects", 3, key="k")).used == 3


async def test_a_release_of_more_than_is_used_says_so_and_is_counted(client: Client) -> None:
    counter = metrics.OVER_RELEASED.labels("storage_bytes")
    before = counter._value.get()
    await consume(client, "ada", "storage_bytes", 5)
    enough = await release(client, "ada", "storage_bytes", 5)
    assert (enough.allowed, enough.reason, enough.used) == (True, "ok", 0)
    await consume(client, "ada", "storage_bytes", 5)
    more = await release(client, "ada", "storage_bytes", 6, key="k")
    assert (more.allowed, more.reason, more.used) == (True, "over_released", 0)
    assert await release(client, "ada", "storage_bytes", 6, key="k") == more
    never = await release(client, "bob", "storage_bytes")
    assert (never.reason, never.used) == ("over_released", 0)
    assert counter._value.get() - before == 2


async def test_of_eight_releases_at_once_those_of_more_than_is_used_say_so(client: Client) -> None:
    await consume(client, "ada", "storage_bytes", 5)
    decisions = await asyncio.gather(*(release(client, "ada", "storage_bytes", 2) for _ in range(8)))
    assert sorted(each.reason for each in decisions) == ["ok"] * 2 + ["over_released"] * 6
    assert sorted(each.used for each in decisions) == [0] * 6 + [1, 3]


async def test_fifty_uses_of_one_key_at_once_take_once(client: Client) -> None:
    decisions = await asyncio.gather(*(consume(client, "ada", "projects", key="k") for _ in range(50)))
    assert len(set(decisions)) == 1
    assert (await consume(client, "ada", "projects", 2)).used == 3


async def test_several_features_are_taken_together_or_not_at_all(client: Client) -> None:
    database = client.app.state.billing.database
    async with database.session() as session:
        taken = await limits.consume_many(session, "ada", {"storage_bytes": 7, "projects": 2})
        assert list(taken) == ["projects", "storage_bytes"]
        with pytest.raises(LimitExceeded):
            await limits.consume_many(session, "ada", {"storage_bytes": 2**40, "api_calls": 1})
    usage = (await limits.load("ada")).usage
    assert usage == {"projects": 2, "storage_bytes": 7}


async def test_a_key_of_several_features_takes_once_and_is_no_key_of_others(client: Client) -> None:
    database = client.app.state.billing.database
    for _ in range(2):
        async with database.session() as session:
            await limits.consume_many(session, "ada", {"api_calls": 1, "projects": 1}, key="k")
    async with database.session() as session:
        with pytest.raises(Conflict, match="for projects alone"):
            await limits.consume_many(session, "ada", {"projects": 1, "storage_bytes": 1}, key="k")
    assert (await limits.load("ada")).usage == {"api_calls": 1, "projects": 1}


async def test_a_reservation_counts_until_it_is_finished(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    async with limits.reserve("ada", "tokens", 800, ttl=60) as hold:
        with pytest.raises(LimitExceeded):
            await consume(client, "ada", "tokens", 300)
        assert (await consume(client, "ada", "tokens", 200)).used == 1000
        assert (await hold.commit(500)).used == 700
    assert (await consume(client, "ada", "tokens", 300)).used == 1000


async def test_a_hold_that_is_not_committed_is_released(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    with pytest.raises(ZeroDivisionError):
        async with limits.reserve("ada", "tokens", 1000):
            raise ZeroDivisionError
    assert (await consume(client, "ada", "tokens", 1000)).used == 1000


async def test_a_hold_past_its_time_counts_no_more_and_commits_as_an_ordinary_consume(
    client: Client, clock: Clock
) -> None:
    await subscribe(client, clock)
    async with limits.reserve("ada", "tokens", 900, ttl=60) as hold:
        clock.now += 61
        assert (await consume(client, "ada", "tokens", 400)).used == 400
        with pytest.raises(LimitExceeded):
            await hold.commit(900)
        assert (await hold.commit(600)).used == 1000


async def test_more_than_was_held_is_taken_only_within_the_limit(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    async with limits.reserve("ada", "tokens", 100) as hold:
        with pytest.raises(LimitExceeded):
            await hold.commit(1001)
        assert (await hold.commit(1000)).used == 1000


async def test_measured_usage_is_set_and_blocks_growth(client: Client) -> None:
    async with client.app.state.billing.database.session() as session:
        decision = await limits.set_usage(session, "ada", "storage_bytes", 2**31)
    assert (decision.allowed, decision.used, decision.remaining) == (True, 2**31, 0)
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "storage_bytes", 1)


async def test_a_consumable_resets_with_the_utc_month(client: Client, clock: Clock) -> None:
    assert (await consume(client, "ada", "api_calls", 5)).resets_at == START + 31 * DAY
    with pytest.raises(LimitExceeded) as caught:
        await consume(client, "ada", "api_calls")
    assert caught.value.http_status == 429
    assert caught.value.headers == {"Retry-After": str(31 * DAY)}
    clock.now = START + 31 * DAY
    assert (await limits.load("ada")).check("api_calls").used == 0
    assert (await consume(client, "ada", "api_calls")).used == 1


async def test_a_period_without_a_renewal_seen_stays_open(client: Client, clock: Clock) -> None:
    account, subscription = await subscribe(client, clock)
    await consume(client, "ada", "tokens", 900)
    clock.now += 31 * DAY
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "tokens", 200)
    account.advance(31 * DAY)
    account.renew(subscription)
    await client.deliver(*account.events[-5:])
    assert (await consume(client, "ada", "tokens", 200)).used == 200


async def test_changing_plans_back_and_forth_resets_nothing(client: Client, clock: Clock) -> None:
    await consume(client, "ada", "api_calls", 5)
    account, subscription = await subscribe(client, clock)
    assert (await consume(client, "ada", "api_calls", 3)).used == 8
    clock.now += 60
    account.advance(60)
    account.cancel_now(subscription)
    await client.deliver(account.events[-1])
    with pytest.raises(LimitExceeded) as caught:
        await consume(client, "ada", "api_calls")
    assert caught.value.decision.used == 8


async def test_a_soft_limit_is_passed_and_reported(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    assert (await consume(client, "ada", "api_calls", 100)).reason == "ok"
    decision = await consume(client, "ada", "api_calls", 50)
    assert (decision.allowed, decision.reason, decision.used, decision.remaining) == (True, "ok_soft", 150, 0)


async def test_grace_and_the_payment_that_would_restore_access(client: Client, clock: Clock) -> None:
    account, subscription = await subscribe(client, clock)
    await consume(client, "ada", "projects", 5)
    account.advance(30 * DAY)
    clock.now += 30 * DAY
    account.renew(subscription, paid=False)
    await client.deliver(*account.events)
    decision = await consume(client, "ada", "projects")
    assert (decision.reason, decision.grace_ends_at) == ("ok_grace", START + 37 * DAY)
    clock.now += 7 * DAY
    with pytest.raises(LimitExceeded) as caught:
        await consume(client, "ada", "projects")
    assert (caught.value.decision.reason, caught.value.http_status) == ("payment_required", 402)


async def test_reconcile_reports_drift_before_it_repairs(client: Client) -> None:
    await consume(client, "ada", "projects", 2)
    await consume(client, "bob", "projects", 1)

    async def count() -> dict[str, int]:
        return {"ada": 3, "bob": 1, "cleo": 1}

    expected = [("ada", 2, 3), ("cleo", 0, 1)]
    found = await limits.reconcile("projects", count)
    assert [(drift.user_id, drift.used, drift.counted) for drift in found] == expected
    assert not any(drift.repaired for drift in found)
    repaired = await limits.reconcile("projects", count, dry_run=False)
    assert all(drift.repaired for drift in repaired)
    assert await limits.reconcile("projects", count) == []


async def test_a_preview_says_what_would_be_over(client: Client, clock: Clock) -> None:
    await subscribe(client, clock)
    await consume(client, "ada", "projects", 8)
    previewed = (await limits.preview("ada", plan="free"))["projects"]
    assert (previewed.limit_now, previewed.limit_then, previewed.used, previewed.over) == (10, 3, 8, 5)


async def test_what_another_process_changed_is_seen_when_the_answer_has_aged(
    client: Client, clock: Clock, database_url: str, plans_file: Path
) -> None:
    assert (await limits.load("ada")).plan == "free"
    here = client.app.state.billing.limits
    async with running(database_url, clock=clock, plans_file=plans_file) as other:
        await subscribe(other, clock)
    clock.now += MAX_AGE_SECONDS
    assert (await here.load("ada")).plan == "team"


async def test_a_stale_answer_never_lets_too_many_through(
    client: Client, clock: Clock, plans_file: Path
) -> None:
    """The guard compares the version in the database: what is remembered here may be as old as it likes."""
    account, subscription = await subscribe(client, clock)
    service = client.app.state.billing
    async with service.database.reading() as session:
        remembered = await service.limits.snapshots.read(await session.connection(), "ada")
    account.advance(5)
    account.cancel_now(subscription)
    await client.deliver(account.events[-1])
    service.limits.snapshots._cache._entries["ada"] = remembered
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "projects", 4)


async def test_the_feature_dependency_lets_in_or_answers_with_the_decision(
    client: Client, clock: Clock
) -> None:
    async def current_user() -> str:
        return "ada"

    app: FastAPI = client.app

    @app.get("/sso")
    async def sso(
        entitlements: limits.Entitlements = Depends(limits.require("sso", user=current_user)),
    ) -> str:
        return entitlements.plan or ""

    response = await client.http.get("/sso")
    assert (response.status_code, response.json()["reason"]) == (403, "not_in_plan")
    assert response.json()["upgrade_to"] == ["team"]
    await subscribe(client, clock)
    assert (await client.http.get("/sso")).json() == "team"


async def post_usage(client: Client, feature: str = "projects", **body: Any) -> Any:
    return await client.http.post(f"/internal/users/ada/usage/{feature}", json=body, headers=AUTH)


async def test_other_services_take_and_ask_over_http(client: Client, clock: Clock) -> None:
    assert (await post_usage(client, op="consume", amount=3, key="k")).json()["used"] == 3
    assert (await post_usage(client, op="consume", amount=3, key="k")).status_code == 200
    denied = await post_usage(client, op="consume", amount=1)
    assert (denied.status_code, denied.json()["reason"], denied.json()["limit"]) == (403, "limit_reached", 3)
    asked = await post_usage(client, op="check", amount=1)
    assert (asked.status_code, asked.json()["allowed"]) == (200, False)
    assert (await post_usage(client, op="consume", amount=2, key="k")).status_code == 409
    assert (await post_usage(client, op="release", amount=1)).json()["used"] == 2
    assert (await post_usage(client, op="set", amount=0)).json()["used"] == 0
    spent = await post_usage(client, "api_calls", op="consume", amount=6)
    assert (spent.status_code, "retry-after" in spent.headers) == (429, True)
    assert (await post_usage(client, "tokens", op="consume")).status_code == 403


@pytest.mark.parametrize(
    ("feature", "body", "status"),
    [
        ("colour", {"op": "consume"}, 404),
        ("projects", {"op": "consume", "amount": 0}, 422),
        ("projects", {"op": "release", "amount": -1}, 422),
        ("projects", {"op": "set", "amount": 2**63}, 422),
        ("projects", {"op": "consume", "amount": "1"}, 422),
        ("projects", {"op": "consume", "amount": True}, 422),
        ("projects", {"op": "steal"}, 422),
        ("projects", {"op": "consume", "key": "a\u0000"}, 422),
        ("sso", {"op": "consume"}, 422),
    ],
)
async def test_a_bad_request_for_usage_changes_nothing(
    client: Client, feature: str, body: dict[str, Any], status: int
) -> None:
    assert (await post_usage(client, feature, **body)).status_code == status
    assert (await limits.load("ada")).usage == {}


async def test_entitlements_over_http(client: Client, clock: Clock) -> None:
    await consume(client, "ada", "projects", 2)
    free = await client.read("/internal/users/ada/entitlements")
    assert (free["plan"], free["access"], free["user_id"]) == ("free", "none", "ada")
    assert free["features"]["projects"] == {
        "kind": "allocated",
        "value": 3,
        "limit": 3,
        "used": 2,
        "remaining": 1,
        "soft": False,
        "resets_at": None,
        "over_since": None,
        "over_until": None,
    }
    _, subscription = await subscribe(client, clock)
    team = await client.read(f"/internal/customers/{subscription.customer}/entitlements")
    assert (team["plan"], team["status"], team["access"]) == ("team", "active", "full")
    assert team["features"]["storage_bytes"]["limit"] is None
    assert (await client.get("/internal/customers/cus_unknown/entitlements")).status_code == 404


async def test_a_customer_of_no_user_has_the_default_plan(client: Client) -> None:
    account = Account(seed=2, start=START - DAY)
    subscription = account.create_subscription(account.create_customer(), "price_team")
    await client.deliver(*account.events)
    found = await client.read(f"/internal/customers/{subscription.customer}/entitlements")
    assert (found["plan"], found["user_id"], found["access"]) == ("free", None, "none")
    assert found["features"]["projects"]["used"] == 0


async def test_an_override_holds_at_once_and_ends_with_its_time(client: Client, clock: Clock) -> None:
    path = "/internal/users/ada/overrides/projects"
    body = {"op": "add", "value": 2, "expires_at": START + 60, "reason": "promised", "actor": "bob"}
    assert (await consume(client, "ada", "projects", 3)).remaining == 0
    put = await client.http.put(path, json=body, headers=AUTH)
    assert (put.status_code, put.json()["value"]) == (200, 2)
    assert (await consume(client, "ada", "projects")).used == 4
    listed = await client.read("/internal/users/ada/overrides")
    assert [entry["feature"] for entry in listed["data"]] == ["projects"]
    clock.now += 60
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "projects")
    unlimited = {"op": "set", "value": "unlimited", "reason": "promised", "actor": "bob"}
    await client.http.put(path, json=unlimited, headers=AUTH)
    assert (await consume(client, "ada", "projects", 100)).limit is None
    assert (await client.http.delete(path, headers=AUTH)).status_code == 204
    assert (await client.http.delete(path, headers=AUTH)).status_code == 404
    with pytest.raises(LimitExceeded):
        await consume(client, "ada", "projects")


@pytest.mark.parametrize(
    ("feature", "changes", "status"),
    [
        ("colour", {}, 404),
        ("projects", {"value": "many"}, 422),
        ("projects", {"value": -1}, 422),
        ("projects", {"value": None}, 422),
        ("projects", {"op": "multiply"}, 422),
        ("projects", {"reason": ""}, 422),
        ("projects", {"actor": "\u0000"}, 422),
        ("sso", {"value": 3}, 422),
    ],
)
async def test_a_bad_override_is_refused(
    client: Client, feature: str, changes: dict[str, Any], status: int
) -> None:
    body = {"op": "set", "value": 1, "reason": "promised", "actor": "bob"} | changes
    path = f"/internal/users/ada/overrides/{feature}"
    assert (await client.http.put(path, json=body, headers=AUTH)).status_code == status
    assert (await client.read("/internal/users/ada/overrides"))["data"] == []


async def test_a_preview_over_http(client: Client) -> None:
    path = "/internal/users/ada/preview"
    previewed = await client.http.post(path, json={"plan": "team", "quantity": 3}, headers=AUTH)
    assert previewed.json()["projects"] == {"limit_now": 3, "limit_then": 30, "used": 0, "over": 0}
    for body, status in (({"plan": "odd"}, 404), ({"price_id": "odd"}, 404), ({}, 422)):
        assert (await client.http.post(path, json=body, headers=AUTH)).status_code == status
