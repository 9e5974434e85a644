"""Checks of the settings alone."""

import asyncio
import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

from ..checks.finding import Finding
from ..config import SHIPPED_PLANS
from ..errors import ConfigurationError
from ..reactions.notifications import Notifier
from ..reactions.public_addresses import PrivateAddress, resolve
from .checks import Check
from .findings import capital, error_found, mode_name
from .installation import Installation

TEST_SECRET = "whsec_test_"  # how the simulator's begin; Stripe's own show no mode
ENV_FILE = Path(".env")
OTHERS = stat.S_IRWXG | stat.S_IRWXO


async def settings_are_usable(installation: Installation) -> list[Finding]:
    return [
        Finding("error", f"{problem.setting} {problem.what}.", f"{capital(problem.remedy)}.")
        for problem in installation.problems
    ]


async def secret_is_not_a_tests(installation: Installation) -> list[Finding]:
    secrets = installation.settings.signing_secrets
    if not installation.livemode or not any(secret.startswith(TEST_SECRET) for secret in secrets):
        return []
    return [
        Finding(
            "error",
            "STRIPE_WEBHOOK_SECRET holds a secret of a test, in live mode: who knows it can sign events.",
            "Set STRIPE_WEBHOOK_SECRET to the signing secret of the live endpoint alone.",
        )
    ]


async def key_is_of_the_mode(installation: Installation) -> list[Finding]:
    api, livemode = installation.stripe, installation.settings.livemode
    if api is None or livemode is None or livemode == api.livemode:
        return []
    of_key, asked = mode_name(api.livemode), mode_name(livemode)
    return [
        Finding(
            "error",
            f"STRIPE_API_KEY is of {of_key}, and LIVEMODE says {asked}: what is read with the key does not "
            "count here.",
            f"Set STRIPE_API_KEY to a key of {asked}, or LIVEMODE={str(api.livemode).lower()}.",
        )
    ]


async def livemode_is_set(installation: Installation) -> list[Finding]:
    if installation.settings.livemode is not None or installation.is_wrong("LIVEMODE"):
        return []
    live = installation.stripe is not None and installation.stripe.livemode
    return [
        Finding(
            "warning" if live else "hint",
            "LIVEMODE is unset: events of test mode grant the same as those of live mode.",
            "Set LIVEMODE=true in production, LIVEMODE=false elsewhere.",
        )
    ]


async def notifications_configured(installation: Installation) -> list[Finding]:
    if not installation.settings.notify_urls:
        remedy = "Set NOTIFY_URLS to where messages should go: mailto://…, slack://…"
        return [
            Finding("hint", "NOTIFY_URLS is unset: no message is sent about dead events and silence.", remedy)
        ]
    try:
        for url in installation.settings.notify_urls:
            Notifier(url.get_secret_value())
    except ConfigurationError as error:
        return [error_found(error)]
    return []


async def webhooks_lead_to_public_addresses(installation: Installation) -> list[Finding]:
    found = []
    for destination in installation.settings.destinations:
        parts = urlsplit(destination.url.get_secret_value())
        host, port = str(parts.hostname), parts.port or 443
        try:
            await resolve(host, port, allow_private=installation.settings.webhook_out_allow_private)
        except PrivateAddress as error:
            found.append(error_found(error))
        except OSError:
            what = f"WEBHOOK_OUT_URLS: no address is found for the name {host}."
            found.append(Finding("error", what, "Correct the name, or its entry in the DNS."))
    return found


async def api_is_stripes(installation: Installation) -> list[Finding]:
    live = installation.stripe is not None and installation.stripe.livemode
    if installation.settings.stripe_api_base is None or not live:
        return []
    return [
        Finding(
            "warning",
            "STRIPE_API_BASE is set: the live key is sent to another address than Stripe's.",
            "Unset STRIPE_API_BASE.",
        )
    ]


async def plans_are_your_own(installation: Installation) -> list[Finding]:
    path = installation.settings.plans_file
    if not await asyncio.to_thread(_is_the_example, path):
        return []
    where = "PLANS_FILE is unset" if path == SHIPPED_PLANS else "The file of PLANS_FILE is unchanged"
    return [
        Finding(
            "hint",
            f"{where}: the example that ships with the service says what plans give.",
            "Copy plans.toml, write your plans and prices into it, and set PLANS_FILE to it.",
        )
    ]


def _is_the_example(path: Path) -> bool:
    """By the content: a copy gives no more than the file that ships."""
    try:
        return path.read_bytes() == SHIPPED_PLANS.read_bytes()
    except OSError:
        return path == SHIPPED_PLANS


async def env_file_is_private(installation: Installation) -> list[Finding]:
    if not await asyncio.to_thread(_others_can_read, ENV_FILE):
        return []
    return [Finding("warning", "Other users of this machine can read .env.", "Run `chmod 600 .env`.")]


async def forwarded_addresses_are_a_proxys(installation: Installation) -> list[Finding]:
    trusted = os.environ.get("FORWARDED_ALLOW_IPS", "").replace(",", " ").split()
    if "*" not in trusted and "0.0.0.0/0" not in trusted and "::/0" not in trusted:
        return []
    return [
        Finding(
            "warning",
            "FORWARDED_ALLOW_IPS trusts everybody: whoever sends X-Forwarded-For chooses the address that "
            "the limits of the log-in count by.",
            "Set FORWARDED_ALLOW_IPS to the addresses of your proxy.",
        )
    ]


def _others_can_read(path: Path) -> bool:
    return path.is_file() and bool(path.stat().st_mode & OTHERS)


CHECKS = (
    Check("settings", "Every setting can be used.", settings_are_usable),
    Check("test-secret", "No signing secret is a test's.", secret_is_not_a_tests),
    Check("key-mode", "STRIPE_API_KEY and LIVEMODE do not contradict each other.", key_is_of_the_mode),
    Check("livemode", "LIVEMODE is set.", livemode_is_set),
    Check("notify", "NOTIFY_URLS can be used.", notifications_configured),
    Check("webhooks-out", "Outbound webhooks can be sent.", webhooks_lead_to_public_addresses),
    Check("api-base", "The key goes to no other address in live mode.", api_is_stripes),
    Check("plans-file", "The catalogue is no mere example.", plans_are_your_own),
    Check("env-file", "No other user can read .env.", env_file_is_private),
    Check("forwarded", "Nobody but a proxy says who a client is.", forwarded_addresses_are_a_proxys),
)
