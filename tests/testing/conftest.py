"""The fixtures of the plugin, without its options."""

from app.pytest_plugin import (
    billing,
    billing_account,
    billing_app,
    billing_clock,
    billing_database_url,
    billing_plans_file,
    billing_settings,
    billing_stripe_api,
)

__all__ = [
    "billing",
    "billing_account",
    "billing_app",
    "billing_clock",
    "billing_database_url",
    "billing_plans_file",
    "billing_settings",
    "billing_stripe_api",
]
