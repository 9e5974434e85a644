"""Calls to Stripe that fail: which are repeated, and what our own errors say of the others."""

import stripe
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity import wait_exponential_jitter as exponential

from ..errors import NotFound, PaymentRefused, StripeKeyReused, StripeRefused, StripeUnavailable

log = structlog.get_logger(__name__)

RATE_LIMIT_ATTEMPTS = 6
MAX_PAUSE_SECONDS = 30


def politely() -> AsyncRetrying:
    """Repeat what came too fast; the client itself repeats what failed."""
    return AsyncRetrying(
        retry=retry_if_exception_type(stripe.RateLimitError),
        stop=stop_after_attempt(RATE_LIMIT_ATTEMPTS),
        wait=_pause,
        reraise=True,
    )


def _pause(state: RetryCallState) -> float:
    """What Stripe asks for, else growing with jitter. Seconds."""
    error = state.outcome.exception() if state.outcome else None
    asked = (getattr(error, "headers", None) or {}).get("Retry-After", "")
    log.warning("stripe_rate_limited", attempt=state.attempt_number)
    if asked.isdigit():
        return min(float(asked), MAX_PAUSE_SECONDS)
    return exponential(initial=0.5, max=MAX_PAUSE_SECONDS)(state)


def translated(error: stripe.StripeError, path: str) -> NotFound | StripeRefused | StripeUnavailable:
    """Our own error, with Stripe's words where they are about the request and hold no secret."""
    if isinstance(error, stripe.InvalidRequestError) and error.http_status == 404:
        return NotFound(f"Stripe has no {path}, or not in the mode of STRIPE_API_KEY.")
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return StripeRefused(
            "Stripe does not accept STRIPE_API_KEY for this. Check that the key is of the right account and "
            "mode, has not been rolled, and, if restricted, may do this."
        )
    if isinstance(error, stripe.IdempotencyError):
        return StripeKeyReused("The key was used for another request. Use a new key for a new request.")
    if isinstance(error, stripe.CardError):
        return PaymentRefused(f"Stripe refused: {error.user_message}", code=error.code)
    if isinstance(error, stripe.InvalidRequestError):
        return StripeRefused(f"Stripe refused: {error.user_message}", code=error.code)
    log.warning("stripe_unavailable", error=type(error).__name__, status=error.http_status)
    return StripeUnavailable("Stripe cannot be reached now, or asks for a pause. Try again later.")
