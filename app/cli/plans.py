"""`plans`: what a plan catalogue would change, before it is deployed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from ..errors import ServiceError
from ..operations.plans_check import CHANGES, PlansCheck, UserChange, check_plans
from ..plans import Catalogue, load_catalogue
from ..service import Service
from .output import FINE, NEEDS_ATTENTION, Json, complaint, console, progress, run, table

plans = typer.Typer(no_args_is_help=True, help="The plan catalogue: what a new one would change.")

SHOWN = 50
"""How many changes are printed for people; `--json` prints all of them."""


@plans.callback()
def group() -> None:
    """Makes it a group while it has one command."""


@plans.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="NEW.toml", help="The new plan catalogue.")],
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="A feature that payers may have less of, or a plan whose payers may have less. Repeatable."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the users who would gain, lose or be over a limit with another catalogue; nothing is written.

    The catalogue of PLANS_FILE is compared with the new one, for every user of the live database. Exit code
    1 if a payer loses something that `--allow` does not name, or a price in use would be in no plan.
    """
    try:
        new = load_catalogue(file)
    except ServiceError as error:
        raise complaint(error.detail) from None
    listed = _JsonDocument() if json else _FirstChanges()
    found = run(lambda service: _check(service, new, allow or [], listed, quiet=json))
    listed.end(found)
    raise typer.Exit(FINE if found.is_fine else NEEDS_ATTENTION)


async def _check(
    service: Service, new: Catalogue, allow: Sequence[str], listed: "_Listed", *, quiet: bool
) -> PlansCheck:
    with progress(quiet=quiet) as bar:
        task = bar.add_task("Comparing", total=None)
        return await check_plans(
            service.database,
            service.limits.catalogue,
            new,
            int(service.clock()),
            allow=allow,
            on_change=listed.add,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


class _Listed:
    """Receives the changes as they are found: there may be more than fit into memory."""

    def add(self, change: UserChange) -> None:
        raise NotImplementedError

    def end(self, found: PlansCheck) -> None:
        raise NotImplementedError


class _JsonDocument(_Listed):
    """Prints one JSON object, its list of changes first, each on a line of its own."""

    def __init__(self) -> None:
        self._separator = ""

    def add(self, change: UserChange) -> None:
        start = self._separator or '{"changes": [\n'
        typer.echo(start + orjson.dumps(change.as_json()).decode(), nl=False)
        self._separator = ",\n"

    def end(self, found: PlansCheck) -> None:
        start = "\n]" if self._separator else '{"changes": []'
        rest = orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2).decode()
        typer.echo(f"{start},{rest.removeprefix('{')}")


class _FirstChanges(_Listed):
    """Prints the counts, and the first changes: those that are a reason not to deploy before the others."""

    def __init__(self) -> None:
        self._blocking: list[UserChange] = []
        self._others: list[UserChange] = []

    def add(self, change: UserChange) -> None:
        changes = self._blocking if change.blocks else self._others
        if len(changes) < SHOWN:
            changes.append(change)

    def end(self, found: PlansCheck) -> None:
        out = console()
        if found.counts:
            rows = [
                (key, *(counted[each] for each in CHANGES)) for key, counted in sorted(found.counts.items())
            ]
            out.print(table("Users by feature", ("feature", ">gain", ">lose", ">over"), rows))
            shown = [*self._blocking, *self._others][:SHOWN]
            columns = ("user", "plan", "feature", "", ">before", ">after", ">used", "")
            out.print(table("Changes", columns, map(_row, shown)))
            total = sum(counted.total() for counted in found.counts.values())
            if total > len(shown):
                out.print(f"  … and {total - len(shown)} more: `--json` lists all.\n")
        for price in found.unmapped:
            since = "would be" if price.is_new else "is already"
            out.print(f"Price {price.id} of {price.subscriptions} live subscriptions {since} in no plan.")
            out.print(f"  {price.remedy}")
        typer.echo(
            f"{found.users} users compared, {found.changed} would gain, lose or be over; "
            f"{found.blocking} losses of payers are not allowed. Nothing was written."
        )


def _row(change: UserChange) -> tuple[Any, ...]:
    plan = change.plan if change.plan == change.new_plan else f"{change.plan} → {change.new_plan}"
    note = "NOT ALLOWED" if change.blocks else "payer" if change.payer else ""
    values = (_shown(change.before), _shown(change.after), change.used)
    return (change.user_id, plan, change.feature, change.change, *values, note)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "included" if value else "not included"
    return "unlimited" if value is None else str(value)
