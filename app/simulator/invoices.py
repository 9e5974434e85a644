"""Invoices and their lines in one API version."""

from .model import Invoice, Line
from .objects import render_plan, render_price
from .shapes import NESTED, OLD, Json, Shape


def render_invoice(invoice: Invoice, shape: Shape) -> Json:
    return _content(invoice, shape) | (_only_old(invoice) if shape == OLD else _only_new(invoice))


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
        "currency": invoice.currency,
        "customer": invoice.customer,
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
        "subtotal": invoice.amount_due,
        "subtotal_excluding_tax": invoice.amount_due,
        "total": invoice.amount_due,
        "total_excluding_tax": invoice.amount_due,
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
        "collection_method": "charge_automatically",
        "custom_fields": None,
        "customer_address": None,
        "customer_email": None,
        "customer_name": None,
        "customer_phone": None,
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "footer": None,
        "from_invoice": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "livemode": False,
        "metadata": {},
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
        "total_discount_amounts": [],
        "total_pretax_credit_amounts": [],
    }


def _only_old(invoice: Invoice) -> Json:
    return {
        "application_fee_amount": None,
        "charge": None,
        "discount": None,
        "paid": invoice.status == "paid",
        "paid_out_of_band": False,
        "payment_intent": None,
        "quote": None,
        "subscription": invoice.subscription,
        "subscription_details": {"metadata": {}},
        "tax": None,
        "total_tax_amounts": [],
        "transfer_data": None,
    }


def _only_new(invoice: Invoice) -> Json:
    return {
        "amount_overpaid": 0,
        "customer_account": None,
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": {}, "subscription": invoice.subscription},
            "type": "subscription_details",
        },
        "total_taxes": [],
    }


def render_line(line: Line, invoice: Invoice, shape: Shape) -> Json:
    content: Json = {
        "id": line.id,
        "object": "line_item",
        "amount": line.amount,
        "currency": line.price.currency,
        "description": f"{line.quantity} × {line.price.product}",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice.id,
        "livemode": False,
        "metadata": {},
        "period": {"end": line.period_end, "start": line.period_start},
        "pretax_credit_amounts": [],
        "quantity": line.quantity,
    }
    if shape == OLD:
        return content | {
            "plan": render_plan(line.price),
            "price": render_price(line.price),
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": line.subscription,
            "subscription_item": line.item,
            "tax_amounts": [],
            "tax_rates": [],
            "type": "subscription",
        }
    item_details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": line.subscription,
        "subscription_item": line.item,
    }
    return content | {
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": item_details,
            "type": "subscription_item_details",
        },
        "pricing": {
            "price_details": {"price": line.price.id, "product": line.price.product},
            "type": "price_details",
            "unit_amount_decimal": str(line.price.unit_amount),
        },
        "quantity_decimal": str(line.quantity),
        "subtotal": line.amount,
        "taxes": [],
    }
