"""What is asked of Stripe is counted by resource and outcome, each repetition too."""

import asyncio

import pytest

from app.errors import NotFound, StripeUnavailable
from app.observability import metrics
from app.simulator import Account
from app.simulator.api import API_KEY, ApiFaults, serving
from app.stripe import client
from app.stripe.client import RESOURCES, StripeApi, promptly, resource_of
from tests.databases import free_port
from tests.shop import ordered, shop

Counted = dict[tuple[str, str], float]


def counted() -> Counted:
    """Requests so far, by resource and status; they belong to the whole process."""
    samples = [sample for family in metrics.STRIPE_REQUESTS.collect() for sample in family.samples]
    return {
        (sample.labels["resource"], sample.labels["status"]): sample.value
        for sample in samples
        if sample.name.endswith("_total")
    }


def timed() -> float:
    (family,) = metrics.STRIPE_SECONDS.collect()
    return next(sample.value for sample in family.samples if sample.name.endswith("_count"))


def grown(before: Counted) -> Counted:
    return {
        key: value - before.get(key, 0) for key, value in counted().items() if value != before.get(key, 0)
    }


async def test_every_request_that_leaves_is_counted_once(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        before, observed = counted(), timed()
        here.faults.next("rate_limit", 2, seconds=0)
        here.faults.next("error", 1)
        await here.opened()
        found = grown(before)
        assert found["checkout/sessions", "200"] == 1
        assert sum(count for (_, status), count in found.items() if status == "429") == 2
        assert sum(count for (_, status), count in found.items() if status == "500") == 1
        assert sum(found.values()) == sum(here.traffic.by_route.values()) == timed() - observed


async def test_no_answer_is_counted_by_why_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "NETWORK_RETRIES", 1)
    faults = ApiFaults()
    async with serving(Account(1), faults=faults) as base:
        with monkeypatch.context() as impatient:
            impatient.setattr(client, "TIMEOUT_SECONDS", 0.2)
            api, before = StripeApi(API_KEY, base), counted()
        faults.hold("delay", 2)  # and nobody releases it
        with pytest.raises(StripeUnavailable):
            await api.get("/v1/events")
        await api.close()
        api = StripeApi(API_KEY, base)
        faults.next("disconnect", 2)
        with pytest.raises(StripeUnavailable):
            await api.get("/v1/events")
        with pytest.raises(NotFound):
            await api.read("subscription", "sub_x")
        await api.close()
        assert grown(before) == {
            ("events", "timeout"): 2,
            ("events", "connection_error"): 2,
            ("subscriptions", "404"): 1,
        }
    api, before = StripeApi(API_KEY, f"http://127.0.0.1:{free_port()}"), counted()
    with pytest.raises(StripeUnavailable):
        await api.get("/v1/customers")
    await api.close()
    assert grown(before) == {("customers", "connection_error"): 2}


async def test_one_that_nobody_waits_for_any_longer_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PROMPTLY_SECONDS", 0.2)
    faults = ApiFaults()
    async with serving(Account(1), faults=faults) as base:
        api, before = StripeApi(API_KEY, base), counted()
        faults.hold("delay")  # and nobody releases it
        with pytest.raises(StripeUnavailable):
            await promptly(api.get("/v1/events"))
        await asyncio.sleep(0)
        await api.close()
    assert grown(before) == {("events", "canceled"): 1}


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/v1/subscriptions/sub_1", "subscriptions"),
        ("/v1/events?types[0]=invoice.paid", "events"),
        ("/v1/checkout/sessions/cs_test_1?expand[0]=customer", "checkout/sessions"),
        ("/v1/billing_portal/sessions", "billing_portal/sessions"),
        ("/elsewhere/v1/customers/cus_1", "customers"),
    ],
)
def test_no_id_is_in_a_label(path: str, resource: str) -> None:
    assert resource_of(f"https://api.stripe.com{path}") == resource
    assert resource in RESOURCES


async def test_what_alerts_wait_for_is_there_at_0_from_the_start() -> None:
    await StripeApi(API_KEY).close()
    assert {(one, status) for one in RESOURCES for status in metrics.STRIPE_STATUSES} <= counted().keys()


async def test_an_order_asks_only_for_resources_that_are_there_from_the_start(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        before = counted()
        await here.bought()
        await here.order(**ordered())
        assert {resource for resource, _ in grown(before)} <= set(RESOURCES)
