"""`admin`: who may log in to the admin screen."""

import typer

from .output import complaint

admin = typer.Typer(no_args_is_help=True, help="The admin screen.")

MIN_PASSWORD_LENGTH = 12


@admin.callback()
def group() -> None:
    """Makes it a group while it has one command."""


@admin.command()
def password() -> None:
    """Ask for a password, and print its hash for ADMIN_PASSWORD_HASH."""
    # The screen comes with it: a third of what every command would take to start.
    from ..admin.passwords import hash_password

    chosen: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if len(chosen) < MIN_PASSWORD_LENGTH:
        raise complaint(f"The password needs {MIN_PASSWORD_LENGTH} characters or more.")
    typer.echo("Put this into the environment or .env, in single quotes, beside ADMIN_USERNAME:", err=True)
    typer.echo(f"ADMIN_PASSWORD_HASH='{hash_password(chosen)}'")
