"""The database, the catalogue, the spool. The first two are opened here, for the checks that follow."""

import asyncio
import os
from pathlib import Path

from .. import COMMAND
from ..db import is_sqlite, open_database, sqlite_path
from ..db.migrations import REMEDY, behind
from ..errors import ConfigurationError
from ..inbox.spool import REFUSED, REJECTED, Spool
from ..plans import load_catalogue
from .findings import Check, Finding, capital, counted, error_found
from .installation import DATABASE_TIMEOUT_SECONDS, Installation


async def database_answers(installation: Installation) -> list[Finding]:
    installation.lacking["database"] = installation.lacking["records"] = "The database cannot be read."
    url = installation.settings.database_url
    try:
        if is_sqlite(url) and not sqlite_path(url).exists():
            return [_not_there_yet(installation)]
        installation.database = open_database(url)
        async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
            problem = await behind(installation.database)
    except ConfigurationError as error:
        return [error_found(error)]
    except Exception as error:
        return [_no_answer(error)]
    del installation.lacking["database"]
    if problem:
        installation.lacking["records"] = "The database is not at the code's migration."
        return [_behind(problem, installation)]
    del installation.lacking["records"]
    return []


def _not_there_yet(installation: Installation) -> Finding:
    installation.lacking["database"] = installation.lacking["records"] = "There is no database yet."
    return Finding(
        "hint",
        "The SQLite file of DATABASE_URL is not there yet.",
        "Start the service, which makes it; or set DATABASE_URL to the database that you mean.",
    )


def _no_answer(error: Exception) -> Finding:
    # Not the error's own words: they may quote the address, and it holds the password.
    return Finding(
        "error",
        f"The database does not answer ({type(error).__name__}).",
        "Check that it runs, and that DATABASE_URL names it with the right user and password.",
    )


def _behind(problem: str, installation: Installation) -> Finding:
    what = problem.removesuffix(f": {REMEDY}.") + "."
    if installation.database.name == "sqlite":
        return Finding("warning", what, f"Restart the service, which migrates SQLite itself; or {REMEDY}.")
    return Finding("error", what, f"{capital(REMEDY)}.")


async def catalogue_is_usable(installation: Installation) -> list[Finding]:
    try:
        installation.catalogue = load_catalogue(installation.settings.plans_file)
    except ConfigurationError as error:
        installation.lacking["catalogue"] = "The plan catalogue cannot be used."
        remedy = "Correct the file of PLANS_FILE as each line says."
        return [Finding("error", error.detail, remedy)]
    return []


async def spool_is_usable(installation: Installation) -> list[Finding]:
    if installation.settings.spool_dir is None:
        return [
            Finding(
                "hint",
                "SPOOL_DIR is empty: while the database is down, Stripe's events are answered with 503.",
                "Unset SPOOL_DIR, or set it to a folder that outlives the process.",
            )
        ]
    if await asyncio.to_thread(_can_spool, installation.settings.spool_dir, installation.spool):
        return []
    return [
        Finding(
            "error",
            "The spool cannot be written or is full: while the database is down, events are answered 503.",
            "Set SPOOL_DIR to a folder that this user can write, on a disk with room.",
        )
    ]


def _can_spool(folder: Path, spool: Spool) -> bool:
    """A folder that is not there yet is not made: whoever examines may be another user than the service."""
    if folder.exists():
        return spool.is_usable()
    there = next(parent for parent in folder.absolute().parents if parent.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


async def spool_is_empty(installation: Installation) -> list[Finding]:
    found = []
    if waiting := len(installation.spool.waiting()):
        found.append(
            Finding(
                "warning",
                f"{counted(waiting, 'event')} in the spool: the database has not taken what waits on disk.",
                f"Start the service or `{COMMAND} worker`, which drains it, with a database that answers.",
            )
        )
    folder = installation.settings.spool_dir
    if folder is not None and (refused := len(list(folder.glob(f"*{REFUSED}")))):
        found.append(
            Finding(
                "error",
                f"{counted(refused, 'event')} of the spool refused by the database, which takes others.",
                "The log has their ids (spooled_event_refused), the database's own log the reason. Once "
                f"mended they come in by themselves within ten minutes, or by `{COMMAND} spool drain`.",
            )
        )
    if folder is not None and (rejected := len(list(folder.glob(f"*{REJECTED}")))):
        found.append(
            Finding(
                "warning",
                f"{counted(rejected, 'file')} in the spool cannot be read, or the signature is by no secret "
                "of STRIPE_WEBHOOK_SECRET.",
                "Put a secret that was taken away back into STRIPE_WEBHOOK_SECRET, rename the files from "
                f"{REJECTED} to .event, and restart; or resend the events from Stripe's Dashboard.",
            )
        )
    return found


CHECKS = (
    Check("database", "The database answers, at the code's migration.", database_answers),
    Check("catalogue", "The plan catalogue can be used.", catalogue_is_usable),
    Check("spool", "The spool would take events.", spool_is_usable),
    Check("spool-waiting", "No event waits in the spool.", spool_is_empty),
)
