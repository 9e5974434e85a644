"""The catalogue of checks: each fault of the records and the background work, with its query, severity,
sentence and remedy.

The doctor, `status`, the internal API, the admin screen, `users show` and the periodic alerts all show what
these checks say. What only the doctor can see, at Stripe and in the settings, is in `doctor/`.
"""

import structlog

from . import changes, duplicates, events, jobs, prices, purchases, records, spool, webhooks
from .finding import Check, Context, Finding, Level, Scope

__all__ = ["BY_NAME", "CHECKS", "Check", "Context", "Finding", "Level", "Scope", "run_checks"]

log = structlog.get_logger(__name__)

CHECKS: tuple[Check, ...] = (
    *spool.CHECKS,
    *duplicates.CHECKS,
    *records.CHECKS,
    *prices.CHECKS,
    *purchases.CHECKS,
    *changes.CHECKS,
    *events.CHECKS,
    *webhooks.CHECKS,
    *jobs.CHECKS,
)
BY_NAME = {check.name: check for check in CHECKS}


async def run_checks(
    context: Context, scope: Scope | None = None, *, slow: bool | None = None
) -> dict[str, list[Finding]]:
    """What every check finds, by its name; with a scope, those that can be restricted to an account.

    `slow` False leaves out the checks that read every live subscription, True all others.

    A check that needs a key for Stripe's API is left out without one. One that fails is left out, too: it
    must not hide what the others see.
    """
    found: dict[str, list[Finding]] = {}
    for check in CHECKS:
        if (check.needs_stripe and not context.has_stripe_key) or (scope and not check.of_account):
            continue
        if slow not in (None, check.slow):
            continue
        try:
            found[check.name] = await check.find(context, scope)
        except Exception as error:
            if context.database.lies_under(error):
                log.debug("check_not_run", check=check.name)  # its being down is said once, elsewhere
                continue
            log.warning("check_failed", check=check.name, error=type(error).__name__)
    return found
