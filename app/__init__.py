"""Keeps an application's subscription records in step with Stripe and answers its feature-limit checks."""

import sys
from pathlib import Path

__version__ = "0.2.0"

ROOT = Path(__file__).resolve().parent
"""This folder; everything that the package ships is found from here."""
NAME = __name__
"""The import name: `app` in the repository, `subscription_service` in the wheel, another in a copy."""
COMMAND = "subscription-service" if NAME == "subscription_service" else f"python -m {NAME}"
"""How the commands are typed where this package runs; messages name it."""

PLUGIN = "pytest_plugin"
"""The module that pytest imports at its start in every environment that has the package."""

_MARK = "_is_subscription_service"
_is_subscription_service = True


def refuse_a_second_name() -> None:
    """Called when the package is imported, and again when more of it than pytest's plugin is.

    Raises:
        ImportError: when the package is used under another name too: its tables, caches and signals would
            exist twice, and each half would miss what the other one does.
    """
    for name, module in list(sys.modules.items()):
        if name != NAME and getattr(module, "__dict__", {}).get(_MARK) is True and _is_used(name):
            raise ImportError(
                f"The subscription service is already imported as `{name}`, and cannot be imported as "
                f"`{NAME}` too in the same process. Import it by one name everywhere."
            )


def _is_used(name: str) -> bool:
    """Not where pytest's plugin alone is imported under the name: it needs nothing of the package."""
    return {each for each in list(sys.modules) if each.startswith(f"{name}.")} != {f"{name}.{PLUGIN}"}


refuse_a_second_name()
