"""`events`: what came in, what became of it, and once more."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import orjson
import typer
from sqlmodel import col, select

from ..api.events import State, get_event, list_events
from ..api.schemas import EventOut
from ..db.audit import shell_user
from ..db.models import WebhookEvent
from ..formatting import counted
from ..operations.backlog import read_backlog
from ..operations.replay import REPLAYABLE
from ..operations.replay import replay as make_due
from ..service import Service
from .output import (
    FINE,
    NEEDS_ATTENTION,
    Json,
    console,
    facts,
    moment,
    plain,
    print_json,
    progress,
    run,
    table,
)

events = typer.Typer(no_args_is_help=True, help="The events in the inbox.")

ReplayState = Literal["ignored", "failed", "dead"]
Type = Annotated[str | None, typer.Option(help="Only of this type.")]
ObjectId = Annotated[str | None, typer.Option(help="Only of this object.")]
COLUMNS = ("received", "event", "type", "object", "state", ">tries", "error")


@events.command(name="list")
def list_(
    state: Annotated[State | None, typer.Option(help="Only in this state.")] = None,
    type: Type = None,
    object_id: ObjectId = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=10_000)] = 20,
    json: Json = False,
) -> None:
    """The events, newest first."""

    async def read(service: Service) -> list[EventOut]:
        page = await list_events(service, state, type, object_id, limit, None)
        return page.data

    found = run(read)
    if json:
        print_json({"data": found})
    else:
        console().print(events_table("Events", found))


def events_table(title: str, found: Sequence[EventOut]) -> Any:
    rows = [
        (
            moment(each.received_at),
            each.event_id,
            each.type,
            each.object_id,
            each.state,
            each.attempts,
            each.last_error,
        )
        for each in found
    ]
    return table(title, COLUMNS, rows)


@events.command()
def show(
    event_id: Annotated[str, typer.Argument(help="The event's id, evt_…")],
    body: Annotated[
        bool, typer.Option("--body", help="Print the body, too: it has customers' data.")
    ] = False,
    json: Json = False,
) -> None:
    """One event and what became of it. Exit code 1 if it failed, is dead, or is not there."""

    async def read(service: Service) -> tuple[EventOut, str]:
        event = await get_event(event_id, service)
        async with service.database.reading() as session:
            query = select(WebhookEvent.body).where(col(WebhookEvent.id) == event_id)
            return event, (await session.exec(query)).one()

    event, content = run(read)
    if json:
        print_json(event.model_dump() | ({"body": orjson.loads(content)} if body else {}))
    else:
        times = ("created", "received_at", "processed_at")
        values = event.model_dump()
        console().print(facts((key, moment(v) if key in times else v) for key, v in values.items()))
        if body:
            console().print(plain(orjson.dumps(orjson.loads(content), option=orjson.OPT_INDENT_2).decode()))
    raise typer.Exit(NEEDS_ATTENTION if event.state in ("failed", "dead") else FINE)


@events.command()
def replay(
    state: Annotated[ReplayState | None, typer.Option(help="Which events: those in this state.")] = None,
    type: Type = None,
    object_id: ObjectId = None,
    event_id: Annotated[str | None, typer.Option(help="Only this one; needs no state.")] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Apply them here, rather than leave it to a server.")
    ] = False,
    json: Json = False,
) -> None:
    """Make events due now, as if they had never failed; a server, or the command `worker`, applies them.

    With --now they are applied here, and exit code 1 says that some failed again.
    """
    if state is None and event_id is None:
        raise typer.BadParameter("Say which events: --state dead, or --event-id evt_…")
    states = REPLAYABLE if state is None else (state,)

    async def work(service: Service) -> tuple[int, int, int]:
        due = await make_due(
            service.database,
            shell_user(),
            at=int(service.clock()),
            states=states,
            event_type=type,
            object_id=object_id,
            event_id=event_id,
        )
        return due, *(await _apply(service, due, quiet=json) if now else (0, 0))

    due, failed, left = run(work)
    if json:
        print_json({"due": due} | ({"failed": failed, "left": left} if now else {}))
    elif now:
        typer.echo(f"{counted(due - left, 'event')} tried again; failed or dead in the inbox now: {failed}.")
        if left:
            typer.echo(f"{counted(left, 'event')} left to a server: nothing here handles such types.")
    else:
        typer.echo(f"{counted(due, 'event')} due now.")
    raise typer.Exit(NEEDS_ATTENTION if failed else FINE)


async def _apply(service: Service, due: int, *, quiet: bool) -> tuple[int, int]:
    """Apply all that is due, with a bar; how many are failed or dead then, and how many left to others."""
    left = due
    async with service.taking_in():
        with progress(quiet=quiet) as bar:
            task = bar.add_task("Applying", total=due)
            while taken := await service.worker.retry_due():
                bar.advance(task, taken)
                left = max(left - taken, 0)
    inbox = (await read_backlog(service.database)).inbox
    # Those that are left are among the failed, unless a server has had them by now.
    return max(inbox["failed"].count + inbox["dead"].count - left, 0), left
