"""`plans`: what a plan catalogue would change, and the same catalogue at Stripe."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer

from ..config import examine_settings
from ..errors import NotFound, ServiceError
from ..formatting import counted
from ..limits.catalogues import catalogue_at, shown
from ..observability.logs import configure_logging
from ..operations.plans_check import CHANGES, PlansCheck, UserChange, check_plans
from ..operations.plans_sync import Write
from ..operations.plans_sync import pull as pull_plans
from ..operations.plans_sync import push as push_plans
from ..operations.webhook_endpoint import check_mode
from ..plans import Catalogue, load_catalogue
from ..service import Service
from ..stripe.client import StripeApi, required
from .output import FINE, NEEDS_ATTENTION, Json, complaint, console, plain, progress, run, table

plans = typer.Typer(
    no_args_is_help=True, help="The plan catalogue: what a new one would change, and the catalogue at Stripe."
)

T = TypeVar("T")
SHOWN = 50
"""How many changes are printed for people; `--json` prints all of them."""


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

    The catalogue of PLANS_FILE is compared with the new one, for every user of the live database. The file
    of PLANS_FILE itself is compared with the catalogue that a server has last started with. Exit code 1 if a
    payer loses something that `--allow` does not name, or a price in use would be in no plan.
    """
    if not file.exists():
        raise complaint(f"There is no file {file}: name the new plan catalogue. Nothing was compared.")
    try:
        new = load_catalogue(file)
    except ServiceError as error:
        raise complaint(error.detail) from None
    listed = _JsonDocument() if json else _FirstChanges()
    found = run(lambda service: _check(service, file, new, allow or [], listed, quiet=json))
    listed.end(found)
    raise typer.Exit(FINE if found.is_fine else NEEDS_ATTENTION)


DEFAULT_FILE = Path("plans.toml")


@plans.command()
def push(
    file: Annotated[Path, typer.Argument(help="The plan catalogue.")] = DEFAULT_FILE,
    yes: Annotated[bool, typer.Option("--yes", help="Make the writes that are listed.")] = False,
) -> None:
    """List what the account at Stripe lacks of a catalogue, and create it with `--yes`.

    Products are found by their metadata, prices by their lookup keys, so one file serves every account. An
    amount is never changed: a new price takes the lookup key over, and the old one is no longer sold.
    """
    count = _at_stripe(lambda api: push_plans(api, _text_of(file), apply=yes, on_write=_print_write))
    done = "made" if yes else "needed; none was made: add `--yes`" if count else "needed"
    typer.echo(f"{count} writes {done}.")


@plans.command()
def pull(
    file: Annotated[Path, typer.Argument(help="The file to write, or to write into.")] = DEFAULT_FILE,
) -> None:
    """Write a catalogue from the products, prices and metadata of the account at Stripe.

    Of a file that is there only what Stripe has otherwise is changed.
    """
    base = _text_of(file) if file.exists() else None
    text = _at_stripe(lambda api: pull_plans(api, base))
    if text == base:
        typer.echo(f"{file} has it all. Nothing was changed.")
        return
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, "utf-8")
    beside.replace(file)
    typer.echo(f"Wrote {file}. Look at what is new: feature kinds are guessed where no metadata says them.")


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise complaint(f"{file} cannot be read ({type(error).__name__}): name the plan catalogue.") from None


def _print_write(write: Write) -> None:
    typer.echo(plain(f"POST {write.path}: {write.why}"))


def _at_stripe(work: Callable[[StripeApi], Awaitable[T]]) -> T:
    configure_logging(logging.WARNING)
    settings, problems = examine_settings()
    wrong = next((each for each in problems if each.setting in ("STRIPE_API_KEY", "LIVEMODE")), None)
    if wrong is not None:
        raise complaint(f"{wrong.setting} {wrong.what}: {wrong.remedy}.")
    key = settings.stripe_api_key
    try:
        api = required(StripeApi(key.get_secret_value(), settings.stripe_api_base) if key else None)
        check_mode(api, settings.livemode)
        return asyncio.run(_closing(api, work))
    except ServiceError as error:
        raise complaint(error.detail) from None


async def _closing(api: StripeApi, work: Callable[[StripeApi], Awaitable[T]]) -> T:
    try:
        return await work(api)
    finally:
        await api.close()


async def _check(
    service: Service, file: Path, new: Catalogue, allow: Sequence[str], listed: "_Listed", *, quiet: bool
) -> PlansCheck:
    old = service.limits.catalogue
    if _is_in_use(file, service):  # edited in its place
        old = await _last_started_with(service) or old
    with progress(quiet=quiet) as bar:
        task = bar.add_task("Comparing", total=None)
        return await check_plans(
            service.database,
            old,
            new,
            int(service.clock()),
            allow=allow,
            on_change=listed.add,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _is_in_use(file: Path, service: Service) -> bool:
    return file.samefile(service.settings.plans_file)


async def _last_started_with(service: Service) -> Catalogue | None:
    """The catalogue that a server has stored at its start; None before the first one."""
    async with service.database.reading() as session:
        try:
            found = await catalogue_at(await session.connection(), int(service.clock()))
        except NotFound:
            return None
    typer.echo(f"Compared with the plan catalogue that is in force since {shown(found.since)}.", err=True)
    return found.catalogue


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
            f"{counted(found.users, 'user')} compared; would gain, lose or be over: {found.changed}; "
            f"losses of payers that are not allowed: {found.blocking}. Nothing was written."
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
