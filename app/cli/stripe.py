"""`stripe`: the webhook endpoint in the account at Stripe."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from ..billing.portal_configuration import MAX_PRODUCTS, PortalSetup, set_up_portal
from ..config import Settings, examine_settings
from ..errors import ServiceError
from ..observability.logs import configure_logging
from ..operations.event_destination import ping, set_up_thin, switch
from ..operations.event_sources import EventSource, find_event_source, list_event_sources
from ..operations.webhook_endpoint import REVEAL, SetupResult, set_up
from ..plans import load_catalogue
from ..service import import_receivers
from ..stripe.client import StripeApi, required
from .env_file import NAME, add_signing_secret, is_writable
from .output import FINE, NEEDS_ATTENTION, complaint

stripe = typer.Typer(no_args_is_help=True, help="The account at Stripe.")
ENV_FILE = Path(".env")
T = TypeVar("T")


@stripe.command()
def setup(
    url: Annotated[str, typer.Option(help="The webhook's address: https://your-host/webhook/stripe.")],
    write_env: Annotated[
        bool, typer.Option("--write-env", help="Put the secret into .env instead of printing it.")
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Create one beside an endpoint of another API version.")
    ] = False,
    thin: Annotated[
        bool, typer.Option("--thin", help="An event destination of thin events, instead of an endpoint.")
    ] = False,
    remove_others: Annotated[
        bool, typer.Option("--remove-others", help="Take away event types that nothing here handles.")
    ] = False,
) -> None:
    """Create the webhook endpoint or event destination, or add the handled event types to it.

    Handled are the types with a receiver: the service's own and those of the modules in RECEIVERS.
    """
    configure_logging()
    if write_env and not is_writable(ENV_FILE):
        # Said before there is a secret that Stripe shows only once.
        raise complaint(".env cannot be written here. Nothing was done.")
    # The rest of the settings may still be missing: the signing secret comes from here.
    settings, problems = examine_settings()
    wrong = next((each for each in problems if each.setting in ("STRIPE_API_KEY", "LIVEMODE")), None)
    if wrong is not None:
        raise complaint(f"{wrong.setting} {wrong.what}: {wrong.remedy}.")
    try:
        import_receivers(settings.receivers)
        result = asyncio.run(_set_up(settings, url, new, thin, remove_others))
    except ServiceError as error:
        raise complaint(error.detail) from None
    _print_result(result)
    if result.secret is None:
        typer.echo(REVEAL)
    elif write_env:
        _keep(result.secret)
    else:
        _print_secret(result.secret)
    raise typer.Exit(FINE if result.pinned else NEEDS_ATTENTION)


async def _set_up(settings: Settings, url: str, new: bool, thin: bool, remove_others: bool) -> SetupResult:
    key = settings.stripe_api_key
    api = required(StripeApi(key.get_secret_value(), settings.stripe_api_base) if key else None)
    try:
        if thin:
            return await set_up_thin(api, url, livemode=settings.livemode, remove_others=remove_others)
        return await set_up(api, url, livemode=settings.livemode, new=new, remove_others=remove_others)
    finally:
        await api.close()


@stripe.command("list")
def list_all() -> None:
    """List the webhook endpoints and event destinations of the account."""
    found = _asked(list_event_sources)
    for each in found.listed:
        typer.echo(_line(each))
    if found.not_listed is not None:
        raise complaint(f"Event destinations are not listed. {found.not_listed}")


@stripe.command()
def show(id: Annotated[str, typer.Argument(help="we_… or ed_….")]) -> None:
    """Show a webhook endpoint or an event destination: where it sends to, and which event types."""
    found = _asked(lambda api: find_event_source(api, id))
    typer.echo(_line(found))
    if found.api_version is not None:
        typer.echo(f"API version: {found.api_version}")
    typer.echo(f"Event types: {', '.join(found.types)}")
    typer.echo(f"Handled here, and not sent: {', '.join(found.missing_types) or 'none'}")


@stripe.command("ping")
def ping_one(id: Annotated[str, typer.Argument(help="The destination's id, ed_….")]) -> None:
    """Have Stripe send a ping to an event destination: it is stored, and ignored."""
    typer.echo(f"Stripe sends {_asked(lambda api: ping(api, id))}.")


@stripe.command()
def enable(id: Annotated[str, typer.Argument(help="we_… or ed_….")]) -> None:
    """Enable a webhook endpoint or an event destination."""
    _asked(lambda api: switch(api, id, "enable"))
    typer.echo(f"{id} is enabled.")


@stripe.command()
def disable(id: Annotated[str, typer.Argument(help="we_… or ed_….")]) -> None:
    """Disable a webhook endpoint or an event destination: it sends nothing."""
    _asked(lambda api: switch(api, id, "disable"))
    typer.echo(f"{id} is disabled.")


@stripe.command()
def portal(
    apply: Annotated[bool, typer.Option("--apply", help="Make it so. Without it, only show it.")] = False,
) -> None:
    """Configure the customer portal from the plans file: what is sold can be chosen there."""

    async def configure(api: StripeApi) -> PortalSetup:
        return await set_up_portal(api, load_catalogue(examine_settings()[0].plans_file), apply=apply)

    result = _asked(configure)
    verb = {"created": "Create", "updated": "Update", "unchanged": "Nothing to change at"}[result.action]
    done = {"created": "Created", "updated": "Updated"}.get(result.action, verb) if apply else verb
    typer.echo(f"{done} {result.id or 'a configuration'}.")
    for each in result.features["subscription_update"].get("products", ()):
        typer.echo(f"  {each['product']}: {', '.join(each['prices'])}")
    if result.left_out:
        more = ", ".join(result.left_out)
        typer.secho(f"Stripe takes {MAX_PRODUCTS} products; left out: {more}.", err=True)
    if result.action != "unchanged" and not apply:
        typer.echo("Nothing was changed. Run it with --apply.")
        raise typer.Exit(NEEDS_ATTENTION)
    if result.id is not None:
        typer.echo(f"Set STRIPE_PORTAL_CONFIGURATION={result.id}.")


def _line(source: EventSource) -> str:
    return f"{source.id}  {source.form}  {source.status}  {source.sends_to}"


def _asked(call: Callable[[StripeApi], Awaitable[T]]) -> T:
    """What Stripe answers to a call with the configured key."""
    configure_logging()
    settings, _ = examine_settings()

    async def asked() -> T:
        key = settings.stripe_api_key
        api = required(StripeApi(key.get_secret_value(), settings.stripe_api_base) if key else None)
        try:
            return await call(api)
        finally:
            await api.close()

    try:
        import_receivers(settings.receivers)
        return asyncio.run(asked())
    except ServiceError as error:
        raise complaint(error.detail) from None


def _print_result(result: SetupResult) -> None:
    what = {"created": "Created", "updated": "Updated", "unchanged": "Nothing to change at"}[result.action]
    typer.echo(f"{what} {result.endpoint_id} for {result.url}.")
    for change in result.changes:
        typer.echo(change)
    for note in result.notes:
        typer.secho(note, err=True, fg=typer.colors.YELLOW)


def _keep(secret: str) -> None:
    try:
        count = add_signing_secret(ENV_FILE, secret)
    except (OSError, UnicodeDecodeError) as error:
        failure = complaint(
            f".env cannot be written ({type(error).__name__}): put the secret there yourself."
        )
        _print_secret(secret)
        raise failure from None
    beside = f", beside {count - 1} that were there; remove those no longer in use" if count > 1 else ""
    typer.echo(f"Its signing secret is in .env{beside}. Restart the service.")
    if NAME in os.environ:
        typer.secho(f"{NAME} is set in the environment, too, which goes before .env.", err=True)


def _print_secret(secret: str) -> None:
    typer.echo(f"Its signing secret (shown this once), for {NAME}:")
    typer.echo(secret)
