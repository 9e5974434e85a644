"""`spool`: what waits on this machine's disk."""

import typer

from ..service import Service
from .output import FINE, NEEDS_ATTENTION, Json, print_json, progress, run

spool = typer.Typer(no_args_is_help=True, help="Events that wait on this machine's disk.")


@spool.command()
def drain(json: Json = False) -> None:
    """Hand what waits in the spool to the database. Exit code 1 if something is left."""
    drained, left = run(lambda service: _drain(service, quiet=json))
    if json:
        print_json({"drained": drained, "left": left})
    else:
        typer.echo(f"{drained} drained, {left} left.")
    raise typer.Exit(NEEDS_ATTENTION if left else FINE)


async def _drain(service: Service, *, quiet: bool) -> tuple[int, int]:
    async with service.taking_in():
        with progress(quiet=quiet) as bar:
            task = bar.add_task("Draining", total=len(service.spool.waiting()))
            drained = await service.spool.drain(service.inbox, lambda count: bar.advance(task, count))
    contents = service.spool.contents()
    return drained, contents.files + contents.rejected
