"""Event destinations, by the official library."""

from typing import Any

import pytest
import stripe

from app.simulator import Account

from .client import browsing, connected, plain

WEBHOOK: Any = {
    "name": "Records",
    "type": "webhook_endpoint",
    "event_payload": "thin",
    "enabled_events": ["v1.customer.subscription.updated", "v1.invoice.paid"],
    "webhook_endpoint": {"url": "https://app.example/webhook/stripe"},
}
URL, SECRET = "webhook_endpoint.url", "webhook_endpoint.signing_secret"


async def test_url_and_secret_are_shown_only_where_they_are_included() -> None:
    async with connected(Account(1)) as client:
        service = client.v2.core.event_destinations
        bare = plain(await service.create_async(WEBHOOK))
        assert bare["webhook_endpoint"] == {"signing_secret": None, "url": None}
        told = plain(await service.create_async(WEBHOOK | {"include": [URL, SECRET]}))
        assert told["webhook_endpoint"]["url"] == "https://app.example/webhook/stripe"
        assert told["webhook_endpoint"]["signing_secret"].startswith("whsec_test_")
        found = plain(await service.retrieve_async(told["id"], {"include": [URL]}))
        assert found["webhook_endpoint"] == told["webhook_endpoint"] | {"signing_secret": None}
        listed = plain(await service.list_async({"include": [URL]}))["data"]
        assert [each["webhook_endpoint"]["url"] for each in listed] == [
            "https://app.example/webhook/stripe"
        ] * 2
        with pytest.raises(stripe.InvalidRequestError, match="Invalid include"):
            await service.retrieve_async(told["id"], {"include": [SECRET]})


async def test_a_destination_has_every_member_that_the_library_declares() -> None:
    async with connected(Account(1)) as client:
        made = await client.v2.core.event_destinations.create_async(WEBHOOK)
        declared = set(stripe.v2.core.EventDestination.__annotations__) - {
            "OBJECT_NAME",
            "_inner_class_types",
        }
        assert plain(made).keys() == declared
        assert (made.status, made.events_from, made.snapshot_api_version) == ("enabled", ["@self"], None)


async def test_a_destination_is_changed_disabled_enabled_and_deleted() -> None:
    account = Account(1)
    async with connected(account) as client:
        service = client.v2.core.event_destinations
        made = await service.create_async(WEBHOOK | {"metadata": {"team": "a", "old": "b"}})
        account.advance(60)
        changed = plain(
            await service.update_async(
                made.id,
                {
                    "name": "New name",
                    "enabled_events": ["v1.invoice.paid"],
                    "metadata": {"old": None, "new": "c"},
                    "webhook_endpoint": {"url": "https://other.example/"},
                    "include": [URL],
                },
            )
        )
        assert changed["name"] == "New name" and changed["enabled_events"] == ["v1.invoice.paid"]
        assert changed["metadata"] == {"team": "a", "new": "c"}
        assert changed["webhook_endpoint"]["url"] == "https://other.example/"
        assert changed["updated"] > changed["created"]
        off = plain(await service.disable_async(made.id))
        assert (off["status"], off["status_details"]) == ("disabled", {"disabled": {"reason": "user"}})
        on = plain(await service.enable_async(made.id))
        assert (on["status"], on["status_details"]) == ("enabled", None)
        assert (await service.delete_async(made.id)).id == made.id
        with pytest.raises(stripe.InvalidRequestError, match="No such event destination") as gone:
            await service.retrieve_async(made.id)
        assert (gone.value.http_status, gone.value.code) == (404, "not_found")


async def test_a_ping_is_a_thin_event_of_the_destination() -> None:
    account = Account(1)
    async with connected(account) as client:
        made = await client.v2.core.event_destinations.create_async(WEBHOOK)
        ping = await client.v2.core.event_destinations.ping_async(made.id)
        assert ping.type == "v2.core.event_destination.ping"
        assert [event.id for event in account.thin_events()] == [ping.id]
        assert (await client.v2.core.events.retrieve_async(ping.id)).id == ping.id
        assert plain(ping)["related_object"]["url"] == f"/v2/core/event_destinations/{made.id}"


async def test_snapshot_destinations_have_an_api_version_and_cloud_ones_their_configuration() -> None:
    async with connected(Account(1)) as client:
        service = client.v2.core.event_destinations
        snapshot = await service.create_async(
            WEBHOOK | {"event_payload": "snapshot", "enabled_events": ["invoice.paid"]}
        )
        assert snapshot.snapshot_api_version == "2026-10-28.endive"
        bridge: Any = {name: value for name, value in WEBHOOK.items() if name != "webhook_endpoint"}
        bridge |= {
            "type": "amazon_eventbridge",
            "amazon_eventbridge": {"aws_account_id": "000000000000", "aws_region": "us-east-1"},
        }
        made = plain(await service.create_async(bridge))
        assert made["webhook_endpoint"] is None
        assert made["amazon_eventbridge"]["aws_event_source_status"] == "pending"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": None}, "name"),
        ({"event_payload": "thick"}, "event_payload"),
        ({"enabled_events": []}, "enabled_events"),
        ({"enabled_events": ["invoice.paid"]}, "invoice.paid is no event type of the payload thin"),
        ({"webhook_endpoint": None}, "webhook_endpoint"),
        ({"webhook_endpoint": {"url": "app.example"}}, "URL"),
        ({"snapshot_api_version": "2026-10-28.endive"}, "no API version"),
        ({"events_from": ["@everyone"]}, "events_from"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_stripe_refuses_is_refused(changes: Any, named: str) -> None:
    account = Account(1)
    async with connected(account) as client:
        with pytest.raises(stripe.InvalidRequestError, match=named) as refused:
            await client.v2.core.event_destinations.create_async(WEBHOOK | changes)
        assert refused.value.http_status == 400
    assert account.destinations == {}


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff"])
async def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    async with browsing(Account(1)) as browser:
        answer = await browser.post("/v2/core/event_destinations", content=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


async def test_the_list_of_destinations_is_paged_and_ends_at_sixteen() -> None:
    async with connected(Account(1)) as client:
        service = client.v2.core.event_destinations
        made = [(await service.create_async(WEBHOOK | {"name": str(n)})).id for n in range(16)]
        pages = await service.list_async({"limit": 5, "include": [URL]})
        assert [each.id async for each in pages.auto_paging_iter()] == made[::-1]
        with pytest.raises(stripe.InvalidRequestError, match="maximum of 16"):
            await service.create_async(WEBHOOK)
