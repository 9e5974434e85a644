"""Idempotency keys: the same request again is answered as the first time, and done only once."""

from dataclasses import dataclass
from hashlib import sha256

from .errors import ApiError

DAY = 86_400
LONGEST = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What was done for a key: the request, and what it was answered with."""

    at: int
    path: str
    digest: bytes
    request_id: str
    body: bytes

    @classmethod
    def of(cls, at: int, path: str, form: bytes, request_id: str, body: bytes) -> "Answer":
        """`at` in Unix seconds; of the form only the digest is kept."""
        return cls(at, path, sha256(form).digest(), request_id, body)


class Answers:
    """Answers by key, kept for a day by the account's clock, as Stripe does.

    Only what succeeded is kept: a refused request did nothing, and may be corrected and sent again.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Answer] = {}

    def find(self, mode: str, key: str, path: str, form: bytes, now: int) -> Answer | None:
        """What this request was answered with before; `now` in Unix seconds.

        Raises:
            ApiError: 400 `idempotency_error` where the key was another request's, or is too long.
        """
        if len(key) > LONGEST:
            raise _error(f"Idempotency keys may be at most {LONGEST} characters long.")
        kept = self._kept.get((mode, key))
        if kept is None or now - kept.at >= DAY:
            return None
        if kept.path != path:
            raise _error(
                "Keys for idempotent requests can only be used for the same endpoint they were first used "
                f"for ('{path}' vs '{kept.path}'). Try using a key other than '{key}' if you meant to "
                "execute a different request."
            )
        if kept.digest != sha256(form).digest():
            raise _error(
                "Keys for idempotent requests can only be used with the same parameters they were first used "
                f"with. Try using a key other than '{key}' if you meant to execute a different request."
            )
        return kept

    def keep(self, mode: str, key: str, answer: Answer) -> None:
        now = answer.at
        self._kept.pop((mode, key), None)  # so that the oldest stays first
        self._kept[mode, key] = answer
        while now - next(iter(self._kept.values())).at >= DAY:
            del self._kept[next(iter(self._kept))]


def _error(message: str) -> ApiError:
    return ApiError(400, message, type="idempotency_error")
