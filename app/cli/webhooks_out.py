"""`webhooks-out`: where outbound webhooks go."""

from dataclasses import asdict
from typing import Annotated

import typer

from ..config.webhook_destinations import new_secret
from ..db.audit import shell_user
from ..formatting import counted
from ..operations.webhooks_out import DestinationStatus, read_destinations, resend_states
from ..service import Service
from .output import FINE, NEEDS_ATTENTION, Json, console, moment, print_json, run, table

webhooks_out = typer.Typer(no_args_is_help=True, help="Outbound webhooks, and where they go.")


@webhooks_out.command()
def secret() -> None:
    """Make a random signing secret, for WEBHOOK_OUT_SECRETS and for the receiver."""
    typer.echo(new_secret())


@webhooks_out.command(name="list")
def list_command(json: Json = False) -> None:
    """The destinations, and what each has not taken. Exit code 1 if one has dead letters."""

    async def work(service: Service) -> list[DestinationStatus]:
        return await read_destinations(service)

    found = run(work)
    if json:
        print_json([asdict(each) for each in found])
    else:
        columns = ("receiver", "address", ">pending", ">dead", "failing since", "last error")
        rows = [
            (each.receiver, each.origin, each.pending, each.dead, moment(each.failing_since), each.last_error)
            for each in found
        ]
        console().print(table("Outbound webhooks", columns, rows))
    raise typer.Exit(NEEDS_ATTENTION if any(each.dead for each in found) else FINE)


@webhooks_out.command()
def resend(
    user: Annotated[str | None, typer.Option(help="Only this user's, by its id.")] = None, json: Json = False
) -> None:
    """Send what users have to every destination though it has not changed: for a new receiver, or one that
    lost its data. The running service sends it."""

    async def work(service: Service) -> int:
        return await resend_states(service, user, actor=shell_user())

    count = run(work)
    if json:
        print_json({"users": count})
    else:
        typer.echo(f"The state of {counted(count, 'user')} is due to be sent.")
