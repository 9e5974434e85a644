"""The checks of a running service, and of one account: what all surfaces show."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..checks import CHECKS, Context, Finding, Scope, run_checks
from ..config import Settings
from ..db import Database
from ..db.disk import existing
from ..inbox.spool import Contents, Spool
from ..plans import Catalogue
from ..service import Service
from .accounts import Account

Found = Mapping[str, Sequence[Finding]]
"""What each check found, by its name."""


async def check_service(service: Service, *, slow: bool | None = None) -> Found:
    """What is wrong with the installation; `slow` False leaves out what reads all records, True the rest."""
    context = await _context(service)
    return await run_checks(context, slow=slow)


async def check_account(service: Service, account: Account) -> Found:
    """What is wrong with one account, as the same checks see it."""
    context = await _context(service)
    scope = Scope(
        account.user_id,
        [customer.id for customer in account.customers],
        [subscription.id for subscription in account.subscriptions],
        [event.id for event in account.unfinished],
    )
    return await run_checks(context, scope)


async def _context(service: Service) -> Context:
    catalogue = service.limits.catalogue
    return await context_of(service.settings, service.database, service.spool, service.clock(), catalogue)


async def context_of(
    settings: Settings, database: Database | None, spool: Spool, now: float, catalogue: Catalogue | None
) -> Context:
    """What the checks look at. `now` in Unix seconds."""
    return Context(
        opened=database,
        now=int(now),
        has_stripe_key=settings.stripe_api_key is not None,
        spool=await asyncio.to_thread(_contents, spool),
        spool_enabled=settings.spool_dir is not None,
        spool_problem=await asyncio.to_thread(_why_not, settings.spool_dir, spool),
        catch_up_minutes=settings.catch_up_minutes,
        reconcile_hour=settings.reconcile_hour,
        silence_hours=settings.silence_hours,
        link_metadata_key=settings.link_metadata_keys[0],
        catalogue=catalogue,
    )


def problems(found: Found) -> list[str]:
    """What needs attention, each in a sentence with its remedy, errors first."""
    sentences = {"error": list[str](), "warning": list[str]()}
    for name in found:
        for finding in found[name]:
            if finding.level in sentences:
                sentences[finding.level].append(f"{finding.what} {finding.remedy}")
    return [*sentences["error"], *sentences["warning"]]


def hints(found: Found) -> list[str]:
    """What may be intended, each in a sentence with its remedy."""
    return [
        f"{each.what} {each.remedy}"
        for findings in found.values()
        for each in findings
        if each.level == "hint"
    ]


def as_json(found: Found) -> list[dict[str, str | None]]:
    """Every check with what it found, in the order of the catalogue; `ok` where that is nothing."""
    return [
        {"check": check.name, "level": each.level, "what": each.what, "remedy": each.remedy or None}
        for check in CHECKS
        if check.name in found
        for each in (found[check.name] or [Finding("ok", check.fine)])
    ]


def _contents(spool: Spool) -> Contents | None:
    try:
        return spool.contents()
    except OSError:
        return None


def _why_not(folder: Path | None, spool: Spool) -> str | None:
    """A folder that is not there yet is not made: whoever checks may be another user than the service."""
    if folder is None or folder.exists():
        return spool.problem()
    there = existing(folder)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return None
    return (
        f"The spool {folder} cannot be written, as {there} is not this user's: set SPOOL_DIR to a folder "
        "that this user can write, on a disk with room."
    )
