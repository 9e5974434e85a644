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

_MARK = "_is_subscription_service"
_is_subscription_service = True


def _refuse_a_second_name() -> None:
    """
    Raises:
        ImportError: when the package is imported under another name too: its tables, caches and signals would
            exist twice, and each half would miss what the other one does.
    """
    for name, module in list(sys.modules.items()):
        if name != NAME and getattr(module, "__dict__", {}).get(_MARK) is True:
            raise ImportError(
                f"The subscription service is already imported as `{name}`, and cannot be imported as "
                f"`{NAME}` too in the same process. Import it by one name everywhere."
            )


_refuse_a_second_name()
