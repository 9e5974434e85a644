"""Checks of the background jobs that call Stripe: whether they run, and whether they finish."""

from .. import COMMAND
from ..db.models import Job
from .finding import Check, Context, Finding, Scope, named

CATCH_UP, RECONCILE, REFRESH = "catch-up", "reconcile", "refresh"
MINUTE, DAY = 60, 86_400
MISSED = 3
"""A job that was due so many times and did not run has nobody who runs it."""


async def catch_up_runs(context: Context, scope: Scope | None) -> list[Finding]:
    minutes = context.catch_up_minutes
    if minutes or await _last_run_failed(context, CATCH_UP):
        return await _runs(context, CATCH_UP, minutes * MINUTE) or await _not_listed(context)
    what = "CATCH_UP_MINUTES is 0: events that never arrived are never asked for."
    return [Finding("hint", what, f"Unset it, or run `{COMMAND} catch-up` now and then.")]


async def _not_listed(context: Context) -> list[Finding]:
    """Thin events that the last catch-up was refused."""
    job = await load_job(context, CATCH_UP)
    types: list[str] = ((job.result if job else None) or {}).get("not_listed") or []
    if not types:
        return []
    return [
        Finding(
            "warning",
            f"Stripe refuses to list thin events of the types {named(types)}: those that never arrived stay "
            "missing.",
            "Let STRIPE_API_KEY read events (Stripe's Dashboard, Developers > API keys), or disconnect the "
            "receivers of these types.",
            "Thin events are not listed",
        )
    ]


async def reconcile_runs(context: Context, scope: Scope | None) -> list[Finding]:
    if context.reconcile_hour is not None or await _last_run_failed(context, RECONCILE):
        return await _runs(context, RECONCILE, DAY)
    what = "RECONCILE_HOUR is unset: the records are never compared with Stripe's by themselves."
    remedy = f"Set it to a quiet hour (UTC), or run `{COMMAND} reconcile` now and then."
    return [Finding("hint", what, remedy)]


async def _last_run_failed(context: Context, name: str) -> bool:
    job = await load_job(context, name)
    return job is not None and has_failed(job, context.now)


async def refresh_finishes(context: Context, scope: Scope | None) -> list[Finding]:
    """It runs only when there is something to fetch."""
    return [_failed(REFRESH)] if await _last_run_failed(context, REFRESH) else []


async def records_are_equal(context: Context, scope: Scope | None) -> list[Finding]:
    """What the last comparison with Stripe left as it was."""
    job = await load_job(context, RECONCILE)
    result = (job.result if job else None) or {}
    left = int(result.get("differing") or 0) - int(result.get("repaired") or 0)
    if left <= 0:
        return []
    return [
        Finding(
            "warning",
            f"{left} of {result.get('compared')} records differed from Stripe's at the last comparison, and "
            "were not repaired.",
            f"`{COMMAND} reconcile` names them, and with --repair makes them what Stripe says.",
            "Records differ from Stripe's",
        )
    ]


async def _runs(context: Context, name: str, every: float) -> list[Finding]:
    job, now = await load_job(context, name), context.now
    if job is not None and has_failed(job, now):
        return [_failed(name)]
    if job is None or job.started_at is None:
        return [_not_run(f"The job {name} has never run.", name)]
    if job.finished_at is not None and now - job.finished_at > MISSED * every:
        hours = (now - job.finished_at) / 3600
        return [_not_run(f"The job {name} last finished {hours:.0f} hours ago.", name)]
    return []


def _failed(name: str) -> Finding:
    return Finding(
        "warning",
        f"The job {name} did not finish when it last ran.",
        f"It goes on by itself while the service runs, whose log says why it ended (lines with {name})."
        if name == REFRESH
        else f"Run `{COMMAND} {name}`, which says what is in its way.",
        f"The job {name} did not finish",
    )


def _not_run(what: str, name: str) -> Finding:
    remedy = f"Start the service, which runs it, or run `{COMMAND} {name}` yourself."
    return Finding("warning", what, remedy, f"The job {name} does not run")


async def load_job(context: Context, name: str) -> Job | None:
    async with context.database.reading() as session:
        return await session.get(Job, name)


def has_failed(job: Job, now: int) -> bool:
    """Whether it started and did not finish, and nobody has its lease any more."""
    return (
        job.started_at is not None
        and job.lease_until <= now
        and (job.finished_at is None or job.finished_at < job.started_at or job.cursor is not None)
    )


CHECKS = (
    Check("catch-up", "Events that never arrived are asked for.", catch_up_runs, needs_stripe=True),
    Check("reconcile", "The records are compared with Stripe's.", reconcile_runs, needs_stripe=True),
    Check("differences", "Nothing differed from Stripe's at the last comparison.", records_are_equal, True),
    Check("refresh", "Fetching what is marked finishes.", refresh_finishes, needs_stripe=True),
)
