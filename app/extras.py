"""The optional parts of the package, and what to say when their libraries are not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import ConfigurationError

EXTRAS = {
    "admin": "the admin screen",
    "cli": "the commands",
    "notify": "messages to people",
    "simulator": "the simulator",
}


def missing(extra: str, library: str | None) -> str:
    """The sentence that names the extra which installs a library."""
    return (
        f"The library {library}, which {EXTRAS[extra]} cannot do without, is not installed. "
        f"Install the extra: pip install 'subscription-service[{extra}]'."
    )


@contextmanager
def needed_for(extra: str) -> Iterator[None]:
    """Import an extra's libraries inside.

    Raises:
        ConfigurationError: when one of them is not installed; it names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == __name__.partition(".")[0]:
            raise
        raise ConfigurationError(missing(extra, error.name)) from error
