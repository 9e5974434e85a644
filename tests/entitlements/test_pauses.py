"""Pauses, and a first payment that fails late: what is granted, and which act the answers name."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.signals import Reaction, first_payment_failed

from ..client import AUTH, Client, running
from ..story import DAY, HOUR, Story, item, orders
from ..waiting import until

pytestmark = pytest.mark.postgresql_in_long

NOW = 1_893_456_000  # 2030-01-01 00:00:00 UTC
WEEK = 7 * DAY
PLANS = """
default_plan = "free"

[features]
projects = { kind = "allocated" }

[plans.free]
projects = 3

[plans.team]
prices = ["price_team"]
projects = 10
"""


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    path = tmp_path / "plans.toml"
    path.write_text(PLANS)
    return path


@pytest.fixture
async def client(database_url: str, plans: Path) -> AsyncIterator[Client]:
    async with running(database_url, clock=lambda: NOW, plans_file=plans) as client:
        yield client


async def asked(client: Client, story: Story) -> Any:
    """The answer to taking the fourth project, which the free plan lacks."""
    body = {"op": "consume", "amount": 4}
    return await client.http.post(f"/internal/users/{story.user}/usage/projects", json=body, headers=AUTH)


async def banner(client: Client, story: Story) -> dict[str, Any] | None:
    shown = await client.read(f"/internal/users/{story.user}/summary")
    found: list[dict[str, Any]] = shown["banners"]
    assert len(found) <= 1, found
    return found[0] if found else None


async def send_in_any_order(client: Client, story: Story, number: int) -> None:
    for event in orders(story.events)[number]:
        await client.send(event)


def failed_renewal() -> Story:
    story = Story(NOW - 31 * DAY)
    story.renew(NOW - DAY)
    story.invoice("invoice.payment_failed", NOW - HOUR, attempt_count=1)
    return story


@pytest.mark.parametrize("cause", ["first_payment_failure", "final_payment_failure"])
async def test_a_pause_after_a_failed_payment_asks_to_pay_the_open_invoice(
    client: Client, cause: str
) -> None:
    for number in range(5):
        story = failed_renewal()
        story.pause(NOW - HOUR, cause)
        await send_in_any_order(client, story, number)
        [url] = [invoice["hosted_invoice_url"] for invoice in story.invoices.values()]
        denied = await asked(client, story)
        assert denied.status_code == 402, denied.text
        facts = denied.json()
        assert (facts["reason"], facts["act"], facts["pay_url"]) == ("payment_required", "pay", url)
        shown = await banner(client, story)
        assert shown is not None and (shown["kind"], shown["act"], shown["pay_url"]) == (
            "payment_required",
            "pay",
            url,
        )


async def test_once_that_invoice_is_paid_and_it_is_paused_still_it_is_to_be_resumed(client: Client) -> None:
    story = failed_renewal()
    story.pause(NOW - HOUR, "first_payment_failure")
    story.invoice("invoice.paid", NOW - 60, status="paid", amount_paid=2000)
    for number in range(5):
        await send_in_any_order(client, story, number)
        denied = await asked(client, story)
        assert (denied.status_code, denied.json()["act"], denied.json()["pay_url"]) == (403, "resume", None)
        shown = await banner(client, story)
        assert shown is not None and (shown["kind"], shown["act"]) == ("paused", "resume")
        assert "open invoice" not in shown["message"]
    story.resume(NOW - 30)
    await client.send(story.events[-2])
    assert (await asked(client, story)).status_code == 200
    assert await banner(client, story) is None


async def test_a_trial_that_ended_without_a_payment_method_asks_for_one(client: Client) -> None:
    ends = NOW - DAY
    for number in range(5):
        story = Story(
            NOW - 15 * DAY,
            status="trialing",
            trial_end=ends,
            items=[item("price_team", NOW - 15 * DAY, ends)],
        )
        story.pause(ends, "trial_end_without_payment_method")
        await send_in_any_order(client, story, number)
        denied = await asked(client, story)
        assert (denied.status_code, denied.json()["reason"], denied.json()["act"]) == (
            403,
            "paused",
            "update_payment_method",
        )
        shown = await banner(client, story)
        assert shown is not None and shown["act"] == "update_payment_method" and shown["pay_url"] is None
        assert "payment method" in shown["message"] and "resume" in shown["message"]


async def test_an_endpoint_of_an_old_version_shows_the_same_pause_after_a_trial(client: Client) -> None:
    ends = NOW - DAY
    story = Story(
        NOW - 15 * DAY, status="trialing", trial_end=ends, items=[item("price_team", NOW - 15 * DAY, ends)]
    )
    del story.object["status_details"]
    story.change(ends, status="paused")
    for event in story.events:
        event["data"]["object"].pop("status_details", None)
        await client.send(event)
    assert (await asked(client, story)).json()["act"] == "update_payment_method"


@pytest.mark.parametrize("cause", ["pause_requested", "system", "a_cause_of_2031"])
async def test_any_other_pause_asks_to_resume(client: Client, cause: str) -> None:
    story = Story(NOW - 10 * DAY)
    story.pause(NOW - DAY, cause)
    for event in story.events:
        await client.send(event)
    denied = await asked(client, story)
    assert (denied.status_code, denied.json()["reason"], denied.json()["act"]) == (403, "paused", "resume")
    shown = await banner(client, story)
    assert shown is not None and (shown["kind"], shown["act"], shown["pay_url"]) == ("paused", "resume", None)


async def test_the_policy_tells_the_causes_apart(database_url: str, plans: Path) -> None:
    plans.write_text(
        PLANS + '[access]\npaused = { requested = "full" }\npause_collection = { void = "none" }\n'
    )
    async with running(database_url, clock=lambda: NOW, plans_file=plans) as client:
        levels = {}
        for cause in ("pause_requested", "system"):
            story = Story(NOW - 10 * DAY)
            story.pause(NOW - DAY, cause)
            for event in story.events:
                await client.send(event)
            levels[cause] = (await client.read(f"/internal/users/{story.user}/entitlements"))["access"]
        for behavior in ("keep_as_draft", "mark_uncollectible", "void"):
            story = Story(NOW - 10 * DAY)
            story.change(NOW - DAY, pause_collection={"behavior": behavior, "resumes_at": None})
            for event in story.events:
                await client.send(event)
            levels[behavior] = (await client.read(f"/internal/users/{story.user}/entitlements"))["access"]
    assert levels == {
        "pause_requested": "full",
        "system": "none",
        "keep_as_draft": "full",
        "mark_uncollectible": "full",
        "void": "none",
    }


@pytest.mark.parametrize("status", ["past_due", "unpaid"])
async def test_where_no_invoice_is_open_nobody_is_asked_to_pay_it(client: Client, status: str) -> None:
    story = Story(NOW - 40 * DAY)
    story.invoice("invoice.payment_failed", NOW - 9 * DAY, attempt_count=4)
    story.change(NOW - 9 * DAY, status="past_due")
    story.invoice("invoice.marked_uncollectible", NOW - DAY, status="uncollectible")
    story.change(NOW - DAY, status=status)
    for number in range(5):
        await send_in_any_order(client, story, number)
        denied = await asked(client, story)
        assert (denied.status_code, denied.json()["act"]) == (402, "update_payment_method")
        assert "open invoice" not in denied.json()["detail"]
        shown = await banner(client, story)
        assert shown is not None and (shown["kind"], shown["act"]) == (
            "payment_required",
            "update_payment_method",
        )
        assert "open invoice" not in shown["message"] and shown["pay_url"] is None


async def test_the_invoice_to_pay_is_the_latest_one_on_which_a_payment_was_attempted(client: Client) -> None:
    story = Story(NOW - 40 * DAY)
    story.invoice("invoice.payment_failed", NOW - 39 * DAY, number=1, attempt_count=4)
    story.invoice("invoice.payment_failed", NOW - 9 * DAY, number=2, attempt_count=1)
    story.invoice("invoice.finalized", NOW - DAY, number=3)
    story.change(NOW - 9 * DAY, status="past_due")
    await send_in_any_order(client, story, 2)
    assert (await asked(client, story)).json()["pay_url"].endswith("_2")


def refused_bank_debit() -> Story:
    """The subscription is active from its first day; its bank refuses on the fifth."""
    story = Story(NOW - 6 * DAY)
    reason = "subscription_create"
    story.invoice("invoice.finalized", NOW - 6 * DAY, billing_reason=reason, attempt_count=1)
    story.invoice("invoice.payment_failed", NOW - DAY)
    story.invoice("invoice.voided", NOW - DAY, status="void")
    return story


async def test_a_first_payment_that_fails_late_is_announced_once_and_has_a_rule_of_its_own(
    client: Client,
) -> None:
    told: list[Reaction] = []
    first_payment_failed.connect(told.append, weak=False)
    try:
        for number in range(5):
            told.clear()
            story = refused_bank_debit()
            await send_in_any_order(client, story, number)
            answer = await client.read(f"/internal/users/{story.user}/entitlements")
            assert (answer["status"], answer["access"], answer["grace_ends_at"]) == (
                "active",
                "grace",
                NOW - DAY + WEEK,
            )
            shown = await banner(client, story)
            assert shown is not None and (shown["kind"], shown["act"]) == (
                "past_due",
                "update_payment_method",
            )
            await until(lambda: bool(told))  # the receiver runs in a thread of its own
            assert [reaction.subscription_id for reaction in told] == [story.id], f"order {number}"
            story.invoice("invoice.paid", NOW - HOUR, number=2, status="paid", billing_reason="manual")
            await client.send(story.events[-1])
            assert (await client.read(f"/internal/users/{story.user}/entitlements"))["access"] == "full"
    finally:
        first_payment_failed.disconnect(told.append)


async def test_a_card_that_is_refused_first_and_then_pays_is_no_first_payment_that_failed(
    client: Client,
) -> None:
    story = Story(NOW - DAY, status="incomplete")
    reason = "subscription_create"
    story.invoice("invoice.payment_failed", NOW - DAY, billing_reason=reason, attempt_count=1)
    story.invoice("invoice.paid", NOW - HOUR, status="paid", attempt_count=2)
    story.change(NOW - HOUR, status="active")
    for number in range(5):
        await send_in_any_order(client, story, number)
        answer = await client.read(f"/internal/users/{story.user}/entitlements")
        assert (answer["status"], answer["access"]) == ("active", "full")


async def test_an_invoice_to_be_paid_later_that_is_voided_after_a_refused_card_is_none_either(
    client: Client,
) -> None:
    story = Story(NOW - 20 * DAY)
    first = "subscription_create"
    story.invoice("invoice.finalized", NOW - 20 * DAY, billing_reason=first, collection_method="send_invoice")
    story.invoice("invoice.payment_failed", NOW - 10 * DAY, attempt_count=1)
    story.invoice("invoice.voided", NOW - 9 * DAY, status="void")
    for number in range(5):
        await send_in_any_order(client, story, number)
        answer = await client.read(f"/internal/users/{story.user}/entitlements")
        assert (answer["plan"], answer["access"]) == ("team", "full")
        assert await banner(client, story) is None


async def test_never_paid_may_grant_nothing(database_url: str, plans: Path) -> None:
    plans.write_text(PLANS + '[access]\nnever_paid = "none"\n')
    async with running(database_url, clock=lambda: NOW, plans_file=plans) as client:
        story = refused_bank_debit()
        await send_in_any_order(client, story, 3)
        denied = await asked(client, story)
    assert (denied.status_code, denied.json()["act"]) == (402, "update_payment_method")
