"""Events about what is bought once, and the catalogue that sells it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from blinker import NamedSignal

from app.signals import Reaction

START = 1_893_456_000
PLANS = """
default_plan = "free"
[features]
projects = { kind = "allocated" }
api_calls = { kind = "consumable", reset = "month" }
[plans.free]
projects = 3
api_calls = 5
[plans.team]
prices = ["price_team"]
projects = 10
api_calls = 100
[plans.lifetime]
prices = ["price_lifetime"]
once = true
projects = 50
api_calls = 100
[credits.top_up]
prices = ["price_top_up"]
api_calls = 100
projects = 2
[credits.gift]
prices = ["price_gift"]
api_calls = 100
expires_days = 30
priority = -1
refund = "none"
dispute = "none"
"""


def event(number: int, type: str, content: dict[str, Any], created: int = START) -> dict[str, Any]:
    return {
        "id": f"evt_{number}",
        "object": "event",
        "type": type,
        "created": created + number,
        "livemode": False,
        "api_version": "2026-09-30.endive",
        "data": {"object": content},
    }


def session(paid: bool = True, offer: str = "credits.top_up", **changes: Any) -> dict[str, Any]:
    return {
        "id": "cs_test_1",
        "object": "checkout.session",
        "mode": "payment",
        "customer": "cus_ada",
        "client_reference_id": None,
        "payment_intent": "pi_1",
        "payment_status": "paid" if paid else "unpaid",
        "amount_total": 1000,
        "currency": "usd",
        "metadata": {"user_id": "ada", "grant": offer},
    } | changes


def charge(refunded: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 1000,
        "amount_refunded": refunded,
        "currency": "usd",
        "customer": "cus_ada",
        "payment_intent": "pi_1",
    } | changes


def refund(
    id: str, amount: int, status: str = "succeeded", at: int = START, **changes: Any
) -> dict[str, Any]:
    return {
        "id": id,
        "object": "refund",
        "amount": amount,
        "charge": "ch_1",
        "created": at,
        "currency": "usd",
        "failure_reason": "lost_or_stolen_card" if status == "failed" else None,
        "payment_intent": "pi_1",
        "status": status,
    } | changes


def dispute(status: str, amount: int = 1000, **changes: Any) -> dict[str, Any]:
    return {
        "id": "dp_1",
        "object": "dispute",
        "amount": amount,
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "currency": "usd",
        "status": status,
    } | changes


COMPLETED, SUCCEEDED = "checkout.session.completed", "checkout.session.async_payment_succeeded"
REFUNDED, DISPUTED, CLOSED = "charge.refunded", "charge.dispute.created", "charge.dispute.closed"
MADE, UPDATED, FAILED = "refund.created", "charge.refund.updated", "refund.failed"


def linked(**changes: Any) -> dict[str, Any]:
    """A session of a payment link without metadata, by a guest whom the link's address names."""
    silent: dict[str, Any] = {"metadata": {}, "payment_link": "plink_1", "customer": None}
    return session(**(silent | {"client_reference_id": "ada"} | changes))


def lines(*sold: tuple[str, str | None, int]) -> dict[str, Any]:
    """The lines of a session: price, lookup key and quantity of each."""
    data = [{"price": {"id": id, "lookup_key": key}, "quantity": many} for id, key, many in sold]
    return {"object": "list", "data": data}


@contextmanager
def heard_of(signal: NamedSignal) -> Iterator[list[Reaction]]:
    """The reactions of a signal that are announced while the block runs."""
    heard: list[Reaction] = []

    async def hear(reaction: Reaction) -> None:
        heard.append(reaction)

    signal.connect(hear)
    yield heard
    signal.disconnect(hear)
