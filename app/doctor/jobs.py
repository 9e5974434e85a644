"""The jobs that run now and then: whether they do, and whether they come to their end."""

from .. import COMMAND
from ..sync import leases
from .findings import Check, Finding
from .installation import Installation

CATCH_UP, RECONCILE, REFRESH = "catch-up", "reconcile", "refresh"
MINUTE, DAY = 60, 86_400
MISSED = 3
"""A job that was due so many times and did not run has nobody who runs it."""


async def catch_up_runs(installation: Installation) -> list[Finding]:
    minutes = installation.settings.catch_up_minutes
    if not minutes:
        what = "CATCH_UP_MINUTES is 0: events that never arrived are never asked for."
        return [Finding("hint", what, f"Unset it, or run `{COMMAND} catch-up` now and then.")]
    return await _look(installation, CATCH_UP, minutes * MINUTE)


async def reconcile_runs(installation: Installation) -> list[Finding]:
    if installation.settings.reconcile_hour is None:
        what = "RECONCILE_HOUR is unset: the records are never compared with Stripe's by themselves."
        remedy = f"Set it to a quiet hour (UTC), or run `{COMMAND} reconcile` now and then."
        return [Finding("hint", what, remedy)]
    return await _look(installation, RECONCILE, DAY)


async def refresh_ends(installation: Installation) -> list[Finding]:
    """It runs only when there is something to read again."""
    job = await leases.load_job(installation.database, REFRESH)
    return [_failed(REFRESH)] if job and leases.has_failed(job, installation.now) else []


async def _look(installation: Installation, name: str, every: float) -> list[Finding]:
    job = await leases.load_job(installation.database, name)
    now = installation.now
    if job is not None and leases.has_failed(job, now):
        return [_failed(name)]
    if job is None or job.started_at is None:
        return [_not_run(f"The job {name} has never run.", name)]
    if job.finished_at is not None and now - job.finished_at > MISSED * every:
        hours = (now - job.finished_at) / 3600
        return [_not_run(f"The job {name} last came to its end {hours:.0f} hours ago.", name)]
    return []


def _failed(name: str) -> Finding:
    return Finding(
        "warning",
        f"The job {name} did not come to its end when it last ran.",
        f"It goes on by itself while the service runs, whose log says why it ended (lines with {name})."
        if name == REFRESH
        else f"Run `{COMMAND} {name}`, which says what is in its way.",
    )


def _not_run(what: str, name: str) -> Finding:
    return Finding(
        "warning",
        what,
        f"Start the service, which runs it, or run `{COMMAND} {name}` yourself.",
    )


CHECKS = (
    Check("catch-up", "Events that never arrived are asked for.", catch_up_runs, ("records", "stripe")),
    Check("reconcile", "The records are compared with Stripe's.", reconcile_runs, ("records", "stripe")),
    Check("refresh", "Re-reading comes to its end.", refresh_ends, ("records", "stripe")),
)
