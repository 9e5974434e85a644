"""The idempotency key of a request: in the body as `key`, or in the header `Idempotency-Key`."""

from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import StringConstraints

from ..errors import InvalidRequest
from ..stripe.objects import MAX_ID_LENGTH
from .schemas import Id

HEADER = "Idempotency-Key"
DESCRIPTION = (
    "The same as `key` in the body: the same request with it is done once. Printable ASCII characters, taken "
    "as they stand. Send one of the two, or the same in both."
)
KeyText = Annotated[Id, StringConstraints(max_length=MAX_ID_LENGTH, pattern=r"^[\x20-\x7e]+$")]


def _key_of(
    request: Request,
    key: Annotated[
        KeyText | None, Header(alias=HEADER, description=DESCRIPTION, examples=["request-7"])
    ] = None,
) -> str | None:
    if len(set(request.headers.getlist(HEADER))) > 1:
        raise InvalidRequest(f"{HEADER}: the header is there twice, with two keys. Nothing was changed.")
    return key


HeaderKey = Annotated[str | None, Depends(_key_of)]
"""The key in the header, where there is one."""


def one_key(in_body: str | None, in_header: str | None) -> str | None:
    """The key of the request.

    Raises:
        InvalidRequest: when body and header name two.
    """
    if in_body is not None and in_header is not None and in_body != in_header:
        raise InvalidRequest(
            f"key: the body and the header {HEADER} name two keys. Send one of them, or the same in both. "
            "Nothing was changed."
        )
    return in_header if in_body is None else in_body
