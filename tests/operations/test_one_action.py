"""An action that the API, the admin screen and the commands offer is one: same answers, same audit trail."""

from typing import Any

import orjson
import pytest
from sqlmodel import col, select

from app.db.models import AuditEntry
from app.operations.replay import replay
from app.operations.usage import change_usage
from app.service import Service
from app.simulator import DAY, Account
from tests.admin.cases import CASES
from tests.admin.visitor import START, Clock, Visitor, logged_in, words
from tests.client import AUTH, Client

pytestmark = pytest.mark.postgresql_in_long

OLD_ROWS = (
    ("override.end", "user_ada"),
    ("override.ended", "user_ada"),
    ("event.replay", "evt_1"),
    ("events.replay", "events"),
    ("events.replay", "*"),
    ("override.set", "events"),
)
"""Action and subject, as some version or other has written them."""


async def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    response = await client.http.request(method, f"/internal{path}", json=body, headers=AUTH)
    assert response.status_code in (200, 204), response.text
    return orjson.loads(response.content) if response.content else None


async def trail(client: Client) -> list[tuple[str, str, Any, Any]]:
    """What each entry says, but who and when, oldest first; without the log-ins."""
    query = select(AuditEntry).where(~col(AuditEntry.action).startswith("admin."))
    async with client.app.state.billing.database.reading() as session:
        rows = list(await session.exec(query.order_by(col(AuditEntry.at), col(AuditEntry.id))))
    return [(row.action, row.subject, _without_actor(row.before), _without_actor(row.after)) for row in rows]


def _without_actor(values: dict[str, Any] | None) -> dict[str, Any] | None:
    return values and {name: value for name, value in values.items() if name != "actor"}


async def usage_review(visitor: Visitor, user_id: str, feature: str) -> str:
    path = f"/admin/action/usage?user={user_id}&feature={feature}&used=7"
    return words((await visitor.http.get(path)).text)


async def test_the_api_and_the_screen_leave_the_same_entries(database_url: str) -> None:
    account = Account(start=START - DAY)
    customer = account.create_customer("ada@example.com")
    async with logged_in(database_url) as (client, visitor):
        await client.deliver(*account.events)
        change = {"op": "set", "value": 5, "reason": "Promised", "actor": "ada"}
        await send(client, "PUT", f"/customers/{customer.id}", {"user_id": "ada"})
        await send(client, "PUT", "/users/ada/overrides/projects", change)
        await send(client, "POST", "/users/ada/usage/projects", {"op": "set", "amount": 2})
        await send(client, "DELETE", "/users/ada/overrides/projects")
        await send(client, "POST", "/events/replay", {"state": "dead"})
        await send(client, "POST", "/outbox/replay", {"receiver": "crm"})
        by_api = await trail(client)
        await visitor.act("link", customer=customer.id, user="ada")
        await visitor.act("override", user="ada", feature="projects", op="set", value="5", reason="Promised")
        await visitor.act("usage", user="ada", feature="projects", used="2")
        await visitor.act("end-override", user="ada", feature="projects")
        await visitor.act("replay-all", state="dead")
        await visitor.act("replay-outbox", receiver="crm")
        by_screen = (await trail(client))[len(by_api) :]
    named = [("customer.linked", customer.id), ("override.set", "ada"), ("usage.set", "ada")]
    replays = [("events.replay", "*"), ("outbox.replay", "crm")]
    assert [entry[:2] for entry in by_api] == [*named, ("override.ended", "ada"), *replays]
    link, usage = named[0][0], named[2][0]
    assert [entry[:2] for entry in by_screen] == [entry[:2] for entry in by_api]
    for api, screen in zip(by_api, by_screen, strict=True):
        if api[0] not in (link, usage):  # what was there before differs
            assert screen == api


async def test_a_replayed_event_stands_in_the_trail_with_its_state_and_one_that_is_applied_does_not(
    database_url: str,
) -> None:
    case = next(case for case in CASES if case.name == "dead")
    async with logged_in(database_url) as (client, _):
        await case.prepare(case, client)
        [dead] = (await client.read("/internal/events", state="dead"))["data"]
        assert (await send(client, "POST", f"/events/{dead['event_id']}/replay"))["state"] == "processed"
        [entry] = await trail(client)
        assert entry[:2] == ("events.replay", dead["event_id"])
        assert entry[2] == {"state": "dead", "attempts": 9, "last_error": dead["last_error"]}
        await send(client, "POST", f"/events/{dead['event_id']}/replay")
        assert await trail(client) == [entry]
        service: Service = client.app.state.billing
        assert await replay(service.database, "ada", at=START, event_id="evt_unknown") == 0
        assert await trail(client) == [entry]


async def test_the_screen_counts_usage_as_the_api_does_when_the_period_is_over(database_url: str) -> None:
    clock = Clock()
    async with logged_in(database_url, clock) as (client, visitor):
        await send(client, "POST", "/users/ada/usage/api_calls", {"op": "consume", "amount": 900})
        assert "is counted as 900 used" in await usage_review(visitor, "ada", "api_calls")
        clock.now += 32 * DAY
        assert (await visitor.log_in()).status_code == 303
        features = (await client.read("/internal/users/ada/entitlements"))["features"]
        assert features["api_calls"]["used"] == 0
        assert "is counted as 0 used" in await usage_review(visitor, "ada", "api_calls")


async def test_the_screen_counts_what_a_reservation_holds_as_the_api_does(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        service: Service = client.app.state.billing
        await change_usage(service, "ada", "api_calls", "set", 7, actor="test")
        async with service.limits.reserve("ada", "api_calls", 50):
            features = (await client.read("/internal/users/ada/entitlements"))["features"]
            assert features["api_calls"]["used"] == 57
            assert "is counted as 57 used" in await usage_review(visitor, "ada", "api_calls")
            await visitor.act("usage", user="ada", feature="api_calls", used="20")
            features = (await client.read("/internal/users/ada/entitlements"))["features"]
            assert features["api_calls"]["used"] == 70
        *_, (action, _, before, after) = await trail(client)
        assert (action, before) == ("usage.set", {"feature": "api_calls", "used": 57})
        assert after == {"feature": "api_calls", "used": 70, "amount": 20, "key": None}


async def test_entries_of_earlier_versions_are_found_and_shown_under_todays_names(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        async with client.app.state.billing.database.session() as session:
            for number, (action, subject) in enumerate(OLD_ROWS):
                row = AuditEntry(id=f"aud_{number}", at=START, actor="ada", action=action, subject=subject)
                session.add(row)

        async def shown(**filters: str) -> int:
            response = await visitor.http.get("/admin/audit", params=filters)
            return response.text.count('data-label="Who"')

        page = words(await visitor.open("/audit"))
        assert "override.end " not in page and "event.replay " not in page
        for action in ("override.end", "override.ended"):
            assert await shown(action=action) == 2, action
        for action in ("event.replay", "events.replay"):
            assert await shown(action=action) == 3, action
        assert await shown(subject="*") == 2
        assert await shown(subject="events") == 2  # a user may be called so
        assert await shown(subject="user_ada") == 2
