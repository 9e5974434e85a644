"""The commands: `python -m app`, or `subscription-service` where the wheel is installed."""

import sys


def main() -> None:
    """Run the command line; a sentence and exit code 2 where the libraries of the extra `cli` are missing."""
    from .errors import ConfigurationError
    from .extras import needed_for

    try:
        with needed_for("cli"):
            from .cli import cli
    except ConfigurationError as error:
        sys.exit(error.detail)
    cli()


if __name__ == "__main__":
    main()
