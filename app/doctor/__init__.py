"""The doctor: checks an installation for every known mistake, and names the remedy. It changes nothing."""

from collections.abc import Callable

import structlog

from ..checks import Finding, Level
from ..config import Problem, Settings
from ..errors import StripeRefused, StripeUnavailable
from . import account, backlog, configuration, endpoint, jobs, owner, receivers, records, server, storage
from .checks import Check
from .findings import Report, Skipped
from .installation import Installation, installed

__all__ = ["CHECKS", "Check", "Finding", "Level", "Report", "Skipped", "diagnose"]

log = structlog.get_logger(__name__)

# In this order: database, catalogue and account open what the others look at.
CHECKS: tuple[Check, ...] = (
    *configuration.CHECKS,
    *storage.CHECKS,
    *account.CHECKS,
    *owner.CHECKS,
    *receivers.CHECKS,
    *endpoint.CHECKS,
    *records.CHECKS,
    *backlog.CHECKS,
    *jobs.CHECKS,
    *server.CHECKS,
)


async def diagnose(
    settings: Settings, problems: list[Problem], *, clock: Callable[[], float], url: str | None = None
) -> Report:
    """Run every check. `problems` are those of the settings; `url` is the webhook's address, if known."""
    findings: list[tuple[str, Finding]] = []
    skipped: list[Skipped] = []
    async with installed(settings, problems, clock, url) as installation:
        for check in CHECKS:
            found = await _run(check, installation)
            if isinstance(found, Skipped):
                skipped.append(found)
            else:
                findings += [(check.name, each) for each in found or [Finding("ok", check.fine)]]
    return Report(findings, skipped)


async def _run(check: Check, installation: Installation) -> list[Finding] | Skipped:
    why = next((installation.lacking[need] for need in check.needs if need in installation.lacking), None)
    if why is not None:
        return Skipped(check.name, why)
    try:
        return await check.run(installation)
    except StripeUnavailable as error:
        installation.lacking["stripe"] = error.detail  # the others need not wait for it, too
        return Skipped(check.name, error.detail)
    except StripeRefused as error:
        return Skipped(check.name, error.detail)
    except Exception as error:
        # One look that fails must not hide what the others see. The error may quote what was looked at.
        log.warning("check_failed", check=check.name, error=type(error).__name__)
        return Skipped(check.name, f"It could not be looked at: {type(error).__name__}.")
