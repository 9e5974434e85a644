"""`grants`: amounts and plans of a user's own, beside what a subscription gives."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from ..db.audit import shell_user
from ..entitlements import Grant
from ..errors import InvalidRequest, NotFound
from ..operations.grants import GrantOrder, end_grant, give_grant, list_grants
from ..operations.lookup import is_user
from ..operations.moments import read_moment
from ..service import Service
from .output import Json, console, moment, plain, print_json, run, table

grants = typer.Typer(no_args_is_help=True, help="Amounts and plans of a user's own.")

MOMENT = "a day (2030-02-01, UTC) or a moment (2030-02-01T12:00:00+00:00)"
Begin = Annotated[str | None, typer.Option(help=f"From when: {MOMENT}. Now, if left out.")]
End = Annotated[str | None, typer.Option(help=f"Until when: {MOMENT}. For good, if left out.")]
User = Annotated[str, typer.Argument(help="Id of the user.")]


@grants.command("list")
def list_(user: User, json: Json = False) -> None:
    """The user's grants, and what is left of them; those that ended within 400 days included."""
    found = run(lambda service: _list(service, user))
    if json:
        print_json({"user_id": user, "grants": [asdict(each) | {"left": each.left} for each in found]})
    else:
        console().print(_table(found))


@grants.command()
def give(
    user: User,
    reason: Annotated[str, typer.Option(help="Why, for the audit trail.")],
    feature: Annotated[str | None, typer.Option(help="A consumable or an allocated feature.")] = None,
    amount: Annotated[str | None, typer.Option(help='How much of it: 500, "10 GiB".')] = None,
    plan: Annotated[str | None, typer.Option(help="A plan, in place of a feature and an amount.")] = None,
    priority: Annotated[int, typer.Option(help="The lowest number is drawn down first.")] = 0,
    starts_at: Begin = None,
    expires_at: End = None,
    key: Annotated[str | None, typer.Option(help="The same grant with it is given once.")] = None,
    json: Json = False,
) -> None:
    """Give a user an amount of a feature, or a plan. It holds at once, in every process."""
    order = GrantOrder(
        user_id=user,
        feature=feature,
        amount=int(amount) if amount is not None and amount.isascii() and amount.isdecimal() else amount,
        plan=plan,
        priority=priority,
        starts_at=_seconds(starts_at),
        expires_at=_seconds(expires_at),
        reason=reason,
        actor=shell_user(),
        source="operator",
        key=key,
    )
    given, is_new = run(lambda service: give_grant(service, order, actor=shell_user()))
    if json:
        print_json(asdict(given) | {"is_new": is_new})
    else:
        done = "Given" if is_new else "Given before"
        console().print(plain(f"{done}: {_what(given)} ({given.id})."))


@grants.command()
def end(
    user: User,
    grant: Annotated[str, typer.Argument(help="Id of the grant.")],
    json: Json = False,
) -> None:
    """End a grant now. What was drawn from it stays used. What was bought ends with its refund at Stripe."""
    ended = run(lambda service: end_grant(service, user, grant, actor=shell_user()))
    if json:
        print_json(asdict(ended))
    else:
        console().print(plain(f"Ended: {_what(ended)} ({ended.id})."))


async def _list(service: Service, user: str) -> Sequence[Grant]:
    found = await list_grants(service, user)
    if not found:
        async with service.database.reading() as session:
            if not await is_user(session, user):
                raise NotFound(f"No user {user} is known here.")
    return found


def _table(found: Sequence[Grant]) -> Any:
    columns = ("grant", "what", ">drawn", ">left", "from", "until", "source", "reason")
    rows = [
        (
            each.id,
            _what(each),
            each.drawn.taken if each.feature else "",
            each.left if each.feature else "",
            moment(each.starts_at),
            moment(each.expires_at),
            each.offer or each.source,
            each.reason,
        )
        for each in found
    ]
    return table("Grants", columns, rows)


def _what(grant: Grant) -> str:
    return f"plan {grant.plan}" if grant.plan is not None else f"{grant.amount} {grant.feature}"


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return read_moment(text)
    except InvalidRequest:
        raise typer.BadParameter(f"{text} is no time: write {MOMENT}.") from None
