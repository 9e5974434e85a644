"""Invoices and their lines in one API version."""

from .ids import derived_id
from .model import Invoice, Line
from .prices import render_plan, render_price
from .shapes import NESTED, OLD, Json, Shape


def render_invoice(invoice: Invoice, shape: Shape) -> Json:
    if shape != OLD:
        return _content(invoice, shape) | _only_new(invoice)
    content = _content(invoice, shape) | _only_old(invoice)
    if invoice.id.startswith("upcoming_in"):
        del content["id"]  # older versions give an invoice none before it is made
    return content


def _content(invoice: Invoice, shape: Shape) -> Json:
    """What both shapes have."""
    return _unused() | {
        "id": invoice.id,
        "object": "invoice",
        "amount_due": invoice.amount_due,
        "amount_paid": invoice.amount_paid,
        "amount_remaining": invoice.amount_remaining,
        "attempt_count": invoice.attempt_count,
        "attempted": invoice.attempt_count > 0,
        "auto_advance": invoice.status in ("draft", "open"),
        "billing_reason": invoice.billing_reason,
        "created": invoice.created,
        "collection_method": invoice.collection_method,
        "currency": invoice.currency,
        "customer": invoice.customer,
        "default_payment_method": invoice.default_payment_method,
        "description": invoice.description,
        "discounts": [id for id, _ in invoice.discounts],
        "due_date": invoice.due_date,
        "effective_at": invoice.finalized_at,
        "ending_balance": None if invoice.status == "draft" else 0,
        "hosted_invoice_url": invoice.hosted_invoice_url,
        "invoice_pdf": invoice.invoice_pdf,
        "lines": {
            "object": "list",
            "data": [render_line(line, invoice, shape) for line in invoice.lines[:NESTED]],
            "has_more": len(invoice.lines) > NESTED,
            "total_count": len(invoice.lines),
            "url": f"/v1/invoices/{invoice.id}/lines",
        },
        "metadata": dict(invoice.metadata),
        "next_payment_attempt": invoice.next_payment_attempt,
        "number": invoice.number,
        "period_end": invoice.created,
        "period_start": invoice.created,
        "status": invoice.status,
        "status_transitions": {
            "finalized_at": invoice.finalized_at,
            "marked_uncollectible_at": invoice.uncollectible_at,
            "paid_at": invoice.paid_at,
            "voided_at": invoice.voided_at,
        },
        "subtotal": invoice.subtotal,
        "subtotal_excluding_tax": invoice.subtotal,
        "total": invoice.total,
        "total_discount_amounts": [{"amount": amount, "discount": id} for id, amount in invoice.discounts],
        "total_excluding_tax": invoice.total,
        "webhooks_delivered_at": invoice.created,
    }


def _unused() -> Json:
    """Members that the simulator never fills otherwise, each time as a new copy."""
    return {
        "account_country": "US",
        "account_name": "Example",
        "account_tax_ids": None,
        "amount_shipping": 0,
        "application": None,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "custom_fields": None,
        "customer_address": None,
        "customer_email": None,
        "customer_name": None,
        "customer_phone": None,
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_source": None,
        "default_tax_rates": [],
        "footer": None,
        "from_invoice": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "livemode": False,
        "on_behalf_of": None,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "test_clock": None,
        "total_pretax_credit_amounts": [],
    }


def _only_old(invoice: Invoice) -> Json:
    return {
        "application_fee_amount": None,
        "charge": None,
        "discount": None,
        "paid": invoice.status == "paid",
        "paid_out_of_band": invoice.paid_out_of_band,
        "payment_intent": None,
        "quote": None,
        "subscription": invoice.subscription or None,
        "subscription_details": {"metadata": {}},
        "tax": None,
        "total_tax_amounts": [],
        "transfer_data": None,
    }


def _only_new(invoice: Invoice) -> Json:
    details = {
        "quote_details": None,
        "subscription_details": {"metadata": {}, "subscription": invoice.subscription},
        "type": "subscription_details",
    }
    reason = "user_forgiven" if invoice.status == "uncollectible" else None
    return {
        "amount_overpaid": 0,
        "amount_paid_off_stripe": invoice.amount_paid if invoice.paid_out_of_band else 0,
        "customer_account": None,
        "parent": details if invoice.subscription else None,
        "status_details": {"uncollectible": {"reason": reason}} if reason else None,
        "threshold_reason": None,
        "total_taxes": [],
    }


def render_line(line: Line, invoice: Invoice, shape: Shape) -> Json:
    content: Json = {
        "id": line.id,
        "object": "line_item",
        "amount": line.amount,
        "currency": line.price.currency,
        "description": line.description or f"{line.quantity} × {line.price.product}",
        "discount_amounts": [],
        "discountable": not line.proration,
        "discounts": [],
        "invoice": invoice.id,
        "livemode": False,
        "metadata": {},
        "period": {"end": line.period_end, "start": line.period_start},
        "pretax_credit_amounts": [],
        "quantity": line.quantity,
        "subscription": line.subscription or None,
    }
    if shape == OLD:
        return content | {
            "plan": render_plan(line.price) if line.price.recurring else None,
            "price": render_price(line.price),
            "proration": line.proration,
            "proration_details": {"credited_items": None},
            "subscription_item": line.item or None,
            "tax_amounts": [],
            "tax_rates": [],
            "type": "invoiceitem" if line.invoice_item or line.proration else "subscription",
        }
    return content | {
        "parent": _line_parent(line),
        "pricing": {
            "price_details": {"price": line.price.id, "product": line.price.product},
            "type": "price_details",
            "unit_amount_decimal": str(line.price.unit_amount),
        },
        "quantity_decimal": str(line.quantity),
        "subtotal": line.amount,
        "taxes": [],
    }


def _line_parent(line: Line) -> Json:
    """A line comes from an item of the subscription, or from an invoice item, as prorations do."""
    shared = {
        "proration": line.proration,
        "proration_details": {"credited_items": None},
        "subscription": line.subscription or None,
    }
    if line.invoice_item or line.proration:
        invoice_item = line.invoice_item or derived_id("ii", line.id)
        return {
            "invoice_item_details": {"invoice_item": invoice_item, **shared},
            "subscription_item_details": None,
            "type": "invoice_item_details",
        }
    return {
        "invoice_item_details": None,
        "subscription_item_details": {"invoice_item": None, "subscription_item": line.item, **shared},
        "type": "subscription_item_details",
    }
