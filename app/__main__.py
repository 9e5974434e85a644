"""`python -m app`."""

from .cli import cli

cli()
