"""Faults by plan, and what the traffic counts."""

import asyncio
import time
from typing import Literal

import pytest
import stripe

from app.simulator import Account
from app.simulator.api import ApiFaults, FaultKind, Traffic, serving, serving_in_thread
from tests.waiting import LONGEST_SECONDS

from .client import browsing, client_of, connected, ids


async def test_too_many_requests_come_with_the_time_to_wait() -> None:
    account, faults = Account(1), ApiFaults()
    faults.next("rate_limit", 2, seconds=3)
    async with connected(account, faults=faults) as client:
        for _ in range(2):
            with pytest.raises(stripe.RateLimitError) as refused:
                await client.v1.customers.create_async()
            assert refused.value.http_status == 429
            assert refused.value.headers is not None and refused.value.headers["Retry-After"] == "3"
        await client.v1.customers.create_async()
    assert len(account.customers) == 1, "what is refused is not done"


async def test_a_failure_of_the_server_does_nothing() -> None:
    account, faults = Account(1), ApiFaults()
    faults.next("error")
    async with connected(account, faults=faults) as client:
        with pytest.raises(stripe.APIError) as failed:
            await client.v1.customers.create_async()
        assert failed.value.http_status == 500 and account.customers == {}
        await client.v1.customers.create_async()


async def test_an_answer_that_comes_too_late_leaves_the_thing_done_and_the_key_finds_it() -> None:
    account, faults = Account(1), ApiFaults()
    hold = faults.hold("late")
    async with (
        serving(account, faults=faults) as url,
        client_of(url, seconds=0.2) as impatient,
        client_of(url) as client,
    ):
        options: stripe.RequestOptions = {"idempotency_key": "one"}
        with pytest.raises(stripe.APIConnectionError):
            await impatient.v1.customers.create_async({}, options)
        await hold.reached()
        assert len(account.customers) == 1
        made = await client.v1.customers.create_async({}, options)
        assert list(account.customers) == [made.id]


async def test_a_delay_waits_before_anything_is_done_and_a_late_answer_is_stale() -> None:
    account, faults = Account(1), ApiFaults()
    customer = account.create_customer("old@example.com")
    emails = []
    kinds: list[Literal["delay", "late"]] = ["delay", "late"]
    for kind in kinds:
        hold = faults.hold(kind)
        async with connected(account, faults=faults) as client:
            customer.email = "old@example.com"
            reading = asyncio.create_task(client.v1.customers.retrieve_async(customer.id))
            await hold.reached()
            account.update_customer(customer, email="new@example.com")
            hold.release()
            emails.append((await reading).email)
    assert emails == ["new@example.com", "old@example.com"]


@pytest.mark.parametrize("kind", ["delay", "late"])
async def test_a_fault_of_so_many_seconds_takes_no_less(kind: FaultKind) -> None:
    account, faults = Account(1), ApiFaults()
    async with connected(account, faults=faults) as client:
        faults.next(kind, seconds=0.1)
        began = time.monotonic()
        await client.v1.customers.list_async()
        assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize(
    ("kind", "error"), [("cut", stripe.APIError), ("disconnect", stripe.APIConnectionError)]
)
async def test_a_page_that_breaks_off_is_an_error_and_not_a_short_list(
    kind: FaultKind, error: type[stripe.StripeError]
) -> None:
    account, faults = Account(1), ApiFaults()
    made = [account.create_customer().id for _ in range(30)][::-1]
    async with connected(account, faults=faults) as client:
        first = await client.v1.customers.list_async({"limit": 10})
        assert first.has_more
        faults.next(kind)
        seen: list[str] = []
        with pytest.raises(error):
            async for customer in first.auto_paging_iter():
                seen += [customer.id]
        assert seen == made[:10]
        again = await client.v1.customers.list_async({"limit": 100, "starting_after": seen[-1]})
        assert seen + ids(again) == made


async def test_faults_hit_only_the_paths_that_they_are_meant_for() -> None:
    faults = ApiFaults()
    faults.next("error", path="/v1/events")
    async with browsing(Account(1), faults=faults) as browser:
        codes = [
            (await browser.get(path)).status_code for path in ("/v1/customers", "/v1/events", "/v1/events")
        ]
    assert codes == [200, 500, 200]


async def test_shares_of_faults_are_the_same_for_the_same_seed() -> None:
    async def codes(seed: int) -> list[int]:
        faults = ApiFaults(seed, rate_limit=0.3, error=0.2)
        async with browsing(Account(1), faults=faults) as browser:
            return [(await browser.get("/v1/prices")).status_code for _ in range(100)]

    first = await codes(1)
    assert first == await codes(1) != await codes(2)
    assert 15 < first.count(429) < 45 and 8 < first.count(500) < 35
    with pytest.raises(ValueError, match="between 0 and 1"):
        ApiFaults(rate_limit=0.6, error=0.5)


async def test_the_traffic_counts_requests_and_how_many_were_under_way_at_once() -> None:
    account, traffic = Account(1), Traffic()
    customer = account.create_customer()
    faults = ApiFaults(delay=1, seconds=0.1)
    async with connected(account, faults=faults, traffic=traffic) as client:
        limit = asyncio.Semaphore(3)

        async def read() -> None:
            async with limit:
                await client.v1.customers.retrieve_async(customer.id)

        await asyncio.gather(*(read() for _ in range(6)))
        await client.v1.customers.list_async()
    assert traffic.by_route == {"GET /v1/customers/{id}": 6, "GET /v1/customers": 1}
    assert traffic.by_path[f"GET /v1/customers/{customer.id}"] == 6
    assert traffic.most_at_once == 3 and traffic.at_once == 0


async def test_the_server_ends_with_its_block_even_while_a_request_hangs() -> None:
    faults = ApiFaults()
    hold = faults.hold("delay")  # and nobody releases it
    async with asyncio.timeout(LONGEST_SECONDS):
        async with serving(Account(1), faults=faults) as url, client_of(url) as client:
            hanging = asyncio.create_task(client.v1.customers.list_async())
            await hold.reached()
        with pytest.raises(stripe.StripeError):
            await hanging


def test_a_server_in_a_thread_answers_code_that_is_not_async() -> None:
    account = Account(1)
    with serving_in_thread(account) as url:
        http = stripe.RequestsClient()
        client = stripe.StripeClient("sk_test_fake_1", base_addresses={"api": url}, http_client=http)
        made = client.v1.customers.create({"email": "ada@example.com"})
        assert account.customers[made.id].email == "ada@example.com"
        http.close()  # type: ignore[no-untyped-call]
        port = int(url.rpartition(":")[2])
        with pytest.raises(OSError), serving_in_thread(account, port=port):
            pass
    with serving_in_thread(account, port=port) as again:
        assert again == url, "the port is free afterwards"
