"""Outbound webhooks: the state of a user, signed by the Standard Webhooks specification, for other services.

Each address is a durable receiver of its own: the outbox calls it at least once for each message, with
backoff and dead letters, and one that hangs delays no other. A message keeps its `webhook-id` over all
attempts, so that a receiver can drop what it has seen.
"""

import hashlib
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx
import orjson
from standardwebhooks import Webhook

from .. import NAME, __version__
from ..config.webhook_destinations import Destination
from ..observability import metrics
from ..signals import Reaction, TryLater, disconnect_durable, durable, reactions
from .public_addresses import CheckedNetwork
from .retry_after import retry_at

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 10.0
TIMEOUT_SECONDS = 20.0
"""For one attempt: name, connection, TLS, request and the head of the answer. The body is not read."""
TYPES = {
    "entitlements_changed": "entitlements.changed",
    "usage_threshold_reached": "usage.threshold_reached",
    "limit_reached": "usage.limit_reached",
    "usage_overage": "usage.overage",
}
"""The type of a message by its signal."""


Headers = Sequence[tuple[bytes, bytes]]


class Refused(TryLater):
    """The receiver did not take the message; perhaps its `Retry-After` said when to send it again."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, the same at each attempt."""

    id: str
    body: str

    @classmethod
    def of(cls, reaction: Reaction) -> "Message":
        content: dict[str, Any] = {
            "type": TYPES[reaction.signal],
            "timestamp": datetime.fromtimestamp(reaction.at, UTC).isoformat().replace("+00:00", "Z"),
            "data": {"user_id": reaction.user_id} | reaction.facts,
        }
        digest = hashlib.sha256(reaction.id.encode()).hexdigest()[:32]
        return cls(f"msg_{digest}", orjson.dumps(content).decode())

    def headers(self, secrets: Sequence[str], at: datetime) -> dict[str, str]:
        """The headers of an attempt at this moment, in UTC; one signature for each secret."""
        signatures = [Webhook(secret).sign(self.id, at, self.body) for secret in secrets]
        return {
            "content-type": "application/json",
            "user-agent": f"{NAME}/{__version__}",
            "webhook-id": self.id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }


class Sender:
    """Sends messages to one destination. `clock` gives Unix seconds; signatures bear the system's time."""

    def __init__(
        self, destination: Destination, *, allow_private: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._destination = destination
        self._clock = clock
        self._network = CheckedNetwork(allow_private=allow_private)
        self._ssl: ssl.SSLContext = httpx.create_ssl_context()

    async def __call__(self, reaction: Reaction) -> None:
        """
        Raises:
            Exception: when the message was not taken; the outbox sends it again.
        """
        message = Message.of(reaction)
        try:
            status, headers = await self._post(message)
        except Exception:
            metrics.webhook_sent("failed")
            raise
        metrics.webhook_sent("delivered" if 200 <= status < 300 else "refused")
        if not 200 <= status < 300:
            hint = ": redirects are not followed" if 300 <= status < 400 else ""
            again = retry_at(status, headers, int(self._clock()))
            raise Refused(f"The receiver answered with {status}{hint}.", again)

    async def _post(self, message: Message) -> tuple[int, Headers]:
        """Status and headers of the answer. The connection is closed without reading the body."""
        secrets = [secret.get_secret_value() for secret in self._destination.secrets]
        headers = message.headers(secrets, datetime.now(UTC))
        timeouts = {"connect": CONNECT_SECONDS, "read": ANSWER_SECONDS, "write": ANSWER_SECONDS}
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=self._ssl, max_connections=1, network_backend=self._network
            ) as pool,
            pool.stream(
                "POST",
                self._destination.url.get_secret_value(),
                headers=list(headers.items()),
                content=message.body.encode(),
                extensions={"timeout": timeouts},
            ) as response,
        ):
            return int(response.status), list(response.headers)

    def close(self) -> None:
        """Let its threads go."""
        self._network.close()


_connected: dict[str, Sender] = {}


def connect_webhooks(
    destinations: Sequence[Destination], *, allow_private: bool, clock: Callable[[], float] = time.time
) -> None:
    """Connect a durable receiver for each destination. `clock` gives Unix seconds."""
    for destination in destinations:
        sender = Sender(destination, allow_private=allow_private, clock=clock)
        name = receiver_name(destination)
        _connected[name] = sender
        for signal in TYPES:
            durable(reactions.signal(signal), sender, name=name, timeout=TIMEOUT_SECONDS)


def disconnect_webhooks() -> None:
    """Undo `connect_webhooks`."""
    for name, sender in _connected.items():
        for signal in TYPES:
            disconnect_durable(reactions.signal(signal), name)
        sender.close()
    _connected.clear()


def receiver_name(destination: Destination) -> str:
    """The name of a destination's receiver: its host, and a digest of the address, which may hold a token."""
    url = destination.url.get_secret_value()
    return f"webhook:{urlsplit(url).hostname}:{hashlib.sha256(url.encode()).hexdigest()[:8]}"
