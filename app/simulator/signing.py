"""Signatures as Stripe makes them: HMAC-SHA256 over the time and the raw bytes of the body."""

import hashlib
import hmac

from .model import Event
from .render import event_body
from .shapes import NEW, Shape
from .thin import ThinEvent, thin_body


def sign(body: bytes, secret: str, timestamp: int) -> str:
    """The `Stripe-Signature` header of a body; `timestamp` in Unix seconds."""
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"


def signed_event(
    event: Event | ThinEvent,
    secret: str,
    timestamp: int,
    shape: Shape = NEW,
    *,
    livemode: bool = False,
    account: str | None = None,
    context: str | None = None,
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a webhook delivery, signed at `timestamp` (Unix seconds).

    `account` and `context` as in `render_event`; a thin event has only the context.
    """
    if isinstance(event, ThinEvent):
        body = thin_body(event, livemode=livemode, context=context)
    else:
        body = event_body(event, shape, livemode=livemode, account=account, context=context)
    return body, {
        "Stripe-Signature": sign(body, secret, timestamp),
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }
