"""The settings of a service under test: keys that are visibly fake, and nothing reaches another system."""

from collections.abc import Mapping

WEBHOOK_SECRET = "whsec_test_0123456789abcdef"
API_KEY = "test-key-of-the-internal-api-0001"
STRIPE_KEY = "sk_test_fake_simulator"

QUIET: Mapping[str, str] = {
    "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    "INTERNAL_API_KEY": API_KEY,
    "INTERNAL_API_READ_KEY": "",
    "LIVEMODE": "",
    "SPOOL_DIR": "",
    "STRIPE_API_KEY": "",
    "STRIPE_API_BASE": "",
    "STRIPE_ACCOUNT": "",
    "RECONCILE_HOUR": "",
    "NOTIFY_URLS": "",
    "WEBHOOK_OUT_URLS": "",
    "WEBHOOK_OUT_SECRETS": "",
    "WEBHOOK_OUT_ALLOW_PRIVATE": "false",
    "SILENCE_HOURS": "0",
    "ADMIN_USERNAME": "",
    "ADMIN_PASSWORD_HASH": "",
}
"""Whatever the environment and `.env` say: no calls to Stripe, no messages, no outbound webhooks."""


def variables(
    database_url: str, plans_file: str | None = None, stripe_api: str | None = None
) -> dict[str, str]:
    """The environment of a service under test. Without a `plans_file` the application's own is used.

    `stripe_api`: the address of the simulator's API. Without it the service has no key, and calls nobody.
    """
    plans = {"PLANS_FILE": plans_file} if plans_file else {}
    stripe: dict[str, str] = {}
    if stripe_api:  # the test delivers the events, not a catch-up
        stripe = {"STRIPE_API_KEY": STRIPE_KEY, "STRIPE_API_BASE": stripe_api, "CATCH_UP_MINUTES": "0"}
    return {**QUIET, "DATABASE_URL": database_url, **plans, **stripe}
