"""`simulate`: sends the events of the simulated Stripe to a running server."""

import asyncio
import os
import secrets
import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import Annotated, get_args

import httpx
import typer

from .. import simulator
from ..config import load_settings
from ..errors import ConfigurationError
from ..formatting import counted
from ..simulator import SCENARIOS, SHAPES
from ..simulator.api import API_KEY, serving
from .output import complaint, stopped_by_signal
from .typed import typed_command

PAYLOADS: tuple[simulator.Payload, ...] = get_args(simulator.Payload)


def simulate(
    url: Annotated[
        str | None,
        typer.Option(help="The webhook's address. Default: port 8000, or PORT, of this machine."),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(help=f"One of {', '.join(SCENARIOS)}. May be repeated. Default: all."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="The user's id. Default: user_<scenario>, one for each scenario.")
    ] = None,
    secret: Annotated[
        str | None, typer.Option(help="The signing secret. Default: that of the environment or .env.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed makes the same events. Default: random.")
    ] = None,
    shape: Annotated[
        str, typer.Option(help="API version: old (2024-06-20) or new (2026-10-28.endive).")
    ] = "new",
    payload: Annotated[
        str, typer.Option(help="Events to send: snapshot, thin, or both, each with an id of its own.")
    ] = "snapshot",
    duplicates: Annotated[float, typer.Option(help="Share of events sent twice, 0 to 1.", min=0, max=1)] = 0,
    delayed: Annotated[float, typer.Option(help="Share of events sent last, 0 to 1.", min=0, max=1)] = 0,
    reorder: Annotated[bool, typer.Option(help="Send in random order.")] = False,
    api_port: Annotated[
        int | None,
        typer.Option(help="Afterwards serve Stripe's API of this account on this port of 127.0.0.1."),
    ] = None,
) -> None:
    """Send the events of Stripe's scenarios to a running server."""
    url = url or f"http://127.0.0.1:{os.environ.get('PORT') or 8000}/webhook/stripe"
    if seed is None:
        seed = secrets.randbelow(2**31)
    _check(scenario or (), shape)
    try:
        report = asyncio.run(
            _simulate(
                url,
                secret or load_settings().stripe_webhook_secret[0].get_secret_value(),
                scenario or tuple(SCENARIOS),
                seed,
                SHAPES[shape],
                _payload(payload),
                simulator.Faults(duplicates, reorder, delayed),
                api_port,
                user,
            )
        )
    except httpx.HTTPError as error:
        raise complaint(f"{url} cannot be reached: {error}. Start it with `{typed_command()} run`.") from None
    except ConfigurationError as error:
        raise complaint(error.detail) from None
    except OSError as error:
        raise complaint(f"Port {api_port} cannot be served: {error.strerror}.") from None
    raise typer.Exit(1 if report.refused else 0)


def _check(scenarios: Collection[str], shape: str) -> None:
    if unknown := sorted(set(scenarios) - SCENARIOS.keys()):
        raise typer.BadParameter(
            f"There is no scenario {', '.join(unknown)}. There are: {', '.join(SCENARIOS)}."
        )
    if shape not in SHAPES:
        raise typer.BadParameter(f"The shape is one of {', '.join(SHAPES)}.")


def _payload(name: str) -> simulator.Payload:
    for known in PAYLOADS:
        if known == name:
            return known
    raise typer.BadParameter(f"The payload is one of {', '.join(PAYLOADS)}.")


async def _simulate(
    url: str,
    secret: str,
    scenarios: Sequence[str],
    seed: int,
    shape: simulator.Shape,
    payload: simulator.Payload,
    faults: simulator.Faults,
    api_port: int | None,
    user: str | None,
) -> simulator.Report:
    account = simulator.Account(seed)
    play = partial(
        simulator.simulate,
        url,
        secret,
        scenarios=scenarios,
        seed=seed,
        user_id=user,
        shape=shape,
        payload=payload,
        faults=faults,
        account=account,
    )
    if api_port is None:
        return _tell(await play())
    async with serving(account, port=api_port, api_version=shape, clock=time.time) as base_url:
        report = _tell(await play())
        typer.echo(f"Stripe's API: {base_url}, with the key {API_KEY}; what is done there is sent to {url}.")
        typer.echo("Ctrl-C ends it.")
        sending = asyncio.create_task(simulator.send_on(account, url, secret, shape=shape, payload=payload))
        await stopped_by_signal().wait()
        sending.cancel()
    return report


def _tell(report: simulator.Report) -> simulator.Report:
    results = ", ".join(f"{count} {status}" for status, count in sorted(report.by_status.items()))
    events = counted(report.events, "event")
    typer.echo(f"Sent {events} in {counted(report.sent, 'request')}: {results or 'no answers'}.")
    for subscription in report.truth["subscriptions"].values():
        typer.echo(
            f"  {subscription['user_id']}: {subscription['status']} ({subscription['subscription_id']})"
        )
    for refused in report.refused[:10]:
        typer.secho(refused, err=True, fg=typer.colors.RED)
    return report
