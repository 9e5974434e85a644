"""What sends events at Stripe: there, enabled, of the right version, with the handled event types."""

from urllib.parse import urlsplit

from .. import COMMAND
from ..checks.finding import Finding, Level, named
from ..errors import InvalidRequest
from ..inbox.webhook import PATH
from ..operations.event_sources import EventSource, EventSources, list_event_sources
from ..operations.webhook_endpoint import api_version, same_url, version_note, webhook_url
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
    found = await list_event_sources(installation.api)
    ours = [each for each in found.webhooks() if _leads_to(each, url)]
    relayed = [] if ours else [each for each in found.listed if each.url is None]
    installation.endpoints = ours or relayed
    if not installation.endpoints:
        installation.lacking["endpoint"] = "No endpoint at Stripe leads here."
        return [_none(installation, url, found)]
    del installation.lacking["endpoint"]
    return [_only_relayed(relayed)] if relayed else _doubles(ours)


def _only_relayed(relayed: list[EventSource]) -> Finding:
    ids = named([f"{each.id} ({each.sends_to})" for each in relayed])
    return Finding(
        "hint",
        f"No webhook endpoint or event destination leads here, and events may come by a relay from {ids}.",
        "Relay the event itself, signed: “Amazon EventBridge and Azure Event Grid” in docs/stripe.md. Set "
        "SILENCE_HOURS, which tells when none comes. Without a relay, run "
        f"{SET_UP.format(f'https://your-host{PATH}')}.",
    )


def _remedy(endpoint: EventSource, effect: str, *more: str) -> str:
    """What brings it in order, and what that does."""
    if endpoint.url is None:
        return f"Change it in Stripe's Dashboard, Developers > Webhooks, which {effect}."
    options = ["--thin"] * endpoint.is_thin + list(more)
    return f"Run {SET_UP.format(' '.join([endpoint.sends_to, *options]))}, which {effect}."


def _leads_to(endpoint: EventSource, url: str | None) -> bool:
    """To this address; where none is known, to this service on any host."""
    if url is not None:
        return same_url(endpoint.url or "", url)
    return urlsplit(endpoint.url or "").path == PATH


def _none(installation: Installation, url: str | None, found: EventSources) -> Finding:
    remedy = f"Run {SET_UP.format(url or f'https://your-host{PATH}')}."
    if url is None:
        # On a developer's machine there is none, and need not be.
        level: Level = "error" if installation.api.livemode else "warning"
        what = (
            f"No webhook endpoint or event destination at Stripe leads to {PATH} on any host: no event "
            "arrives, unless `stripe listen` forwards them."
        )
        remedy += " Where its path is another, name the address to the doctor with --url."
        return Finding(level, what + _unseen(found), remedy)
    host = urlsplit(url).hostname
    near = [each.sends_to for each in found.webhooks() if urlsplit(each.url or "").hostname == host]
    what = f"No webhook endpoint or event destination at Stripe leads to {url}: no event arrives."
    if near:
        what += f" On this host there is {named(near)}, another address."
    return Finding("error", what + _unseen(found), remedy)


def _unseen(found: EventSources) -> str:
    """What the finding does not know."""
    return "" if found.not_listed is None else " Event destinations could not be listed with this key."


def _doubles(ours: list[EventSource]) -> list[Finding]:
    enabled = [each for each in ours if each.is_enabled]
    # A snapshot and a thin one side by side are Stripe's way to move from one to the other.
    first = {(each.url, each.is_thin): each for each in enabled}
    doubles = [each.id for each in enabled if first[each.url, each.is_thin] is not each]
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
            f"The endpoint {each.id} is disabled: no event arrives from it.",
            f"{_remedy(each, 'enables it')} Then `{COMMAND} catch-up` fetches what was missed.",
        )
        for each in installation.endpoints
        if not each.is_enabled
    ]


async def endpoint_has_the_version(installation: Installation) -> list[Finding]:
    return [
        Finding("warning", *_parted(version_note(each.id, each.api_version)))
        for each in installation.endpoints
        if each.url is not None and not each.is_thin and each.api_version != api_version()
    ]


def _parted(note: str) -> tuple[str, str]:
    what, _, remedy = note.partition(" To move: ")
    return what, capital(remedy)


async def endpoint_has_every_type(installation: Installation) -> list[Finding]:
    return [
        Finding(
            "error",
            f"The endpoint {each.id} lacks event types, which never arrive: {', '.join(types)}.",
            _remedy(each, "adds them"),
        )
        for each in installation.endpoints
        if (types := each.missing_types)
    ]


async def endpoint_has_no_more(installation: Installation) -> list[Finding]:
    return [
        Finding(
            "hint",
            f"The endpoint {each.id} sends event types that are stored and ignored: {named(types)}.",
            f"Leave them where others need them. {_remedy(each, 'takes them away', '--remove-others')}",
        )
        for each in installation.endpoints
        if (types := each.other_types)
    ]


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
