"""The webhook endpoint at Stripe: there, enabled, of the right version, with the handled event types."""

from typing import Any
from urllib.parse import urlsplit

from .. import COMMAND
from ..checks.finding import Finding, Level, named
from ..errors import InvalidRequest, NotFound, StripeRefused
from ..inbox.handlers import stripe_types
from ..inbox.webhook import PATH
from ..operations.event_destination import handled_thin_types, list_destinations, thin_webhooks, url_of
from ..operations.webhook_endpoint import (
    ALL_TYPES,
    api_version,
    list_endpoints,
    same_url,
    version_note,
    webhook_url,
)
from .checks import Check
from .findings import capital
from .installation import Installation

SET_UP = f"`{COMMAND} stripe setup --url {{}}`"


async def endpoint_leads_here(installation: Installation) -> list[Finding]:
    installation.lacking["endpoint"] = "The webhook endpoint could not be looked for."
    try:
        url = webhook_url(installation.url) if installation.url else None
    except InvalidRequest as error:
        return [Finding("error", "The address given with --url is none for a webhook.", error.detail)]
    everyone = [*await list_endpoints(installation.api), *await _destinations(installation)]
    ours = [each for each in everyone if _leads_to(each["url"], url)]
    installation.endpoints = ours
    if not ours:
        installation.lacking["endpoint"] = "No endpoint at Stripe leads here."
        return [_none(installation, url, everyone)]
    del installation.lacking["endpoint"]
    return _doubles(ours)


async def _destinations(installation: Installation) -> list[dict[str, Any]]:
    """The destinations of thin events, in the form of endpoints; none where the key may not list them."""
    try:
        found = await list_destinations(installation.api)
    except (NotFound, StripeRefused):
        return []
    return [each | {"url": url_of(each), "api_version": None, "thin": True} for each in thin_webhooks(found)]


def _is_thin(endpoint: dict[str, Any]) -> bool:
    return endpoint.get("thin") is True


def _handled_by(endpoint: dict[str, Any]) -> set[str]:
    """The handled types, as this endpoint names them."""
    return set(handled_thin_types() if _is_thin(endpoint) else stripe_types())


def _set_up(endpoint: dict[str, Any], *more: str) -> str:
    """The command that brings it in order."""
    options = ["--thin"] * _is_thin(endpoint) + list(more)
    return SET_UP.format(" ".join([_shown(endpoint["url"]), *options]))


def _leads_to(endpoint_url: str, url: str | None) -> bool:
    """To this address; where none is known, to this service on any host."""
    if url is not None:
        return same_url(endpoint_url, url)
    return urlsplit(endpoint_url).path == PATH


def _none(installation: Installation, url: str | None, everyone: list[dict[str, Any]]) -> Finding:
    remedy = f"Run {SET_UP.format(url or f'https://your-host{PATH}')}."
    if url is None:
        # On a developer's machine there is none, and need not be.
        level: Level = "error" if installation.api.livemode else "warning"
        what = f"No webhook endpoint at Stripe leads to {PATH} on any host: no event arrives"
        remedy += " Where its path is another, name the address to the doctor with --url."
        return Finding(level, f"{what}, unless `stripe listen` forwards them.", remedy)
    host = urlsplit(url).hostname
    near = [_shown(each["url"]) for each in everyone if urlsplit(each["url"]).hostname == host]
    what = f"No webhook endpoint at Stripe leads to {url}: no event arrives."
    if near:
        what += f" On this host there is {named(near)}, another address."
    return Finding("error", what, remedy)


def _doubles(ours: list[dict[str, Any]]) -> list[Finding]:
    enabled = [each for each in ours if each["status"] == "enabled"]
    # A snapshot and a thin one side by side are Stripe's way to move from one to the other.
    first = {(each["url"], _is_thin(each)): each for each in enabled}
    doubles = [each["id"] for each in enabled if first[each["url"], _is_thin(each)] is not each]
    if not doubles:
        return []
    return [
        Finding(
            "warning",
            f"Several endpoints lead to one address, so events come twice: {named(doubles)} beside another.",
            "Delete all but one in Stripe's Dashboard, Developers > Webhooks; keep the secret of that one.",
        )
    ]


async def endpoint_is_enabled(installation: Installation) -> list[Finding]:
    return [
        Finding(
            "error",
            f"The endpoint {each['id']} is disabled: no event arrives from it.",
            f"Run {_set_up(each)}, which enables it; then `{COMMAND} catch-up` fetches what was missed.",
        )
        for each in installation.endpoints
        if each["status"] != "enabled"
    ]


async def endpoint_has_the_version(installation: Installation) -> list[Finding]:
    return [
        Finding("warning", *_parted(version_note(each)))
        for each in installation.endpoints
        if not _is_thin(each) and each["api_version"] != api_version()
    ]


def _parted(note: str) -> tuple[str, str]:
    what, _, remedy = note.partition(" To move: ")
    return what, capital(remedy)


async def endpoint_has_every_type(installation: Installation) -> list[Finding]:
    missing = [
        (each, sorted(_handled_by(each) - set(each["enabled_events"]))) for each in installation.endpoints
    ]
    return [
        Finding(
            "error",
            f"The endpoint {each['id']} lacks event types, which never arrive: {', '.join(types)}.",
            f"Run {_set_up(each)}, which adds them.",
        )
        for each, types in missing
        if types and ALL_TYPES not in each["enabled_events"]
    ]


async def endpoint_has_no_more(installation: Installation) -> list[Finding]:
    more = [
        (each, sorted(set(each["enabled_events"]) - _handled_by(each))) for each in installation.endpoints
    ]
    return [
        Finding(
            "hint",
            f"The endpoint {each['id']} sends event types that are stored and ignored: {named(types)}.",
            f"Where nobody else needs them, {_set_up(each, '--remove-others')} takes them away.",
        )
        for each, types in more
        if types
    ]


def _shown(url: str) -> str:
    """Without user, password and query, which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


CHECKS = (
    Check("endpoint", "An endpoint at Stripe leads here.", endpoint_leads_here, ("stripe",)),
    Check("endpoint-enabled", "It is enabled.", endpoint_is_enabled, ("stripe", "endpoint")),
    Check(
        "endpoint-version",
        "Its API version is the stripe library's.",
        endpoint_has_the_version,
        ("stripe", "endpoint"),
    ),
    Check(
        "endpoint-types",
        "It sends every handled event type.",
        endpoint_has_every_type,
        ("stripe", "endpoint"),
    ),
    Check("endpoint-more-types", "It sends no other.", endpoint_has_no_more, ("stripe", "endpoint")),
)
