"""The limits that the functions of this package work on, set up once for the process."""

import os
from pathlib import Path

from ..config import SHIPPED_PLANS
from ..errors import ConfigurationError
from ..plans import load_catalogue
from .service import Limits

_limits: Limits | None = None


def use(limits: Limits) -> None:
    """Make the functions of this module work on these limits."""
    global _limits
    _limits = limits


def use_catalogue(plans_file: str | Path | None = None) -> None:
    """Set the limits up in a process without the service: a worker, a cron job, a script.

    They then work in the sessions that are passed to them, on the service's database. `plans_file` is the
    catalogue that the service has; without it, that of the environment's PLANS_FILE, or the shipped one.

    Raises:
        ConfigurationError: when the file cannot be read, or is no catalogue.
    """
    path = plans_file or os.environ.get("PLANS_FILE") or SHIPPED_PLANS
    use(Limits(None, load_catalogue(Path(path))))


def current() -> Limits:
    """
    Raises:
        ConfigurationError: while nothing is set up.
    """
    if _limits is None:
        raise ConfigurationError(
            "Limits are asked for before a service is set up: call create_app() or install() first, or in a "
            "process without the service limits.use_catalogue()."
        )
    return _limits


def with_a_service() -> Limits:
    """The limits of a process that has a service, and with it a database of its own.

    Raises:
        ConfigurationError: while nothing is set up, or the process has only a catalogue.
    """
    limits = current()
    limits.snapshots.require_database()
    return limits
