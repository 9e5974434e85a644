"""Checks of this machine's spool: whether it would take events, and what lies there."""

from .. import COMMAND
from .finding import Check, Context, Finding, Scope, counted


async def spool_is_usable(context: Context, scope: Scope | None) -> list[Finding]:
    if not context.spool_enabled:
        return [
            Finding(
                "hint",
                "SPOOL_DIR is empty: while the database is down, Stripe's events are answered with 503.",
                "Unset SPOOL_DIR, or set it to a folder that outlives the process.",
                "No spool",
            )
        ]
    if context.spool_problem is None:
        return []
    what, _, remedy = context.spool_problem.partition(": ")
    return [
        Finding(
            "error",
            f"{what}: while the database is down, events are answered 503.",
            remedy[:1].upper() + remedy[1:],
            "The spool takes no events",
        )
    ]


async def spool_is_empty(context: Context, scope: Scope | None) -> list[Finding]:
    spool, found = context.spool, []
    if spool is None:
        return []
    if spool.files:
        found.append(
            Finding(
                "warning",
                f"{counted(spool.files, 'event')} in the spool: the database has not taken what waits there.",
                f"Start the service or `{COMMAND} worker`, which drains it, with a database that answers; "
                f"or `{COMMAND} spool drain`.",
                "Events wait in the spool",
            )
        )
    if spool.refused:
        found.append(
            Finding(
                "error",
                f"{counted(spool.refused, 'event')} of the spool refused by the database, which takes "
                "others.",
                "The log has their ids (spooled_event_refused), the database's own log the reason. Once "
                f"fixed they come in by themselves within ten minutes, or by `{COMMAND} spool drain`.",
                "The database refuses spooled events",
            )
        )
    if spool.rejected:
        found.append(
            Finding(
                "warning",
                f"{counted(spool.rejected, 'file')} in the spool cannot be read, or the signature is by no "
                "secret of STRIPE_WEBHOOK_SECRET.",
                "Put a secret that was taken away back into STRIPE_WEBHOOK_SECRET, rename the files from "
                ".rejected to .event, and restart; or resend the events from Stripe's Dashboard.",
                "Files in the spool carry no right signature",
            )
        )
    return found


CHECKS = (
    Check("spool", "The spool would take events.", spool_is_usable),
    Check("spool-waiting", "No event waits in the spool.", spool_is_empty),
)
