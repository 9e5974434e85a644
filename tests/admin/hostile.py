"""What strangers may write into Stripe's fields, and a row of each table full of it."""

from typing import Any

import orjson

from app.db.models import AuditEntry, Customer, Invoice, OutboxEntry, Override, Subscription, WebhookEvent

from .visitor import START

TAG = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>"
RIGHT_TO_LEFT = "\u202egnp.exe‏ שלום"
CONTROL = "bell\x07 escape\x1b[31m line\u2028end"
LONG = "a" * 10_000 + "@example.com"
HOSTILE = (TAG, RIGHT_TO_LEFT, CONTROL, LONG)


def rows(text: str) -> list[object]:
    """A row of each table, with the text wherever a stranger may put one."""
    content = {"id": "sub_h", "object": "subscription", "status": text, "metadata": {text: text}}
    body = {"id": "evt_h", "type": text, "created": START, "data": {"object": content}}
    invoice: dict[str, Any] = {
        "status": text,
        "currency": text,
        "hosted_invoice_url": f"javascript:alert('{text}')",
    }
    override: dict[str, Any] = {"op": "set", "value": 3, "reason": text, "actor": text}
    event: dict[str, Any] = {
        "type": text,
        "body": orjson.dumps(body).decode(),
        "last_error": text,
        "state": "dead",
    }
    reaction: dict[str, Any] = {
        "signal": text,
        "receiver": text[:200],
        "reaction": {"a": text},
        "last_error": text,
    }
    entry: dict[str, Any] = {"actor": text, "action": text, "before": {text: text}, "after": {"b": text}}
    return [
        Customer(id="cus_h", user_id="user_h", email=text, link_source=text),
        Subscription(id="sub_h", customer_id="cus_h", status=text, plan_id=text[:200], items=[]),
        Invoice(id="in_h", customer_id="cus_h", amount_due=1, created=START, **invoice),
        Override(user_id="user_h", feature="projects", created_at=START, **override),
        WebhookEvent(id="evt_h", object_id="sub_h", created=START, received_at=START, **event),
        OutboxEntry(id="out_h", customer_id="cus_h", created_at=START, state="dead", **reaction),
        AuditEntry(id="aud_h", at=START, subject="user_h", **entry),
    ]
