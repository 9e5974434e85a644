"""`limits`: what made a user's limits what they are."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from ..db.migrations import behind
from ..entitlements import Entitlements
from ..errors import ConfigurationError, NotFound, ServiceError
from ..formatting import counted
from ..limits.catalogues import shown
from ..operations.compare_rules import Comparison, compare_rules
from ..operations.lookup import find_one
from ..operations.moments import read_moment
from ..operations.past_limits import PastLimits, find_user_at, limits_at
from ..service import Service
from .output import (
    FINE,
    NEEDS_ATTENTION,
    Json,
    complaint,
    console,
    moment,
    plain,
    print_json,
    progress,
    run,
    table,
)

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
    at: Annotated[
        str | None,
        typer.Option(
            help="What it was at a moment: 2026-11-20 14:30 (UTC), with an offset, or Unix seconds."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Each limit, and the plan, price, add-on, override and status that made it what it is.

    With `--at` the answer is the one of then, from what had been processed by then, with the plan catalogue
    of then. What was not stored, or is past its retention, is said and never guessed.
    """
    if at is not None:
        past = run(lambda service: _past(service, user, at))
        _print_past(past, feature, json=json)
        return
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


async def _past(service: Service, user: str, at: str) -> PastLimits:
    moment = read_moment(at)
    return await limits_at(service, await find_user_at(service, user, moment), moment)


def _print_past(past: PastLimits, feature: str | None, *, json: bool) -> None:
    try:
        facts = past.as_json(feature)
    except ServiceError as error:
        raise complaint(error.detail) from None
    if json:
        print_json(facts)
        return
    out = console()
    out.print(f"{plain(past.user_id)}: plan {facts['plan']}, as of {shown(past.at)}")
    for each in facts["features"]:
        out.print()
        out.print(plain("\n".join(each["lines"])))
    out.print()
    since = past.catalogue.since
    out.print(f"Plan catalogue {past.catalogue.hash[:12]}, in force since {shown(since)}.")
    for title, events in (
        ("Processed last by then", past.last_events),
        ("Not yet processed", past.waiting_events),
    ):
        for row in events:
            done = "never" if row.first_processed_at is None else shown(row.first_processed_at)
            out.print(
                plain(f"{title}: {row.type} {row.id}, received {shown(row.received_at)}, processed {done}")
            )
    for note in past.notes:
        out.print(plain(note))
    out.print(f"Known back to {shown(past.known_since)}.")


@limits.command(name="compare-rules")
def compare(json: Json = False) -> None:
    """List the users whose plan, access or limits this release's rules change, and why; exit code 1 if any.

    Run it against the live database after `migrate` and before the first process of this release starts.
    It writes nothing there.
    """
    found = run(lambda service: _compare(service, quiet=json))
    if json:
        print_json(found.as_json())
    else:
        _print_comparison(found)
    raise typer.Exit(NEEDS_ATTENTION if found.changed else FINE)


async def _compare(service: Service, *, quiet: bool) -> Comparison:
    if (problem := await behind(service.database)) is not None:
        raise ConfigurationError(f"{problem} It only adds to the schema: the release before goes on.")
    with progress(quiet=quiet, endless=True) as bar:
        task = bar.add_task("Comparing", total=None)
        return await compare_rules(
            service.database,
            service.limits.catalogue,
            int(service.clock()),
            link_keys=service.settings.link_metadata_keys,
            on_progress=lambda what, count: bar.update(task, description=f"{count} {what}"),
        )


def _print_comparison(found: Comparison) -> None:
    rows = [
        (each.user_id, name, was, now, "\n".join(each.why) if first else "")
        for each in found.changed
        for first, (name, was, now) in ((index == 0, change) for index, change in enumerate(each.changes))
    ]
    if rows:
        console().print(table("Changes", ("user", "what", "before", "after", "why"), rows))
    typer.echo(
        f"{counted(found.compared, 'user')} compared; different: {len(found.changed)}. Nothing was changed."
    )


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
    columns = ("feature", ">used", ">limit", "one more", "resets")
    rows = [
        (each["feature"], each["used"], _limit(each), each["reason"], moment(each["resets_at"]))
        for each in found
    ]
    return table("Limits", columns, rows)


def _limit(each: Facts) -> str:
    if each["kind"] == "boolean":
        return "included" if each["value"] else "not included"
    return "unlimited" if each["value"] is None else str(each["value"])
