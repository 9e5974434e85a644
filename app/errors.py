"""The one error tree. Every class carries its HTTP status and its facts; its message names the remedy."""

from typing import Any, ClassVar

from . import refuse_a_second_name

refuse_a_second_name()


class ServiceError(Exception):
    """Base of all errors of this service; rendered as problem+json (RFC 9457)."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts

    @property
    def headers(self) -> dict[str, str]:
        return {}


class ConfigurationError(ServiceError):
    """The process must not start like this; the message says which variable to set."""

    title = "Configuration error"


class InvalidSignature(ServiceError):
    """The request was not provably signed by Stripe for this endpoint, now."""

    status = 400
    title = "Invalid signature"


class UntimelySignature(InvalidSignature):
    """Rightly signed, but too long ago, or in the future."""


class InvalidPayload(ServiceError):
    """Rightly signed, yet not UTF-8 or not a JSON object: nothing that Stripe sends."""

    status = 400
    title = "Invalid payload"


class MalformedEvent(ServiceError):
    """The event is stored, but something inside that a handler needs is not what it should be."""

    title = "Malformed event"


class BodyRefused(ServiceError):
    """The rest of the body is not read, so the connection cannot serve another request."""

    @property
    def headers(self) -> dict[str, str]:
        return {"Connection": "close"}


class PayloadTooLarge(BodyRefused):
    status = 413
    title = "Payload too large"


class StripeKeyMissing(ServiceError):
    """What was asked needs Stripe's API, and no key is configured."""

    status = 501
    title = "Stripe's API is not configured"


class StripeRefused(ServiceError):
    """Stripe understood the request, and will not do it."""

    status = 422
    title = "Stripe refused"


class PaymentRefused(StripeRefused):
    """A payment has to go through before the change holds, and did not. `pay_url`: where it can be paid."""

    status = 402
    title = "Payment required"


class StripeKeyReused(StripeRefused):
    """The idempotency key stood for another request."""

    status = 409
    title = "Conflict"


class StripeUnavailable(ServiceError):
    """Stripe cannot be reached, fails, or asks for a pause."""

    status = 502
    title = "Stripe is unavailable"


class Stale(ServiceError):
    """What was read from Stripe is older than what the record has become since. Read it again."""

    status = 409
    title = "Stale"


class Forbidden(ServiceError):
    """The key is known, and may not do this."""

    status = 403
    title = "Forbidden"


class RequestTimeout(BodyRefused):
    status = 408
    title = "Request timeout"


class Unauthorized(ServiceError):
    status = 401
    title = "Unauthorized"

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "X-API-Key"}


class NotFound(ServiceError):
    status = 404
    title = "Not found"


class Conflict(ServiceError):
    """The change contradicts what is stored; nothing was changed."""

    status = 409
    title = "Conflict"


class InvalidRequest(ServiceError):
    status = 422
    title = "Invalid request"


class Denied(ServiceError):
    """What a user has does not allow it. The facts are those of the decision."""

    status = 403
    title = "Denied"

    @property
    def http_status(self) -> int:
        """402 where a payment would change the answer, 429 where time will, else 403."""
        reason = self.facts.get("reason")
        if reason == "payment_required":
            return 402
        return 429 if reason in ("limit_reached", "over_limit") and self.facts.get("resets_at") else 403

    @property
    def headers(self) -> dict[str, str]:
        wait = (self.facts.get("resets_at") or 0) - (self.facts.get("as_of") or 0)
        return {"Retry-After": str(max(wait, 1))} if self.http_status == 429 else {}


class Unavailable(ServiceError):
    """Nothing durable can be written now: the one case in which a 200 would lose an event."""

    status = 503
    title = "Service unavailable"
    retry_after_seconds: ClassVar[int] = 5

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_seconds)}


class NotStorable(Unavailable):
    """The database works, and refuses this one event, even as a failed one."""
