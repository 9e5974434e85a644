"""Where outbound webhooks go: their addresses and signing secrets, as settings have them."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo
from pydantic_settings import NoDecode

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES, NEW_BYTES = 24, 64, 32
"""Of a secret ("Symmetric signatures" in the Standard Webhooks specification)."""


@dataclass(frozen=True, slots=True)
class Destination:
    """An address, and the secrets that sign what is sent there, the newest first."""

    url: SecretStr
    secrets: tuple[SecretStr, ...]


def new_secret() -> str:
    """A new signing secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(NEW_BYTES)).decode()


def destinations(urls: Sequence[SecretStr], keys: Sequence[SecretStr]) -> tuple[Destination, ...]:
    """Each address with its secrets; a colon separates the secrets of one."""
    return tuple(
        Destination(url, tuple(SecretStr(secret) for secret in each.get_secret_value().split(":")))
        for url, each in zip(urls, keys, strict=True)
    )


def check_url(text: str) -> None:
    """Refuse what is no address for outbound webhooks.

    Raises:
        ValueError: saying why, and not the address.
    """
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError("holds what is no address with https://") from None
    if not usable or not text.isascii() or not text.isprintable():
        raise ValueError("holds what is no address with https://")
    if parts.username is not None or parts.fragment:
        raise ValueError("holds an address with a user or a fragment")


def check_secret(text: str) -> None:
    """Refuse what is no signing secret: `whsec_`, and 24 to 64 bytes in base64.

    Raises:
        ValueError: saying why, and not the secret.
    """
    if not text.startswith(PREFIX):
        raise ValueError(f"holds a secret that does not begin with {PREFIX}")
    encoded = text.removeprefix(PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        raise ValueError("holds a secret that is not base64") from None
    if not MIN_BYTES <= len(key) <= MAX_BYTES:
        raise ValueError(f"holds a secret of {len(key)} bytes, not {MIN_BYTES} to {MAX_BYTES}")


def _split(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _urls(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for url in value:
        check_url(url.get_secret_value())
    if len({url.get_secret_value() for url in value}) < len(value):
        raise ValueError("has an address twice")
    return value


def _secrets(value: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
    for each in value:
        for secret in each.get_secret_value().split(":"):
            check_secret(secret)
    urls = info.data.get("webhook_out_urls")
    if urls is not None and len(urls) != len(value):
        raise ValueError(f"has {len(value)} secrets for {len(urls)} addresses in WEBHOOK_OUT_URLS")
    return value


def _plain_only_in_private(value: bool, info: ValidationInfo) -> bool:
    urls = info.data.get("webhook_out_urls") or ()
    if not value and any(url.get_secret_value().startswith("http://") for url in urls):
        raise ValueError("is not true, and WEBHOOK_OUT_URLS has an address with http://")
    return value


Urls = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split), AfterValidator(_urls)]
Secrets = Annotated[
    tuple[SecretStr, ...],
    NoDecode,
    BeforeValidator(_split),
    AfterValidator(_secrets),
    Field(validate_default=True),
]
AllowPrivate = Annotated[bool, AfterValidator(_plain_only_in_private), Field(validate_default=True)]
