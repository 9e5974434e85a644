"""`users`: what is known of one user, and why it has what it has."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import select as sql_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ..api import queries
from ..api.events import COLUMNS
from ..api.schemas import CustomerSummary, EventOut, InvoiceOut, SubscriptionOut
from ..db.audit import shell_user
from ..db.models import Invoice, WebhookEvent
from ..entitlements import Entitlements, entitle, explain_access
from ..formatting import shown_amount
from ..limits.prices import read_prices
from ..operations.accounts import Account, load_account
from ..operations.checks import as_json, check_account, problems
from ..operations.erasure import erase_user
from ..operations.export import export_user
from ..operations.lookup import Person, find_one
from ..service import Service
from .events import events_table
from .limits import limit_facts, limits_table
from .output import FINE, NEEDS_ATTENTION, Json, console, facts, moment, plain, print_json, run, table

users = typer.Typer(no_args_is_help=True, help="The application's users.")

LAST_EVENTS = 10
Wanted = Annotated[
    str, typer.Argument(help="Id of a user, a customer or a subscription, or an e-mail address.")
]

Shown = dict[str, Any]


@users.command()
def erase(
    user_id: Annotated[str, typer.Argument(help="The application's id of the user.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a user's personal data: e-mail, names, metadata, raw events. Ids, amounts and states stay.

    What comes later about the same customers does not bring it back. Run it again if it was interrupted.
    """
    if not yes:
        typer.confirm(f"Erase the personal data of {user_id}? There is no way back.", abort=True)
    erased = run(
        lambda service: erase_user(
            service.database,
            user_id,
            actor=shell_user(),
            at=int(service.clock()),
            link_keys=service.settings.link_metadata_keys,
        )
    )
    typer.echo("Erased in " + ", ".join(f"{count} {kind}" for kind, count in erased.items()) + ".")


@users.command()
def export(user_id: Annotated[str, typer.Argument(help="The application's id of the user.")]) -> None:
    """Print everything that is stored of a user, as JSON: records, usage, events with bodies, audit trail."""
    print_json(run(lambda service: export_user(service.database, user_id)))


@users.command()
def show(user: Wanted, json: Json = False) -> None:
    """Everything about a user: subscriptions with access and why, limits with usage, invoices, last events.

    Exit code 1 if nobody fits, or something needs attention: no user is linked, an event keeps failing.
    """
    shown = run(lambda service: read_user(service, user))
    if json:
        print_json(shown)
    else:
        _print(shown)
    raise typer.Exit(NEEDS_ATTENTION if shown["problems"] else FINE)


async def read_user(service: Service, wanted: str) -> Shown:
    async with service.database.reading() as session:
        person = await find_one(session, wanted)
        subscriptions = await queries.owned_subscriptions(session, service, person.owned)
        invoices = await queries.invoices_where(session, person.owned.invoices())
        entitlements = await _entitlements(service, session, person)
        events = await _last_events(session, person, subscriptions, invoices)
        account = await _account(service, session, person)
    found = await check_account(service, account)
    why = {each.id: explain_access(each) for each in entitlements.subscriptions}
    return {
        "user_id": person.user_id,
        "problems": problems(found),
        "checks": as_json(found),
        "customers": [CustomerSummary.of(customer) for customer in person.customers],
        "plan": entitlements.plan,
        "status": entitlements.status,
        "access": entitlements.access,
        "grace_ends_at": entitlements.grace_ends_at,
        "subscriptions": [each.model_dump() | {"why": why[each.subscription_id]} for each in subscriptions],
        "limits": limit_facts(entitlements) if person.user_id is not None else [],
        "invoices": invoices,
        "events": events,
    }


async def _entitlements(service: Service, session: AsyncSession, person: Person) -> Entitlements:
    if person.user_id is not None:
        return await service.limits.load(person.user_id)
    invoices = await session.exec(select(Invoice).where(person.owned.invoices()))
    catalogue, now = service.limits.catalogue, int(service.clock())
    rows = person.owned.subscriptions
    known = await read_prices(await session.connection(), rows)
    return entitle("", rows, invoices.all(), person.customers, (), catalogue, now, known=known)


async def _account(service: Service, session: AsyncSession, person: Person) -> Account:
    if person.user_id is not None:
        return await load_account(service, session, user_id=person.user_id)
    return await load_account(service, session, customer_id=person.customers[0].id)


async def _last_events(
    session: AsyncSession,
    person: Person,
    subscriptions: Sequence[SubscriptionOut],
    invoices: Sequence[InvoiceOut],
) -> list[EventOut]:
    ids = [
        *(customer.id for customer in person.customers),
        *(each.subscription_id for each in subscriptions),
        *(each.invoice_id for each in invoices),
    ]
    query = (
        sql_select(*COLUMNS)
        .where(col(WebhookEvent.object_id).in_(ids))
        .order_by(col(WebhookEvent.created).desc(), col(WebhookEvent.id).desc())
        .limit(LAST_EVENTS)
    )
    return [EventOut.of(row) for row in await (await session.connection()).execute(query)]


def _print(shown: Shown) -> None:
    out = console()
    grace = shown["grace_ends_at"]
    out.print(
        facts(
            [
                ("user", shown["user_id"] or "none is linked"),
                ("plan", shown["plan"]),
                ("access", shown["access"] + (f" until {moment(grace)}" if grace else "")),
            ]
        )
    )
    out.print(_customers(shown["customers"]))
    out.print(_subscriptions(shown["subscriptions"]))
    if shown["limits"]:
        out.print(limits_table(shown["limits"]))
    out.print(_invoices(shown["invoices"]))
    out.print(events_table("Last events", shown["events"]))
    for problem in shown["problems"]:
        out.print(plain(problem), style="red")


def _customers(customers: Sequence[CustomerSummary]) -> Any:
    rows = [(each.customer_id, each.email, "yes" if each.deleted else None) for each in customers]
    return table("Customers", ("customer", "e-mail", "deleted"), rows)


def _subscriptions(subscriptions: Sequence[Shown]) -> Any:
    columns = ("subscription", "price", ">seats", "status", "access", "why", "expiry")
    rows = [
        (
            each["subscription_id"],
            each["plan_id"],
            each["quantity"],
            each["status"],
            each["access"],
            each["why"],
            moment(each["expiry_date"]),
        )
        for each in subscriptions
    ]
    return table("Subscriptions", columns, rows)


def _invoices(invoices: Sequence[InvoiceOut]) -> Any:
    columns = ("invoice", "created", "status", ">due", ">paid", ">tries", "pay")
    rows = [
        (
            each.invoice_id,
            moment(each.created),
            each.status,
            shown_amount(each.amount_due, each.currency),
            shown_amount(each.amount_paid, each.currency),
            each.attempt_count,
            each.hosted_invoice_url if each.status == "open" else None,
        )
        for each in invoices
    ]
    return table("Invoices", columns, rows)
