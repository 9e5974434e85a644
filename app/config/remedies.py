"""What to set where a setting is missing or wrong. Error messages and `doctor` show it."""

from collections.abc import Mapping
from typing import Final

from .. import COMMAND

REMEDIES: Final[Mapping[str, str]] = {
    "stripe_webhook_secret": (
        "set STRIPE_WEBHOOK_SECRET to the endpoint's signing secret (whsec_…), shown in Stripe's Dashboard "
        "under Developers > Webhooks, or printed by `stripe listen`; several are separated by commas"
    ),
    "internal_api_key": (
        "set INTERNAL_API_KEY to a random key of 128 bits or more that your other services send as "
        f"X-API-Key (`{COMMAND} keys new` makes one), or to its sha256:…; several are separated by commas"
    ),
    "internal_api_read_key": f"make each key with `{COMMAND} keys new`, or leave the variable unset",
    "stripe_api_key": (
        "set STRIPE_API_KEY to a secret or restricted key (sk_… or rk_…), shown in Stripe's Dashboard under "
        "Developers > API keys, or leave it unset"
    ),
    "stripe_account": "set STRIPE_ACCOUNT to the account's id, acct_…, or leave it unset",
    "stripe_api_base": "leave STRIPE_API_BASE unset, except in tests",
    "stripe_portal_configuration": (
        f"set STRIPE_PORTAL_CONFIGURATION to the id that `{COMMAND} stripe portal --apply` prints, bpc_…, or "
        "leave it unset"
    ),
    "allowed_return_origins": (
        "set ALLOWED_RETURN_ORIGINS to origins without a path, separated by commas, such as "
        "https://app.example.com"
    ),
    "catch_up_minutes": "set CATCH_UP_MINUTES to a number of minutes, or 0 for never",
    "reconcile_hour": "set RECONCILE_HOUR to an hour from 0 to 23 (UTC), or leave it unset",
    "notify_urls": "see apprise's list of services for how each address is written",
    "webhook_out_urls": (
        "set WEBHOOK_OUT_URLS to https:// addresses without a user and a fragment, separated by commas, or "
        "leave it unset"
    ),
    "webhook_out_secrets": (
        "set WEBHOOK_OUT_SECRETS to one secret for each address of WEBHOOK_OUT_URLS, in the same order, "
        f"separated by commas (`{COMMAND} webhooks-out secret` makes one)"
    ),
    "webhook_out_allow_private": (
        "use https://, or set WEBHOOK_OUT_ALLOW_PRIVATE to true where the receivers are in your own network"
    ),
    "link_metadata_keys": (
        "set LINK_METADATA_KEYS to metadata keys of at most 40 characters without square brackets, separated "
        "by commas, or leave it unset for user_id"
    ),
    "silence_hours": "set SILENCE_HOURS to a number of hours, or 0 for never",
    "livemode": "set LIVEMODE to true or false, or leave it unset to take both while trying out",
    "admin_password_hash": (
        f"set ADMIN_PASSWORD_HASH to what `{COMMAND} admin password` prints, in single quotes; "
        "leave it and ADMIN_USERNAME unset to have no admin screen"
    ),
    "plans_file": "set PLANS_FILE to the path of your plans.toml",
    "database_url": "set DATABASE_URL to postgresql://user:password@host/name, or leave it unset for SQLite",
}
