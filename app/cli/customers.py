"""`customers`: Stripe's customers and the users that they belong to."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..db.audit import shell_user
from ..errors import InvalidRequest
from ..operations.bulk_links import Link, Report, link_customers, read_links
from ..service import Service
from .output import FINE, NEEDS_ATTENTION, Json, complaint, console, print_json, progress, run, table

customers = typer.Typer(no_args_is_help=True, help="Stripe's customers.")


@customers.callback()
def group() -> None:
    """Makes it a group while it has one command."""


@customers.command()
def link(
    file: Annotated[Path, typer.Argument(help="A CSV file of customer_id,user_id, in UTF-8.")],
    json: Json = False,
) -> None:
    """Link the customers of a file to your users, as PUT /internal/customers does for one.

    The whole file is checked first. It may be run again: what is linked stays so. Exit code 1 if a customer
    is not known here, or a subscription stays with another user, whom it names itself: both are listed.
    """
    links = _read(file)

    async def work(service: Service) -> Report:
        async with service.taking_in():
            with progress(quiet=json) as bar:
                task = bar.add_task("Linking", total=len(links))
                return await link_customers(
                    service, links, actor=shell_user(), on_progress=lambda done: bar.advance(task, done)
                )

    report = run(work)
    if json:
        print_json(asdict(report))
    else:
        _print(report)
    raise typer.Exit(NEEDS_ATTENTION if report.unknown or report.stays else FINE)


def _read(file: Path) -> list[Link]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return read_links(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise complaint(f"{file} cannot be read as UTF-8 text ({type(error).__name__}).") from None
    except InvalidRequest as error:
        raise complaint(error.detail) from None


def _print(report: Report) -> None:
    out = console()
    out.print(f"Customers linked: {report.linked}.")
    if report.unknown:
        rows = [(customer_id,) for customer_id in sorted(report.unknown)]
        out.print(table("Not known here", ("customer",), rows))
    if report.stays:
        columns = ("customer", "subscription", "stays with user")
        found = [(each.customer_id, each.subscription_id, each.user_id) for each in report.stays]
        out.print(table("Stays with another user", columns, found))
