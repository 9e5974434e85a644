"""The audit trail: who changed what, and what was there before; written in the change's own transaction.

Each action has one name. Rows of earlier versions may have another one, and are read under both.
"""

import getpass
import secrets
import time
from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import and_, or_
from sqlmodel import col

from .models import AuditEntry

ALL = "*"
"""The subject of a change of many events at once."""
EARLIER_NAMES = {"override.end": "override.ended", "event.replay": "events.replay"}
"""What earlier versions wrote, and the name of the same action today."""
EARLIER_ALL = "events"
"""What earlier versions wrote as the subject of a replay of many events."""


def action_name(action: str) -> str:
    """Today's name of an action that a row has, whichever version wrote it."""
    return EARLIER_NAMES.get(action, action)


def subject_name(subject: str, action: str) -> str:
    """The subject that a row has, as it is written today."""
    is_all = subject == EARLIER_ALL and action_name(action) == "events.replay"
    return ALL if is_all else subject


def has_action(action: str) -> Any:
    """The condition that finds the entries of an action, whichever of its names they have."""
    name = action_name(action)
    names = [name, *(earlier for earlier, today in EARLIER_NAMES.items() if today == name)]
    return col(AuditEntry.action).in_(names)


def has_subject(subject: str) -> Any:
    """The condition that finds the entries about a subject, in whichever way it is written."""
    if subject != ALL:
        return col(AuditEntry.subject) == subject
    is_all = and_(col(AuditEntry.subject) == EARLIER_ALL, has_action("events.replay"))
    return or_(col(AuditEntry.subject) == ALL, is_all)


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
