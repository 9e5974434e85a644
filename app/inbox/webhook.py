"""`POST /webhook/stripe`: read the body, verify the signature, hand the event to the inbox.

A plain ASGI endpoint: dependency injection would cost as much here as all the rest of the route.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import InvalidPayload, InvalidSignature, ServiceError, Unavailable, UntimelySignature
from ..observability import metrics
from ..stripe.signatures import has_stripes_shape, verify
from ..web.bodies import bounded, path_of
from ..web.problems import problem_of
from .arrivals import Arrivals, Way
from .delivery import Delivery, receive
from .inbox import Inbox
from .outcome import Status
from .spool import Spool

log = structlog.get_logger(__name__)

PATH = "/webhook/stripe"
DATABASE_TIMEOUT_SECONDS = 3
NO_EVENT = (
    "The body is signed, but is no event of Stripe's, whose `object` is `event` or `v2.core.event`. "
    "Whoever relays events sends the event itself, not its envelope: `detail` of Amazon EventBridge, `data` "
    "of Azure Event Grid, with a new signature over these bytes."
)
STRIPES_AGENT = b"Stripe/"
"""How the header User-Agent of Stripe's webhooks begins."""


class StripeWebhook:
    """The endpoint. `clock` gives Unix seconds."""

    def __init__(
        self,
        inbox: Inbox,
        spool: Spool,
        arrivals: Arrivals,
        *,
        secrets: Sequence[str],
        max_body_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self._inbox = inbox
        self._spool = spool
        self._arrivals = arrivals
        self._secrets = secrets
        self._max_body_bytes = max_body_bytes
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except ServiceError as error:
            # Stripe's Dashboard shows only the status: here is why.
            log.warning("webhook_refused", status=error.status, reason=error.title)
            metrics.webhook_answered(error.status, error.title.lower().replace(" ", "_"))
            await problem_of(error)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        except Exception:
            metrics.webhook_answered(500, "internal_error")
            raise
        await _send(answer, send)

    async def _answer(self, scope: Scope, channel: Receive) -> bytes:
        body = await read_body(bounded(scope, channel, self._max_body_bytes))
        signature = _signature_header(scope["headers"])
        now = self._clock()
        try:
            verify(body, signature, self._secrets, now)
        except InvalidSignature as error:
            if (way := _refused_way(error, signature, scope["headers"])) is not None:
                self._arrivals.note(way)
            raise
        delivery = receive(body, signature=signature, received_at=int(now))
        if not delivery.event.is_event:
            raise InvalidPayload(NO_EVENT)
        status = await self._keep(delivery)
        self._arrivals.note("webhook")
        metrics.webhook_answered(200, status)
        return orjson.dumps({"received": True, "event_id": delivery.event.id, "status": status})

    async def _keep(self, delivery: Delivery) -> Status:
        """Make the event durable: in the database, or where that takes too long, in the spool."""
        try:
            return (await self._inbox.accept(delivery, timeout_seconds=DATABASE_TIMEOUT_SECONDS)).status
        except Unavailable:
            # An event that took too long may still be committed: the spool's copy is then a duplicate.
            await self._spool.put(delivery)
            return "deferred"


class WebhookFirst:
    """ASGI middleware that knows the webhook before all routes are asked: a tenth of what an event costs."""

    def __init__(self, app: ASGIApp, *, endpoint: ASGIApp, path: str = PATH) -> None:
        self._app = app
        self._path = path
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = scope["type"] == "http" and scope["method"] == "POST" and path_of(scope) == self._path
        await (self._endpoint if first else self._app)(scope, receive, send)


async def read_body(receive: Receive) -> bytes:
    """The whole body."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _refused_way(
    error: InvalidSignature, signature: str | None, headers: Sequence[tuple[bytes, bytes]]
) -> Way | None:
    """Why Stripe's own request may have been refused; None for what hardly comes from Stripe."""
    if isinstance(error, UntimelySignature):
        return "wrong-clock"
    if signature:
        return "wrong-secret" if has_stripes_shape(signature) else None
    stripes = any(name == b"user-agent" and value.startswith(STRIPES_AGENT) for name, value in headers)
    return "no-signature" if stripes else None


async def _send(answer: bytes, send: Send) -> None:
    """A response object would make the same two messages at several times the cost."""
    length = str(len(answer)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def _signature_header(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    found = [value for name, value in headers if name == b"stripe-signature"]
    if len(found) > 1:
        raise InvalidPayload("The header Stripe-Signature comes more than once.")
    return found[0].decode("latin-1") if found else None


ANSWER_SCHEMA = {
    "title": "WebhookAnswer",
    "type": "object",
    "required": ["received", "event_id", "status"],
    "properties": {
        "received": {"type": "boolean"},
        "event_id": {"type": "string"},
        "status": {"type": "string", "enum": ["processed", "duplicate", "ignored", "deferred"]},
    },
}

EVENT_SCHEMA = {
    "title": "StripeEvent",
    "description": "An event as Stripe signs it; a thin event has `related_object` in place of `data`.",
    "type": "object",
    "required": ["id", "type"],
    "properties": {
        "id": {"type": "string", "example": "evt_1SubscriptionUpdated"},
        "type": {"type": "string", "example": "customer.subscription.updated"},
    },
    "additionalProperties": True,
}


def openapi_operation() -> dict[str, Any]:
    """What the OpenAPI page says of this route, which is not one of FastAPI's own."""
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answer = {"received": True, "event_id": "evt_1SubscriptionUpdated", "status": "processed"}
    return {
        "tags": ["webhook"],
        "summary": "Take in an event from Stripe",
        "description": (
            "Called by Stripe alone. `processed`: applied; `duplicate`: seen before, nothing ran again; "
            "`ignored`: stored, of no interest; `deferred`: stored, and applied later."
        ),
        "operationId": "stripe_webhook",
        "parameters": [
            {
                "name": "Stripe-Signature",
                "in": "header",
                "required": True,
                "schema": {"type": "string"},
                "example": "t=1893456000,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd",
            }
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": EVENT_SCHEMA}}},
        "responses": {
            "200": {
                "description": "The event is durably stored",
                "content": {"application/json": {"schema": ANSWER_SCHEMA, "example": answer}},
            },
            "400": {
                "description": "Not signed by Stripe, or not an event; nothing is stored",
                "content": problem,
            },
            "408": {"description": "The body took too long", "content": problem},
            "413": {"description": "The body is too large", "content": problem},
            "503": {"description": "Nothing durable can be written; send it again later", "content": problem},
        },
    }
