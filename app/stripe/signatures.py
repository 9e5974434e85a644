"""Is this body signed by Stripe, for this endpoint, now? ("Verify webhook signatures" in Stripe's docs.)"""

import re
from collections.abc import Sequence

from stripe import SignatureVerificationError, WebhookSignature

from ..errors import InvalidSignature, UntimelySignature

TOLERANCE_SECONDS = 300
"""How old, and how far in the future, a signature may be; 300 is what Stripe's libraries allow for age."""

REMEDY = (
    "Check that STRIPE_WEBHOOK_SECRET holds the signing secret (whsec_…) of exactly this endpoint, "
    "and that nothing between Stripe and this server changes the body."
)


SHAPE = re.compile(r"t=\d{1,12},(v\d=[0-9a-f]{1,128},?)+")
"""A header as Stripe writes it, whoever signed."""


def has_stripes_shape(header: str) -> bool:
    """Whether a header that was refused looks like one of Stripe's, rather than like a scanner's nonsense."""
    return SHAPE.fullmatch(header) is not None


def verify(body: bytes, header: str | None, secrets: Sequence[str], now: float | None) -> None:
    """Accept the body if one of the secrets signed it within the tolerance around `now`.

    `now` in Unix seconds; None leaves the age unchecked, for bodies that were fresh when they were kept.

    Raises:
        UntimelySignature: for a right signature outside of the tolerance.
        InvalidSignature: for every other header, whatever it holds.
    """
    if not header:
        raise InvalidSignature("The header Stripe-Signature is missing. Only Stripe may call this address.")
    if not any(_signed_by(secret, body, header) for secret in secrets):
        raise InvalidSignature(f"The signature matches none of the configured secrets. {REMEDY}")
    if now is not None:
        _check_age(_timestamp(header), now)


def _signed_by(secret: str, body: bytes, header: str) -> bool:
    try:
        # Without a tolerance: the library reads the machine's clock, and knows no bound for the future.
        return bool(WebhookSignature.verify_header(body, header, secret, tolerance=None))
    except SignatureVerificationError:
        return False
    except (TypeError, ValueError, AttributeError):
        # What hostile headers and bodies make the verifier raise: surrogates, bytes that are not UTF-8.
        return False


def _timestamp(header: str) -> int:
    # The verifier's own reading: the first `t`, which it has already found to be a number.
    return int(next(item.split("=", 2)[1] for item in header.split(",") if item.split("=", 2)[0] == "t"))


def _check_age(timestamp: int, now: float) -> None:
    now = int(now)  # a timestamp may have any number of digits: more than a float can hold
    if timestamp < now - TOLERANCE_SECONDS:
        raise UntimelySignature(
            f"The signature is {now - timestamp} s old; more than {TOLERANCE_SECONDS} s is a replay. "
            "If Stripe sent it just now, this machine's clock is ahead."
        )
    if timestamp > now + TOLERANCE_SECONDS:
        raise UntimelySignature(
            f"The signature is dated {timestamp - now} s in the future. "
            "If Stripe sent it just now, this machine's clock is behind."
        )
