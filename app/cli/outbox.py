"""`outbox`: the reactions that durable receivers have not taken yet."""

from typing import Annotated

import typer

from ..db.audit import shell_user
from ..operations.replay import replay_outbox
from ..service import Service
from .output import Json, print_json, run

outbox = typer.Typer(no_args_is_help=True, help="Reactions that durable receivers have not taken yet.")


@outbox.callback()
def group() -> None:
    """Reactions that durable receivers have not taken yet."""


@outbox.command()
def replay(
    receiver: Annotated[str | None, typer.Option(help="Only those of this receiver, by its name.")] = None,
    entry_id: Annotated[str | None, typer.Option("--id", help="Only this entry.")] = None,
    json: Json = False,
) -> None:
    """Make reactions due now that a receiver did not take, dead ones included; a server delivers them."""

    async def work(service: Service) -> int:
        return await replay_outbox(
            service.database, shell_user(), at=int(service.clock()), receiver=receiver, entry_id=entry_id
        )

    due = run(work)
    if json:
        print_json({"due": due})
    else:
        typer.echo(f"{due} reactions are due now.")
