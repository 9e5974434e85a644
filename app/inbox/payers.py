"""Who paid what a dispute or a refund is about: it names a charge and a payment intent, not a customer.

The payment's invoice names customer and subscription. Since 2025-03-31.basil an invoice shows its payments
only where they are expanded; then a stored event of the charge or of the payment intent names the customer.
"""

from collections.abc import Iterable

import orjson

from ..db import Batch
from ..db.models import Customer, Purchase, Record, Subscription, WebhookEvent, table_of
from ..entitlements.purchases import grant_id
from ..stripe.events import StripeEvent
from ..stripe.objects import Values, as_dict, as_id, as_text
from .unit_of_work import Payer, UnitOfWork

ABOUT_A_CHARGE = frozenset({"dispute", "radar.early_fraud_warning", "refund"})
EVENTS_OF_A_PAYMENT = 5
"""How many events of a charge or a payment intent are read."""


async def load_payers(batch: Batch, unit_of_work: UnitOfWork, events: Iterable[StripeEvent]) -> None:
    """Find the payers of the disputes among the events, and load their rows to be looked at."""
    disputes = [event.object for event in events if event.object.get("object") in ABOUT_A_CHARGE]
    for dispute in disputes:
        payer = await _payer(batch, dispute)
        unit_of_work.payers[as_id(dispute.get("id")) or ""] = payer
        ids: list[tuple[type[Record], str | None]] = [
            (Customer, payer.customer_id),
            (Subscription, payer.subscription_id),
        ]
        missing = {model: id for model, id in ids if id and unit_of_work.find(model, id) is None}
        if missing:
            wanted = {table_of(model): [id] for model, id in missing.items()}
            loaded, _ = await batch.load(wanted, known=(table_of(WebhookEvent), []))
            for model in missing:
                unit_of_work.fill_missing(model, loaded[table_of(model)])


async def load_buyers(batch: Batch, unit_of_work: UnitOfWork, events: Iterable[StripeEvent]) -> None:
    """Load the customers of the purchases that the events are about, and what was drawn from these."""
    named = {id for event in events if not event.problem for id in event.names["purchase"]}
    for purchase in [row for id in sorted(named) if (row := unit_of_work.find(Purchase, id)) is not None]:
        customer_id = purchase.customer_id
        if customer_id is not None and unit_of_work.find(Customer, customer_id) is None:
            loaded, _ = await batch.load(
                {table_of(Customer): [customer_id]}, known=(table_of(WebhookEvent), [])
            )
            unit_of_work.fill_missing(Customer, loaded[table_of(Customer)])
        user_id = purchase.user_id or unit_of_work.user_of(customer_id, None)
        if purchase.gives is not None and user_id is not None:
            unit_of_work.drawn[purchase.id] = await _drawn(batch, purchase.id, user_id)


async def _drawn(batch: Batch, purchase_id: str, user_id: str) -> dict[str, int]:
    """What the user has drawn of each feature from the purchase."""
    rows = await batch.fetch("SELECT feature, drawn FROM billing_usage WHERE user_id = ?", user_id)
    found = {}
    for row in rows:
        drawn = orjson.loads(row["drawn"]) if isinstance(row["drawn"], str) else row["drawn"]
        entry = drawn.get(grant_id(purchase_id, row["feature"]))
        if entry is not None:
            found[row["feature"]] = int(entry["taken"])
    return found


async def _payer(batch: Batch, dispute: Values) -> Payer:
    payments = [payment for name in ("payment_intent", "charge") if (payment := as_id(dispute.get(name)))]
    for payment in payments:
        if (found := await _of_invoice(batch, "payment_id", payment)) is not None:
            return found
    stated = [as_dict(dispute.get(name)) for name in ("charge", "payment_intent")]
    for payment in payments:
        stated += await _stated_by(batch, payment)
    customers = [customer for content in stated if (customer := as_id(content.get("customer")))]
    invoices = [invoice for content in stated if (invoice := as_id(content.get("invoice")))]
    for invoice in invoices:
        if (found := await _of_invoice(batch, "id", invoice)) is not None:
            return found
    customer = next(iter(customers), None)
    return Payer(customer, await _only_subscription(batch, customer), next(iter(invoices), None))


async def _only_subscription(batch: Batch, customer: str | None) -> str | None:
    """The customer's subscription, where there was never another one."""
    query = "SELECT id FROM billing_subscription WHERE customer_id = ? ORDER BY id LIMIT 2"
    rows = await batch.fetch(query, customer) if customer else []
    return rows[0]["id"] if len(rows) == 1 else None


async def _of_invoice(batch: Batch, column: str, value: str) -> Payer | None:
    query = (
        "SELECT id, customer_id, subscription_id FROM billing_invoice "  # noqa: S608 # names of ours
        f"WHERE {column} = ? ORDER BY id LIMIT 1"
    )
    rows = await batch.fetch(query, value)
    return Payer(rows[0]["customer_id"], rows[0]["subscription_id"], rows[0]["id"]) if rows else None


async def _stated_by(batch: Batch, payment: str) -> list[Values]:
    """What stored events said of a charge or a payment intent, handled here or not."""
    rows = await batch.fetch(
        "SELECT body FROM billing_event WHERE object_id = ? ORDER BY created DESC LIMIT ?",
        payment,
        EVENTS_OF_A_PAYMENT,
    )
    return [_object(row["body"]) for row in rows]


def _object(body: str) -> Values:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    found = as_dict(as_dict(as_dict(content).get("data")).get("object"))
    return found if as_text(found.get("object")) in ("charge", "payment_intent") else {}
