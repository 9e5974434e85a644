"""The audit trail: who changed what, and what was there before; written in the change's own transaction."""

import getpass
import secrets
import time
from collections.abc import Mapping
from typing import Any

import structlog

from .models import AuditEntry


def shell_user() -> str:
    """The actor of a command: whoever is logged in at the shell."""
    try:
        return f"shell:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user may have no name
        return "shell"


def audit_entry(
    *,
    at: int,
    actor: str,
    action: str,
    subject: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """An entry of the trail. `at` in Unix seconds; `before` and `after` are what JSON can hold.

    `subject` is the id of what is changed; `action` is `<noun>.<verb>`, such as `override.set`.
    """
    return AuditEntry(
        id=f"aud_{time.time_ns():016x}{secrets.token_hex(4)}",
        at=at,
        actor=actor,
        action=action,
        subject=subject,
        before=None if before is None else dict(before),
        after=None if after is None else dict(after),
        request_id=structlog.contextvars.get_contextvars().get("request_id"),
    )
