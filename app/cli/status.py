"""`status`: whether all is well here, and what waits."""

from collections.abc import Mapping
from typing import Any

import structlog
import typer

from ..api.health import notes
from ..formatting import duration
from ..inbox.readiness import Readiness
from ..inbox.spool import Contents
from ..operations.backlog import Backlog, Waiting, read_backlog
from ..operations.checks import as_json, check_service, hints, problems
from ..service import Service
from .output import FINE, NEEDS_ATTENTION, Json, console, facts, print_json, run, table

log = structlog.get_logger(__name__)

Status = dict[str, Any]


def status(json: Json = False) -> None:
    """Whether all is well: database, migrations, and the catalogue of checks; what waits in inbox and outbox.

    Exit code 1 if something needs attention.
    """
    found = run(read_status)
    if json:
        print_json(found)
    else:
        _print(found)
    raise typer.Exit(FINE if found["fine"] else NEEDS_ATTENTION)


async def read_status(service: Service) -> Status:
    state = await service.readiness()
    reason = state.database
    backlog = await _backlog(service)
    spool = _spool(service)
    now = service.clock()
    found = await check_service(service)
    attention = [*([reason] if reason else []), *problems(found)]
    return {
        "fine": not attention,
        "problems": attention,
        "notes": [*notes(service, state), *hints(found)],
        "checks": as_json(found),
        "database": {"kind": service.database.name, "ready": reason is None},
        "inbox": _ages(backlog.inbox, now) if backlog else None,
        "outbox": _ages(backlog.outbox, now) if backlog else None,
        "needs_refresh": backlog.needs_refresh if backlog else None,
        "spool": _spool_facts(service, state, spool),
    }


async def _backlog(service: Service) -> Backlog | None:
    try:
        return await read_backlog(service.database)
    except Exception as error:  # `unready` has shown it, and how to fix it
        log.debug("backlog_not_read", error=type(error).__name__)
        return None


def _spool(service: Service) -> Contents | None:
    try:
        return service.spool.contents()
    except OSError:
        return None


def _ages(waiting: Mapping[str, Waiting], now: float) -> dict[str, dict[str, float]]:
    return {
        state: {"count": each.count, "oldest_seconds": round(each.age(now))}
        for state, each in waiting.items()
    }


def _spool_facts(service: Service, state: Readiness, spool: Contents | None) -> dict[str, Any]:
    return {
        "folder": str(service.settings.spool_dir) if service.settings.spool_dir else None,
        "usable": state.spool is None,
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
    out.print(table("Not finished", ("where", "state", ">count", ">oldest"), rows))
    for note in found["notes"]:
        out.print(f"Note: {note}")
    for problem in found["problems"]:
        out.print(problem, style="red")
    if found["fine"]:
        out.print("All is well.", style="green")
