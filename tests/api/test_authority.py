"""What an event, an id or a path may do: nobody gets rights, or somebody else's answer, by how they spell."""

from typing import Any
from urllib.parse import quote

import pytest

from app.errors import NotFound
from app.simulator import Account
from app.simulator.api import API_KEY, Traffic, serving
from app.stripe.client import StripeApi

from ..client import AUTH, running
from ..limits.helpers import START

UPDATE = {
    "customer_id": "cus_1",
    "subscription_id": "sub_1",
    "plan_id": "price_team",
    "status": "active",
    "start_date": START,
    "expiry_date": START + 86_400,
    "user_id": "ada",
}


def signed_event(type: str, content: dict[str, Any], **more: Any) -> dict[str, Any]:
    envelope = {"id": "evt_1", "object": "event", "type": type, "created": START, "livemode": False}
    return envelope | {"data": {"object": content}} | more


@pytest.mark.parametrize(
    ("type", "content"),
    [
        ("internal.subscription.updated", UPDATE | {"object": "subscription", "id": "sub_1"}),
        ("internal.customer.linked", {"object": "customer", "id": "cus_1", "customer_id": "cus_1"}),
        ("internal.new", {"object": "customer", "id": "cus_1"}),
    ],
)
async def test_a_signed_event_has_not_the_rights_of_the_internal_api(
    any_database_url: str, type: str, content: dict[str, Any]
) -> None:
    customer = {"id": "cus_1", "object": "customer", "metadata": {"user_id": "ada"}}
    async with running(any_database_url) as client:
        await client.send(signed_event("customer.created", customer, id="evt_0"))
        forged = content | {"customer": "cus_1", "user_id": "mallory"}
        assert await client.send(signed_event(type, forged)) == "ignored"
        assert (await client.get("/internal/subscriptions/sub_1")).status_code == 404
        assert (await client.read("/internal/customers/cus_1"))["user_id"] == "ada"


@pytest.mark.parametrize("prefix", ["", "v1."])
async def test_a_thin_event_has_not_the_rights_of_the_internal_api(
    any_database_url: str, prefix: str
) -> None:
    async with running(any_database_url) as client:
        related = {"id": "ch_1", "type": "charge", "url": "/v1/charges/ch_1"}
        thin = {
            "id": "evt_2",
            "object": "v2.core.event",
            "type": f"{prefix}internal.customer.linked",
            "created": "2030-01-01T00:00:00.000Z",
            "livemode": False,
            "related_object": related,
        }
        assert await client.send(thin) == "ignored"


@pytest.mark.parametrize("id", ["%", "../sub_1", "sub 1", "sub_é", "sub_1\n", "x" * 256, ".", "a/b", "a?b"])
async def test_the_internal_api_takes_only_ids_as_stripe_makes_them(any_database_url: str, id: str) -> None:
    async with running(any_database_url) as client:
        for name in ("subscription_id", "customer_id"):
            sent = await client.http.post(
                "/internal/subscription/update", json=UPDATE | {name: id}, headers=AUTH
            )
            assert sent.status_code == 422, (name, sent.text)


@pytest.mark.parametrize(
    "id", ["..", "../customers", "cus_1/../../v1/account", "a%2Fb", "", "a b", "a?limit=1"]
)
async def test_an_id_never_leads_to_another_address_at_stripe(id: str) -> None:
    traffic = Traffic()
    async with serving(Account(1), traffic=traffic) as base:
        api = StripeApi(API_KEY, base)
        try:
            for kind in ("customer", "subscription", "invoice"):
                with pytest.raises(NotFound):
                    await api.read(kind, id)
            with pytest.raises(NotFound):
                await api.get("/v1/customers/../account")
            assert not traffic.by_path
        finally:
            await api.close()


async def test_an_event_whose_object_has_no_id_of_stripes_changes_nothing(any_database_url: str) -> None:
    async with running(any_database_url) as client:
        customer = {"id": "../cus_1", "object": "customer", "metadata": {"user_id": "ada"}}
        assert await client.send(signed_event("customer.created", customer)) == "deferred"
        assert (await client.read("/internal/customers"))["data"] == []


SLASHED = ["ada/usage", "ada/overrides", "a/b/c", "/", "ada%2Fusage", "ada/", "ünï/cödé", "ada/entitlements"]


@pytest.mark.parametrize("user", SLASHED)
@pytest.mark.rest_in_long(3)
async def test_a_user_id_with_a_slash_is_one_user_and_never_another(any_database_url: str, user: str) -> None:
    at = f"/internal/users/{quote(user, safe='')}"
    async with running(any_database_url) as client:
        path = "/internal/users/ada/usage/projects"
        assert (await client.http.post(path, json={"op": "consume"}, headers=AUTH)).status_code == 200
        taken = await client.http.post(
            f"{at}/usage/projects", json={"op": "consume", "amount": 2}, headers=AUTH
        )
        assert taken.status_code == 200, taken.text
        assert (await client.read(f"{at}/entitlements"))["user_id"] == user
        change = {"op": "set", "value": 7, "reason": "asked", "actor": "me"}
        assert (
            await client.http.put(f"{at}/overrides/projects", json=change, headers=AUTH)
        ).status_code == 200
        assert (await client.read(f"{at}/entitlements"))["features"]["projects"]["limit"] == 7
        ada = (await client.read("/internal/users/ada/entitlements"))["features"]["projects"]
        assert (ada["used"], ada["limit"]) == (1, 3)
        assert (await client.get(at)).status_code == 404
        await client.http.post("/internal/subscription/update", json=UPDATE | {"user_id": user}, headers=AUTH)
        assert (await client.read(at))["user_id"] == user
        assert (await client.read(f"{at}/summary"))["user_id"] == user
        assert (await client.get("/internal/users/ada")).status_code == 404
