"""Settings, from the environment or a `.env` file. Unusable ones stop the start and name the remedy."""

from .load import Problem, examine_settings, load_settings
from .settings import (
    DEFAULT_DATABASE_URL,
    SHIPPED_PLANS,
    DatabaseSettings,
    Settings,
    check_signing_secret,
)

__all__ = [
    "DEFAULT_DATABASE_URL",
    "SHIPPED_PLANS",
    "DatabaseSettings",
    "Problem",
    "Settings",
    "check_signing_secret",
    "examine_settings",
    "load_settings",
]
