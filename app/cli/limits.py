"""`limits`: what made a user's limits what they are."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from ..entitlements import Entitlements
from ..errors import NotFound
from ..operations.lookup import find_one
from ..service import Service
from .output import Json, console, moment, plain, print_json, run, table

limits = typer.Typer(no_args_is_help=True, help="What users may use, and why.")

Facts = dict[str, Any]


@limits.callback()
def group() -> None:
    """Makes it a group while it has one command."""


@limits.command()
def explain(
    user: Annotated[
        str, typer.Argument(help="Id of a user, a customer or a subscription, or an e-mail address.")
    ],
    feature: Annotated[str | None, typer.Argument(help="One feature; all if left out.")] = None,
    json: Json = False,
) -> None:
    """Each limit, and the plan, price, add-on, override and status that made it what it is."""
    entitlements = run(lambda service: _entitlements(service, user, feature))
    chosen = [feature] if feature is not None else list(entitlements.features)
    found = [
        each | asdict(entitlements.explain(each["feature"])) for each in limit_facts(entitlements, chosen)
    ]
    if json:
        print_json({"user_id": entitlements.user_id, "features": found})
        return
    out = console()
    as_of = moment(entitlements.as_of)
    out.print(f"{plain(entitlements.user_id)}: plan {entitlements.plan}, as of {as_of} UTC")
    for each in found:
        out.print()
        out.print(plain("\n".join(each["lines"])))
        if each["used"] is not None:
            out.print(f"  used {each['used']}: {each['reason']} for one more")


async def _entitlements(service: Service, user: str, feature: str | None) -> Entitlements:
    if feature is not None and feature not in service.limits.catalogue.features:
        known = ", ".join(service.limits.catalogue.features)
        raise typer.BadParameter(f"There is no feature {feature}. There are: {known}.")
    async with service.database.reading() as session:
        person = await find_one(session, user)
    if person.user_id is None:
        raise NotFound(
            f"No user is linked to {person.name}, so it has no limits: PUT /internal/customers/{person.name}."
        )
    return await service.limits.load(person.user_id)


def limit_facts(entitlements: Entitlements, features: Sequence[str] | None = None) -> list[Facts]:
    """Each feature with its limit, what is used of it where it is counted, and what one more would get."""
    return [_facts(entitlements, key) for key in features or entitlements.features]


def _facts(entitlements: Entitlements, key: str) -> Facts:
    entitlement = entitlements.feature(key)
    decision = entitlements.look(key, requested=1)
    counted = entitlement.kind in ("allocated", "consumable")
    return {
        "feature": key,
        "kind": entitlement.kind,
        "value": entitlement.value,
        "limit": entitlement.limit,
        "used": decision.used if counted else None,
        "remaining": decision.remaining if counted else None,
        "resets_at": decision.resets_at,
        "allowed": decision.allowed,
        "reason": decision.reason,
        "upgrade_to": decision.upgrade_to,
    }


def limits_table(found: Sequence[Facts]) -> Any:
    columns = ("feature", ">used", ">limit", "one more", "starts anew")
    rows = [
        (each["feature"], each["used"], _limit(each), each["reason"], moment(each["resets_at"]))
        for each in found
    ]
    return table("Limits", columns, rows)


def _limit(each: Facts) -> str:
    if each["kind"] == "boolean":
        return "included" if each["value"] else "not included"
    return "unlimited" if each["value"] is None else str(each["value"])
