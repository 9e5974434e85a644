"""The database, the catalogue, the spool. The first two are opened here, for the checks that follow."""

import asyncio

from ..checks import Finding
from ..db import is_sqlite, open_database, sqlite_path
from ..db.clock import MOST_APART_SECONDS, clocks_apart
from ..db.migrations import REMEDY, Schema, read_schema
from ..errors import ConfigurationError
from ..inbox.readiness import ReadinessCheck
from ..inbox.spool import Spool
from ..plans import load_catalogue
from .checks import Check, of_catalogue
from .findings import capital, error_found
from .installation import DATABASE_TIMEOUT_SECONDS, Installation


async def database_answers(installation: Installation) -> list[Finding]:
    installation.lacking["database"] = installation.lacking["records"] = "The database cannot be read."
    url = installation.settings.database_url
    try:
        if is_sqlite(url) and not sqlite_path(url).exists():
            return [_not_there_yet(installation)]
        installation.database = open_database(url)
        async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
            schema = await read_schema(installation.database)
    except ConfigurationError as error:
        return [error_found(error)]
    except Exception as error:
        return [_no_answer(installation, error)]
    del installation.lacking["database"]
    if schema.problem:
        installation.lacking["records"] = "The database is not at the code's migration."
        return [_behind(schema.problem, installation)]
    del installation.lacking["records"]
    return [*_newer(schema), *await _takes_no_event(installation), *await _clocks_differ(installation)]


def _newer(schema: Schema) -> list[Finding]:
    if schema.note is None:
        return []
    return [Finding("hint", schema.note, "Finish the roll-out, or the way back, of the release.")]


async def _clocks_differ(installation: Installation) -> list[Finding]:
    apart = await clocks_apart(installation.database, installation.clock)
    if abs(apart) <= MOST_APART_SECONDS:
        return []
    return [
        Finding(
            "warning",
            f"This machine's clock is {abs(apart)} s {'ahead of' if apart > 0 else 'behind'} the database's: "
            "nothing old is deleted until they agree.",
            "Set both clocks by NTP (`timedatectl set-ntp true`).",
        )
    ]


async def _takes_no_event(installation: Installation) -> list[Finding]:
    state = await ReadinessCheck(installation.database, Spool(None, secrets=()))()
    if state.database is None:
        return []
    what, _, remedy = state.database.partition(": ")
    return [Finding("error", f"{what}.", capital(remedy))]


def _not_there_yet(installation: Installation) -> Finding:
    installation.lacking["database"] = installation.lacking["records"] = "There is no database yet."
    return Finding(
        "hint",
        "The SQLite file of DATABASE_URL is not there yet.",
        "Start the service, which makes it; or set DATABASE_URL to the database that you mean.",
    )


def _no_answer(installation: Installation, error: Exception) -> Finding:
    # Not the error's own words: they may quote the address, and it holds the password.
    what, _, remedy = installation.database.why_unavailable(error).partition(": ")
    return Finding("error", f"{what}.", capital(remedy))


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


CHECKS = (
    Check("database", "The database answers, at the code's migration.", database_answers),
    Check("catalogue", "The plan catalogue can be used.", catalogue_is_usable),
    of_catalogue("spool"),
    of_catalogue("spool-waiting"),
)
