"""Delivery over HTTP: signed as Stripe signs, counted as it was answered."""

import asyncio
import random
import time

import httpx
import orjson
import pytest
from stripe import SignatureVerificationError, WebhookSignature

from app.simulator import (
    OLD,
    Account,
    Faults,
    deliver,
    deliveries,
    play,
    send_on,
    sign,
    signed_event,
    simulate,
)
from tests.waiting import until

SECRET = "whsec_test_secret"


class Receiver:
    """A server that answers as the service does: the first copy is processed, the next is a duplicate."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.at_once = self.most_at_once = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        WebhookSignature.verify_header(
            request.content, request.headers["stripe-signature"], SECRET, tolerance=300
        )
        event = orjson.loads(request.content)
        if event["type"] == "invoice.created":
            return httpx.Response(400, text="refused here")
        status = "duplicate" if event["id"] in self.seen else "processed"
        self.seen.append(event["id"])
        return httpx.Response(200, json={"received": True, "status": status})


def test_stripes_verifier_takes_the_signature_and_no_other() -> None:
    account = Account(1)
    account.create_customer("ada@example.com")
    body, headers = signed_event(account.events[0], SECRET, int(time.time()), OLD)
    assert WebhookSignature.verify_header(body, headers["Stripe-Signature"], SECRET, tolerance=300)
    for bad, secret in ((body + b" ", SECRET), (body, "whsec_other")):
        with pytest.raises(SignatureVerificationError):
            WebhookSignature.verify_header(bad, headers["Stripe-Signature"], secret, tolerance=300)
    with pytest.raises(SignatureVerificationError):
        WebhookSignature.verify_header(body, sign(body, SECRET, 1), SECRET, tolerance=300)


async def test_deliver_counts_the_answers_and_lists_the_refused() -> None:
    account, receiver = Account(2), Receiver()
    play(account, "renewal")
    order = deliveries(account.events, random.Random(1), Faults(duplicates=0.5, reorder=True))
    async with httpx.AsyncClient(transport=httpx.MockTransport(receiver)) as client:
        report = await deliver("http://test/webhook", order, SECRET, client=client, concurrency=3)
        assert not client.is_closed, "a client that was passed in stays its owner's"
    refused = sum(event.type == "invoice.created" for event in order)
    fresh = len(set(receiver.seen))
    assert report.sent == len(order) and report.by_code == {200: len(order) - refused, 400: refused}
    assert report.by_status["processed"] == fresh
    assert report.by_status["duplicate"] == len(receiver.seen) - fresh > 0
    assert len(report.refused) == refused and "refused here" in report.refused[0]
    assert 1 < receiver.most_at_once <= 3


async def test_the_signing_time_can_be_chosen() -> None:
    stamps: list[str] = []

    def receive(request: httpx.Request) -> httpx.Response:
        stamps.append(request.headers["stripe-signature"].split(",")[0])
        return httpx.Response(200, text="not JSON")

    account = Account(1)
    account.create_customer()
    async with httpx.AsyncClient(transport=httpx.MockTransport(receive)) as client:
        report = await deliver("http://test", account.events, SECRET, client=client, now=lambda: 12.9)
    assert stamps == ["t=12"] and report.by_status == {"?": 1}


def test_faults_lose_nothing_and_are_repeatable() -> None:
    account = Account(3)
    play(account, "seats")
    faults = Faults(duplicates=1, reorder=True, delayed=0.4)
    order = deliveries(account.events, random.Random(9), faults)
    assert order == deliveries(account.events, random.Random(9), faults)
    assert sorted(event.id for event in order) == sorted(2 * [event.id for event in account.events])
    held = deliveries(account.events, random.Random(9), Faults(delayed=0.4))
    assert held != account.events and len(held) == len(account.events)


async def test_what_happens_later_is_sent_on_and_what_is_refused_is_marked() -> None:
    account, receiver = Account(4), Receiver()
    account.create_customer("before@example.com")
    async with httpx.AsyncClient(transport=httpx.MockTransport(receiver)) as client:
        sending = asyncio.create_task(send_on(account, "http://test", SECRET, pause=0.01, client=client))
        await asyncio.sleep(0.05)
        assert receiver.seen == []
        play(account, "sign_up")
        await until(lambda: len(receiver.seen) == len(account.events) - 2 and len(account.undelivered) == 1)
        sending.cancel()
    refused = [event.id for event in account.events if event.type == "invoice.created"]
    assert receiver.seen == [event.id for event in account.events[1:] if event.id not in refused]
    assert account.undelivered == set(refused) and len(refused) == 1


async def test_events_that_find_nobody_are_undelivered() -> None:
    account = Account(5)
    with pytest.raises(httpx.HTTPError):
        await simulate("http://127.0.0.1:1/", SECRET, scenarios=["sign_up"], account=account)
    assert account.undelivered == {event.id for event in account.events} != set()
