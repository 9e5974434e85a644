"""Mistakes, each made for real."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import stripe

from app.inbox.delivery import receive
from app.inbox.spool import Spool
from app.simulator import NEW, event_body, sign
from app.simulator.model import WebhookEndpoint

from .patient import URL, WEBHOOK_SECRET, Patient

Mistake = Callable[[Patient], Awaitable[Any]]


def setting(**values: str) -> Mistake:
    async def make(patient: Patient) -> None:
        patient.environment |= values

    return make


def without(name: str) -> Mistake:
    async def make(patient: Patient) -> None:
        del patient.environment[name]

    return make


def sql(statement: str, **values: Any) -> Mistake:
    async def make(patient: Patient) -> None:
        await patient.write(statement, **values)

    return make


def both(*mistakes: Mistake) -> Mistake:
    async def make(patient: Patient) -> None:
        for mistake in mistakes:
            await mistake(patient)

    return make


def skewed(seconds: float) -> Mistake:
    async def make(patient: Patient) -> None:
        patient.skew = seconds

    return make


def endpoint(**values: Any) -> Mistake:
    async def make(patient: Patient) -> None:
        for name, value in values.items():
            setattr(patient.endpoint, name, value)

    return make


def subscribed(*prices: str, **metadata: str) -> Mistake:
    async def make(patient: Patient) -> None:
        for price in prices:
            patient.account.create_price(price, 100)
        await patient.subscribe(list(prices) or "price_team", **metadata)

    return make


async def no_endpoint(patient: Patient) -> None:
    patient.account.endpoints.clear()


async def no_endpoint_and_no_url(patient: Patient) -> None:
    patient.url = None
    patient.account.endpoints.clear()


async def plain_http(patient: Patient) -> None:
    patient.url = "http://billing.example"


async def second_endpoint(patient: Patient) -> None:
    first = patient.endpoint
    patient.account.endpoints["we_2"] = WebhookEndpoint(
        "we_2", first.created, URL, first.enabled_events, "whsec_test_2", stripe.api_version
    )


async def lacking_types(patient: Patient) -> None:
    patient.endpoint.enabled_events.remove("invoice.paid")


async def superfluous_types(patient: Patient) -> None:
    patient.endpoint.enabled_events.append("plan.created")


async def env_file_for_all(patient: Patient) -> None:
    (patient.folder / ".env").write_text("# empty\n")
    (patient.folder / ".env").chmod(0o644)


async def env_file_in_latin_1(patient: Patient) -> None:
    (patient.folder / ".env").write_bytes("# für uns\n".encode("latin-1"))
    (patient.folder / ".env").chmod(0o600)


async def spool_below_a_file(patient: Patient) -> None:
    (patient.folder / "file").write_text("")
    patient.environment["SPOOL_DIR"] = str(patient.folder / "file" / "spool")


async def event_in_the_spool(patient: Patient) -> None:
    body = event_body(patient.account.events[-1], NEW)
    event = receive(body, signature=sign(body, WEBHOOK_SECRET, patient.account.now), received_at=1)
    await Spool(Path(patient.environment["SPOOL_DIR"]), secrets=[]).put(event)


async def rejected_in_the_spool(patient: Patient) -> None:
    folder = Path(patient.environment["SPOOL_DIR"])
    folder.mkdir()
    (folder / "x.rejected").write_text("")


async def price_without_stripe(patient: Patient) -> None:
    plans = Path(patient.environment["PLANS_FILE"])
    plans.write_text(plans.read_text().replace("price_starter", "price_unheard_of"))


async def lookup_key_without_price(patient: Patient) -> None:
    plans = Path(patient.environment["PLANS_FILE"])
    there = [f"starter_{number}" for number in range(11)]
    for number, key in enumerate(there):
        patient.account.create_price(f"price_of_key_{number}", 900)
        patient.account.update_price(f"price_of_key_{number}", lookup_key=key)
    keys = json.dumps([*there, "starter_weekly"])
    old = 'prices = ["price_starter"]'
    plans.write_text(plans.read_text().replace(old, f"{old}\nlookup_keys = {keys}"))


async def sold_by_a_silent_payment_link(patient: Patient) -> None:
    plans = Path(patient.environment["PLANS_FILE"])
    plans.write_text(plans.read_text() + '\n[credits.top_up]\nprices = ["price_top_up"]\nprojects = 2\n')
    columns = "id, session_id, paid_at, refunds, disputes, version, updated_at"
    await patient.write(
        f"INSERT INTO billing_purchase ({columns}) VALUES ('pi_1', 'cs_test_1', 1, '{{}}', '{{}}', 1, 1)"
    )


async def copied_catalogue(patient: Patient) -> None:
    plans = Path(patient.environment["PLANS_FILE"])
    plans.write_text(plans.read_text().removeprefix("# Ours.\n"))


async def broken_catalogue(patient: Patient) -> None:
    Path(patient.environment["PLANS_FILE"]).write_text("[plans.team]\nprojects = 3\n")


async def stripe_fails(patient: Patient) -> None:
    patient.faults.next("error", 3)


async def thin_event(patient: Patient) -> None:
    patient.environment.pop("STRIPE_API_KEY")
    thin = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.customer.updated",
        "created": "2026-01-01T00:00:00Z",
        "livemode": False,
        "related_object": {"id": "cus_1", "type": "customer", "url": "/v1/customers/cus_1"},
    }
    async with patient.serving() as client:
        assert await client.send(thin) == "deferred"


async def thin_event_that_nobody_reads(patient: Patient) -> None:
    key = patient.environment["STRIPE_API_KEY"]
    await thin_event(patient)
    patient.environment["STRIPE_API_KEY"] = key
    patient.account.advance(301)


def received(**more: Any) -> Mistake:
    """An event about the customer that Stripe's account has, with more members than usual."""

    async def make(patient: Patient) -> None:
        content: dict[str, Any] = {"id": "cus_1", "object": "customer", "email": None, "metadata": {}}
        event: dict[str, Any] = {
            "id": "evt_other",
            "object": "event",
            "type": "customer.updated",
            "created": patient.account.now,
        }
        livemode = patient.account.livemode
        async with patient.serving() as client:
            await client.send(event | {"livemode": livemode, "data": {"object": content}} | more)

    return make


async def failing_event(patient: Patient) -> None:
    broken = {
        "id": "evt_broken",
        "object": "event",
        "type": "customer.subscription.updated",
        "created": patient.account.now,
        "livemode": False,
        "data": {"object": {"id": "sub_1", "object": "subscription", "status": 7}},
    }
    async with patient.serving() as client:
        assert await client.send(broken) == "deferred"
    patient.account.advance(301)


async def dead_event(patient: Patient) -> None:
    await failing_event(patient)
    await patient.write("UPDATE billing_event SET state = 'dead' WHERE id = 'evt_broken'")


async def dead_reaction(patient: Patient) -> None:
    await patient.write(
        "INSERT INTO billing_outbox (id, signal, receiver, reaction, created_at, state, attempts, "
        "next_attempt_at) VALUES ('r:crm', 'payment_failed', 'crm', '{}', 1, 'dead', 9, 0)"
    )


async def failing_receiver(patient: Patient) -> None:
    await patient.write(
        "INSERT INTO billing_outbox (id, signal, receiver, reaction, created_at, state, attempts, "
        "next_attempt_at, failing_since, last_error) "
        "VALUES ('r:crm', 'payment_failed', 'crm', '{}', 1, 'pending', 3, 9, 1, 'Refused: 500')"
    )


async def other_secret(patient: Patient) -> None:
    body = event_body(patient.account.events[-1], NEW)
    patient.account.advance(60)
    async with patient.serving() as client:
        assert (await client.post_signed(body, secret="whsec_test_of_another")).status_code == 400


async def events_by_catch_up_alone(patient: Patient) -> None:
    patient.account.advance(60)
    async with patient.serving() as client:
        client.app.state.billing.arrivals.note("catch-up", 3)


async def forgotten_migration(patient: Patient) -> None:
    await patient.write("UPDATE billing_alembic_version SET version_num = '0004'")


async def newer_database(patient: Patient) -> None:
    await patient.write("UPDATE billing_alembic_version SET version_num = '9999'")


async def missing_database(patient: Patient) -> None:
    patient.environment["DATABASE_URL"] = f"sqlite:///{patient.folder / 'none.db'}"


async def junk_for_a_database(patient: Patient) -> None:
    (patient.folder / "junk.db").write_text("junk " * 500)
    patient.environment["DATABASE_URL"] = f"sqlite:///{patient.folder / 'junk.db'}"


async def plain_server(patient: Patient) -> None:
    """What uvicorn without our protocol leaves there, with the first request."""
    row = "INSERT INTO billing_job (name, lease_until, result) VALUES ('server', 0, :result)"
    await patient.write(row, result='{"ends_connections": false}')
