"""What can be done on the screen: it is done, once it is confirmed, and stands in the audit trail."""

from typing import Any

import pytest
from sqlmodel import col, select

from app.db.models import AuditEntry, Customer, Override, Subscription, User, WebhookEvent
from app.simulator import DAY, Account
from tests.client import Client
from tests.waiting import until

from .cases import CASES, Case
from .visitor import START, USERNAME, Clock, logged_in, token_of, words

pytestmark = pytest.mark.postgresql_in_long


def case_of(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


async def audited(client: Client, action: str) -> list[AuditEntry]:
    async with client.app.state.billing.database.reading() as session:
        query = select(AuditEntry).where(col(AuditEntry.action) == action).order_by(col(AuditEntry.at))
        rows = list(await session.exec(query))
    assert {row.actor for row in rows} <= {f"admin:{USERNAME}"}
    return rows


async def stored(client: Client, model: Any, key: Any) -> Any:
    async with client.app.state.billing.database.reading() as session:
        return await session.get(model, key)


async def dead_event_of(client: Client) -> WebhookEvent:
    async with client.app.state.billing.database.reading() as session:
        query = select(WebhookEvent).where(col(WebhookEvent.state) == "dead")
        event: WebhookEvent = (await session.exec(query)).one()
        return event


async def test_a_dead_event_is_replayed_and_applied(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        await case_of("dead").prepare(case_of("dead"), client)
        event = await dead_event_of(client)

        async def is_processed() -> bool:
            return bool((await stored(client, WebhookEvent, event.id)).state == "processed")

        done = await visitor.act("replay", event=event.id)
        assert done.headers["location"] == f"/admin/event?id={event.id}&done=replay"
        await until(is_processed)  # the service's own worker may have taken it first
        [entry] = await audited(client, "events.replay")
        assert entry.subject == event.id
        assert entry.before is not None and entry.before["state"] == "dead"
        page = words(await visitor.open("/user?id=user_dead"))
        assert "audit events.replay" in page and f"by admin:{USERNAME}" in page


async def test_an_event_that_is_applied_is_not_replayed(database_url: str) -> None:
    account = Account(start=START - DAY)
    account.create_customer("ada@example.com", user_id="user_ada")
    async with logged_in(database_url) as (client, visitor):
        await client.deliver(*account.events)
        refused = await visitor.act("replay", 422, event=account.events[0].id)
        assert "only ignored, failed and dead ones" in refused.text
        assert await audited(client, "events.replay") == []


async def test_all_dead_events_are_made_due_at_once(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        await case_of("dead").prepare(case_of("dead"), client)
        event = await dead_event_of(client)
        await visitor.act("replay-all", state="dead")
        assert (await stored(client, WebhookEvent, event.id)).state in ("failed", "processed")
        [entry] = await audited(client, "events.replay")
        assert entry.after == {"replayed": 1}


async def test_a_customer_is_linked_to_a_user(database_url: str) -> None:
    case = case_of("unlinked")
    async with logged_in(database_url) as (client, visitor):
        await case.prepare(case, client)
        page = await visitor.open(f"/search?q={case.email}")
        customer_id = page.split("action/link?customer=")[1].split('"')[0]
        await visitor.act("link", customer=customer_id, user="user/with ünusual?id")
        row = await stored(client, Customer, customer_id)
        assert row.user_id == "user/with ünusual?id"
        [entry] = await audited(client, "customer.linked")
        assert entry.before == {"user_id": None}
        assert entry.after is not None and entry.after["user_id"] == row.user_id
        linked = words(await visitor.open(f"/search?q={case.email}"))
        assert "Plan Team" in linked
        assert "internal.customer.linked" in linked


async def test_an_override_is_set_replaced_and_ended(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        fields = {"user": "user_ada", "feature": "projects", "reason": "Promised"}
        await visitor.act("override", **fields, op="add", value="5", expires="2030-12-31T18:00")
        row = await stored(client, Override, ("user_ada", "projects"))
        assert (row.value, row.expires_at, row.actor) == (5, 1_924_970_400, f"admin:{USERNAME}")
        assert "0 of 8" in words(await visitor.open("/user?id=user_ada"))
        await visitor.act("override", **fields, op="set", value="40", expires="2030-12-31T20:00+02:00")
        row = await stored(client, Override, ("user_ada", "projects"))
        assert (row.value, row.expires_at) == (40, 1_924_970_400)
        assert "0 of 40" in words(await visitor.open("/user?id=user_ada"))
        await visitor.act("end-override", user="user_ada", feature="projects")
        assert "0 of 3" in words(await visitor.open("/user?id=user_ada"))
        # Other processes read again what has a new version.
        assert (await stored(client, User, "user_ada")).version == 3
        first, second = await audited(client, "override.set")
        assert first.before is None
        assert second.before is not None and second.before["value"] == 5
        [ended] = await audited(client, "override.ended")
        assert ended.before is not None and ended.before["value"] == 40


async def test_an_override_that_cannot_be_is_refused_with_the_remedy(database_url: str) -> None:
    good = {"user": "u", "feature": "projects", "op": "set", "value": "5", "reason": "r"}
    wrong = (
        ({"value": "many"}, "projects"),
        ({"value": "-1"}, "projects"),
        ({"op": "multiply"}, "set, add or remove"),
        ({"feature": "nothing"}, "use one of its features"),
        ({"reason": " "}, "Reason: 1 to"),
        ({"expires": "tomorrow"}, "a date and time in UTC"),
        ({"expires": "9999-12-31T23:59-14:00"}, "a date and time in UTC"),
        ({"expires": "2001-01-01T00:00"}, "that moment is past"),
        ({"user": "\n"}, "User: 1 to 255"),
    )
    async with logged_in(database_url) as (client, visitor):
        for change, says in wrong:
            refused = await visitor.act("override", 404 if "feature" in change else 422, **(good | change))
            assert says in refused.text, change
        assert await audited(client, "override.set") == []


async def test_usage_is_corrected(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        await case_of("overlimit").prepare(case_of("overlimit"), client)
        review = words(
            (await visitor.http.get("/admin/action/usage?user=user_overlimit&feature=projects&used=7")).text
        )
        assert "is counted as 25 used" in review and "It will be 7" in review
        await visitor.act("usage", user="user_overlimit", feature="projects", used="7")
        assert "7 of 10" in words(await visitor.open("/user?id=user_overlimit"))
        [entry] = await audited(client, "usage.set")
        assert entry.before == {"feature": "projects", "used": 25}
        assert entry.after == {"feature": "projects", "used": 7, "amount": 7, "key": None}


async def test_a_subscription_is_marked_to_be_read_again(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        await case_of("thin").prepare(case_of("thin"), client)
        page = await visitor.open("/user?id=user_thin")
        subscription_id = page.split("action/reread?subscription=")[1].split('"')[0]
        await visitor.act("reread", subscription=subscription_id)
        assert (await stored(client, Subscription, subscription_id)).needs_refresh is True
        [entry] = await audited(client, "subscription.reread")
        assert (entry.before, entry.after) == ({"needs_refresh": False}, {"needs_refresh": True})


async def test_nothing_happens_before_it_is_confirmed(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        fields = {"user": "user_ada", "feature": "projects", "op": "set", "value": "9", "reason": "r"}
        asked = await visitor.http.get("/admin/action/override", params=fields)
        assert asked.status_code == 200 and "written into the audit trail" in asked.text
        form = fields | {"token": token_of(asked.text)}
        assert (await visitor.http.post("/admin/action/override", data=form)).status_code == 200
        changed = await visitor.http.post("/admin/action/override", data=form | {"change": "yes"})
        assert 'value="9"' in changed.text
        assert await stored(client, Override, ("user_ada", "projects")) is None


async def test_what_does_not_exist_is_named_and_nothing_breaks(database_url: str) -> None:
    async with logged_in(database_url, Clock()) as (_, visitor):
        assert "No event with this id" in (await visitor.act("replay", 404, event="evt_none")).text
        assert "No customer" in (await visitor.act("link", 404, customer="cus_none", user="u")).text
        assert "No subscription" in (await visitor.act("reread", 404, subscription="sub_none")).text
        ended = await visitor.act("end-override", 404, user="u", feature="projects")
        assert "has no override" in ended.text
        await visitor.open("/action/delete-everything", 404)


async def test_the_message_after_an_action_cannot_be_made_up_in_a_link(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (_, visitor):
        assert "The override holds." in await visitor.open("/user?id=u&done=override")
        assert "call this number" not in await visitor.open("/user?id=u&done=call%20this%20number")
