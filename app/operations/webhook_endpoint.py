"""The webhook endpoint at Stripe: found by its URL, created, brought to the event types that are handled."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

import stripe

from .. import COMMAND
from ..errors import InvalidRequest
from ..inbox.handlers import stripe_types
from ..inbox.webhook import PATH
from ..stripe.client import StripeApi

Json = dict[str, Any]

ENDPOINTS = "/v1/webhook_endpoints"
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
DESCRIPTION = "Subscription records; made by `stripe setup`."
REVEAL = (
    "Stripe shows an endpoint's signing secret only when it is created. Should STRIPE_WEBHOOK_SECRET not "
    "have it: Stripe's Dashboard, Developers > Webhooks, this endpoint, Reveal signing secret."
)


@dataclass(frozen=True, slots=True)
class SetupResult:
    """What the setup did. `secret` only where the endpoint is new: Stripe shows it once."""

    action: Literal["created", "updated", "unchanged"]
    endpoint_id: str
    url: str
    changes: tuple[str, ...] = ()
    secret: str | None = field(default=None, repr=False)
    pinned: bool = True
    """Whether its API version is the library's."""
    notes: tuple[str, ...] = ()
    """What is left to do in Stripe's Dashboard."""


def api_version() -> str:
    """The API version that the installed stripe library is pinned to."""
    version: str = stripe.api_version
    return version


def webhook_url(url: str) -> str:
    """The webhook's full address; one that is only a host is given the webhook's path.

    Raises:
        InvalidRequest: unless it is https, or on this machine.
    """
    parts = urlsplit(url.strip())
    local = parts.hostname in LOCAL
    if not parts.hostname or parts.scheme not in (("https", "http") if local else ("https",)):
        raise InvalidRequest(
            f"Stripe sends events to https addresses only: write https://your-host{PATH}. "
            "(http is taken for localhost; Stripe itself reaches that through `stripe listen` alone.)"
        )
    if parts.username is not None or parts.fragment:
        raise InvalidRequest(f"Write the address without user and fragment: https://your-host{PATH}.")
    return urlunsplit(parts._replace(path=PATH if parts.path in ("", "/") else parts.path))


def same_url(one: str, other: str) -> bool:
    return _normal(urlsplit(one)) == _normal(urlsplit(other))


def _normal(parts: SplitResult) -> tuple[object, ...]:
    """Scheme and host know no case, and the usual port may be left out."""
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme.lower())
    return (parts.scheme.lower(), parts.hostname, port, parts.path, parts.query)


async def list_endpoints(api: StripeApi) -> list[Json]:
    """All endpoints of the account, in the key's mode, newest first.

    Raises:
        StripeRefused, StripeUnavailable: as `StripeApi.get`.
    """
    return [endpoint async for page in api.pages(ENDPOINTS) for endpoint in page.content["data"]]


def check_mode(api: StripeApi, livemode: bool | None) -> None:
    """
    Raises:
        InvalidRequest: for a key of the other mode than LIVEMODE.
    """
    if livemode is not None and livemode != api.livemode:
        raise InvalidRequest(
            f"STRIPE_API_KEY is of {_mode(api.livemode)}, and LIVEMODE says {_mode(livemode)}: the endpoint "
            "would send events that are ignored. Set both to the same mode."
        )


async def set_up(
    api: StripeApi, url: str, *, livemode: bool | None, new: bool = False, remove_others: bool = False
) -> SetupResult:
    """Create the endpoint of this URL, or add the handled event types to it. Doing it again does nothing.

    `new`: create one beside an endpoint whose API version is another, which Stripe's API cannot change.
    `remove_others`: take away the types without a receiver here; else they stay, since others may need them.

    Raises:
        InvalidRequest: for a URL that Stripe would not send to, and a key of the other mode.
        StripeRefused, StripeUnavailable: as `StripeApi.get`.
    """
    url = webhook_url(url)
    check_mode(api, livemode)
    found = [endpoint for endpoint in await list_endpoints(api) if same_url(endpoint["url"], url)]
    pinned = [endpoint for endpoint in found if endpoint["api_version"] == api_version()]
    if not found or (new and not pinned):
        return await _create(api, url, beside=found)
    # Of several the one that is in use, and of those the oldest.
    chosen = min(pinned or found, key=lambda each: (each["status"] != "enabled", each["created"]))
    others = [each for each in found if each is not chosen]
    return await _update(api, chosen, others=others, remove_others=remove_others)


async def _create(api: StripeApi, url: str, *, beside: Sequence[Json]) -> SetupResult:
    made = await api.post(
        ENDPOINTS,
        url=url,
        enabled_events=stripe_types(),
        api_version=api_version(),
        description=DESCRIPTION,
    )
    content = made.content
    return SetupResult("created", content["id"], url, secret=content["secret"], notes=_notes(content, beside))


async def _update(
    api: StripeApi, endpoint: Json, *, others: Sequence[Json], remove_others: bool
) -> SetupResult:
    params: Json = {}
    wanted = wanted_types(endpoint["enabled_events"], stripe_types(), remove_others=remove_others)
    if set(endpoint["enabled_events"]) != set(wanted):
        params["enabled_events"] = wanted
    if endpoint["status"] != "enabled":
        params["disabled"] = False
    if params:
        await api.post(f"{ENDPOINTS}/{endpoint['id']}", **params)
    changes = types_changed(endpoint["enabled_events"], wanted)
    if endpoint["status"] != "enabled":
        changes.append(WAS_DISABLED)
    return SetupResult(
        "updated" if params else "unchanged",
        endpoint["id"],
        endpoint["url"],
        changes=tuple(changes),
        pinned=endpoint["api_version"] == api_version(),
        notes=_notes(endpoint, others),
    )


ALL_TYPES = "*"
WAS_DISABLED = "It was disabled, and is enabled."


def wanted_types(present: Sequence[str], handled: Sequence[str], *, remove_others: bool) -> list[str]:
    """The event types that are to be sent: the handled ones, and what is sent today."""
    if remove_others:
        return list(handled)
    return list(present) if ALL_TYPES in present else sorted({*present, *handled})


def types_changed(present: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """A sentence about what was added and taken away, where anything was."""
    more, less = sorted(set(wanted) - set(present)), sorted(set(present) - set(wanted))
    parts = [f"added {', '.join(more)}"] * bool(more) + [f"removed {', '.join(less)}"] * bool(less)
    return [f"Event types: {'; '.join(parts)}."] if parts else []


def _notes(endpoint: Json, others: Sequence[Json]) -> tuple[str, ...]:
    notes = []
    if endpoint["api_version"] != api_version():
        notes.append(version_note(endpoint["id"], endpoint["api_version"]))
    if others:
        names = ", ".join(each["id"] for each in others)
        notes.append(
            f"{names} leads here too, so events come twice, each with a secret of its own. Once the secret "
            f"of {endpoint['id']} is in use, delete the other in Stripe's Dashboard, Developers > Webhooks."
        )
    return tuple(notes)


def version_note(endpoint_id: str, version: str | None) -> str:
    """Which version the endpoint has, and how it gets the library's."""
    has = version or "the account's own"
    return (
        f"The API version of {endpoint_id} is {has}, the stripe library's is {api_version()}, and "
        "Stripe's API cannot change it. Events of every version are understood, so there is no haste. To "
        f"move: `{COMMAND} stripe setup --url … --new` creates one beside it; put its secret beside the "
        "present one in STRIPE_WEBHOOK_SECRET and restart; then delete the old one in Stripe's Dashboard."
    )


def _mode(livemode: bool) -> str:
    return "live mode" if livemode else "test mode"
