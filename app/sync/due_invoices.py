"""The unpaid invoices of a subscription as Stripe has them, with the charges that failed.

They show since when a subscription that is imported past due has been so.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import structlog

from ..errors import NotFound, StripeRefused
from ..stripe.client import Answer, StripeApi
from ..stripe.objects import invoice_payment

log = structlog.get_logger(__name__)

Json = dict[str, Any]

UNPAID = ("open", "uncollectible")
MOST = 20
"""How many invoices are looked at, the newest."""


async def unpaid_invoices(api: StripeApi, subscription_id: str) -> AsyncIterator[Answer]:
    """The unpaid ones among the newest finalized invoices, the newest first.

    Where no due date of them has passed, the latest shows the charges of its payment intent, as invoices did
    before 2022-11-15: the oldest that failed is when it became due.

    Raises:
        NotFound, StripeRefused, StripeUnavailable: as `StripeApi.get`.
    """
    listed = await api.get("/v1/invoices", subscription=subscription_id, limit=MOST)
    finalized = [each for each in listed.content.get("data") or [] if each.get("status") != "draft"]
    unpaid = [each for each in finalized if each.get("status") in UNPAID]
    dues = (each.get("due_date") for each in unpaid)
    has_passed = any(isinstance(due, int) and due <= listed.at for due in dues)
    for invoice in unpaid:
        shown = invoice
        if invoice is finalized[0] and not has_passed:
            shown = await _with_charges(api, invoice)
        yield replace(listed, content=shown)


async def _with_charges(api: StripeApi, invoice: Json) -> Json:
    try:
        return await _read_charges(api, invoice)
    except (NotFound, StripeRefused) as error:
        log.warning("charges_not_read", invoice_id=invoice.get("id"), error=error.detail)
        return invoice


async def _read_charges(api: StripeApi, invoice: Json) -> Json:
    payment = invoice_payment(invoice)
    if payment is None:
        # Since 2025-03-31.basil the payments of an invoice are shown where they are asked for.
        answer = await api.get(f"/v1/invoices/{invoice['id']}", expand=["payments"])
        payment = invoice_payment(answer.content)
    if payment is None or not payment.startswith("pi_"):
        return invoice
    charges = (await api.get("/v1/charges", payment_intent=payment, limit=100)).content
    return invoice | {"payment_intent": {"id": payment, "charges": charges}}
