"""`keys`: keys of the internal API."""

from typing import Annotated

import typer

from ..api_keys import new_key, read_key

keys = typer.Typer(no_args_is_help=True, help="Keys of the internal API.")


@keys.callback()
def group() -> None:
    """Makes it a group while it has one command."""


@keys.command()
def new(
    name: Annotated[str | None, typer.Option(help="What the audit trail calls it: billing-page.")] = None,
) -> None:
    """Make a random key of the internal API: the key for its user, the digest for the settings."""
    key = new_key()
    written = (f"{name}=" if name else "") + f"sha256:{read_key(key).digest.hex()}"
    typer.echo(f"For the caller, as X-API-Key (shown this once):  {key}")
    typer.echo(f"For INTERNAL_API_KEY, beside those in use:       {written}")
