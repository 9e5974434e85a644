"""The commands: `python -m app …`."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from .config import DatabaseSettings, load_settings
from .errors import ConfigurationError
from .logs import configure_logging
from .migrations import migrate as migrate_database

cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Subscription records in step with Stripe."
)

APP = f"{__package__}.main:app"
GRACEFUL_SHUTDOWN_SECONDS = 20


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes; on SQLite one is best.", min=1)] = 1,
) -> None:
    """Serve the app with the environment's settings."""
    try:
        load_settings()
    except ConfigurationError as error:
        raise typer.Exit(_complain(error)) from None
    configure_logging()
    uvicorn.run(
        APP,
        host=host,
        port=port,
        workers=workers,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
    )


@cli.command()
def run(port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000) -> None:
    """Serve for development, with a `.env` that is written on first use."""
    if _write_env(Path(".env")):
        typer.echo("Wrote .env with random secrets, readable by you alone.")
    typer.echo(f"Webhook       http://127.0.0.1:{port}/webhook/stripe")
    typer.echo(f"Internal API  http://127.0.0.1:{port}/docs  (X-API-Key: INTERNAL_API_KEY in .env)")
    typer.echo(f"Try it        python -m app simulate --url http://127.0.0.1:{port}/webhook/stripe")
    typer.echo(f"From Stripe   stripe listen --forward-to 127.0.0.1:{port}/webhook/stripe")
    typer.echo("              (put the whsec_… that it prints into .env as STRIPE_WEBHOOK_SECRET)")
    serve(host="127.0.0.1", port=port, workers=1)


@cli.command()
def migrate() -> None:
    """Bring the database of DATABASE_URL up to the code."""
    migrate_database(DatabaseSettings().database_url)
    typer.echo("The database is at the newest migration.")


def _write_env(path: Path) -> bool:
    """Write the settings that must not be empty, once; False when the file is there."""
    lines = (
        "# Made by `make run`. For a real endpoint put its signing secret here.",
        f"STRIPE_WEBHOOK_SECRET=whsec_{secrets.token_hex(24)}",
        f"INTERNAL_API_KEY={secrets.token_urlsafe(32)}",
        "",
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(lines))
    return True


def _complain(error: ConfigurationError) -> int:
    typer.secho(error.detail, err=True, fg=typer.colors.RED)
    return 1
