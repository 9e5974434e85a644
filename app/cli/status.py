"""`status`: whether all is well here, and what waits."""

from collections.abc import Iterator, Mapping
from typing import Any

import structlog
import typer

from .. import COMMAND
from ..api.health import notes, unready
from ..formatting import duration
from ..inbox.spool import Contents
from ..operations.backlog import Backlog, Waiting, read_backlog
from ..service import Service
from .output import FINE, WANTS_A_HAND, Json, console, facts, print_json, run, table

log = structlog.get_logger(__name__)

FAILED_TOO_LONG_SECONDS = 1800
PENDING_TOO_LONG_SECONDS = 3600

Status = dict[str, Any]


def status(json: Json = False) -> None:
    """Whether all is well: database, migrations, inbox, outbox, and this machine's spool.

    Exit code 1 if something wants a hand.
    """
    found = run(read_status)
    if json:
        print_json(found)
    else:
        _print(found)
    raise typer.Exit(FINE if found["fine"] else WANTS_A_HAND)


async def read_status(service: Service) -> Status:
    reason = await unready(service)
    backlog = await _backlog(service)
    spool = _spool(service)
    now = service.clock()
    problems = [
        *([reason] if reason else []),
        *(_problems_of(backlog, now) if backlog else ()),
        *_problems_with(service, spool),
    ]
    return {
        "fine": not problems,
        "problems": problems,
        "notes": [*notes(service), *(_notes_on(backlog) if backlog else ())],
        "database": {"kind": service.database.name, "ready": reason is None},
        "inbox": _ages(backlog.inbox, now) if backlog else None,
        "outbox": _ages(backlog.outbox, now) if backlog else None,
        "needs_refresh": backlog.needs_refresh if backlog else None,
        "spool": _spool_facts(service, spool),
    }


async def _backlog(service: Service) -> Backlog | None:
    try:
        return await read_backlog(service.database)
    except Exception as error:  # `unready` has told of it, and how to mend it
        log.debug("backlog_not_read", error=type(error).__name__)
        return None


def _spool(service: Service) -> Contents | None:
    try:
        return service.spool.contents()
    except OSError:
        return None


def _problems_of(backlog: Backlog, now: float) -> Iterator[str]:
    if dead := backlog.inbox["dead"].count:
        yield (
            f"{dead} events are dead: `{COMMAND} events list --state dead` has the errors; once mended, "
            f"`{COMMAND} events replay --state dead`."
        )
    if backlog.inbox["failed"].age(now) > FAILED_TOO_LONG_SECONDS:
        yield f"An event has failed for long: `{COMMAND} events list --state failed` has the error."
    if backlog.inbox["pending"].age(now) > PENDING_TOO_LONG_SECONDS:
        yield f"Thin events wait to be read from Stripe: `{COMMAND} events list --state pending`."
    if dead := backlog.outbox["dead"].count:
        yield f"{dead} reactions are dead: the rows of billing_outbox with that state have the errors."


def _problems_with(service: Service, spool: Contents | None) -> Iterator[str]:
    if service.settings.spool_dir is not None and not service.spool.is_usable():
        yield "The spool takes no events: see to SPOOL_DIR's rights, and that its disk has room."
    if spool and spool.files:
        yield f"{spool.files} events wait in the spool: a server drains it, or `{COMMAND} spool drain`."
    if spool and spool.refused:
        yield (
            f"{spool.refused} of them are refused by the database: the log says which "
            "(spooled_event_refused), the database's own why. A server tries them again every ten minutes, "
            f"`{COMMAND} spool drain` at once."
        )
    if spool and spool.rejected:
        yield f"{spool.rejected} files in the spool carry no right signature: find out why, then delete them."


def _notes_on(backlog: Backlog) -> Iterator[str]:
    if count := sum(backlog.needs_refresh.values()):
        yield f"{count} records are to be read again from Stripe: their events do not settle their state."


def _ages(waiting: Mapping[str, Waiting], now: float) -> dict[str, dict[str, float]]:
    return {
        state: {"count": each.count, "oldest_seconds": round(each.age(now))}
        for state, each in waiting.items()
    }


def _spool_facts(service: Service, spool: Contents | None) -> dict[str, Any]:
    return {
        "folder": str(service.settings.spool_dir) if service.settings.spool_dir else None,
        "usable": service.spool.is_usable(),
        "files": spool.files if spool else None,
        "bytes": spool.bytes if spool else None,
        "refused": spool.refused if spool else None,
        "rejected": spool.rejected if spool else None,
    }


def _print(found: Status) -> None:
    out, spool = console(), found["spool"]
    ready = "ready" if found["database"]["ready"] else "not ready"
    refresh = found["needs_refresh"]
    out.print(
        facts(
            [
                ("database", f"{found['database']['kind']}, {ready}"),
                ("spool", f"{spool['files']} files, {spool['bytes']} bytes" if spool["folder"] else "none"),
                (
                    "to be refreshed",
                    ", ".join(f"{n} {kind}s" for kind, n in refresh.items()) if refresh else None,
                ),
            ]
        )
    )
    rows = [
        (name, state, each["count"], duration(each["oldest_seconds"]) if each["count"] else None)
        for name in ("inbox", "outbox")
        for state, each in (found[name] or {}).items()
    ]
    out.print(table("Not settled", ("where", "state", ">count", ">oldest"), rows))
    for note in found["notes"]:
        out.print(f"Note: {note}")
    for problem in found["problems"]:
        out.print(problem, style="red")
    if found["fine"]:
        out.print("All is well.", style="green")
