"""The event destination at Stripe that sends thin events: found by its URL, created, given the handled types.

Stripe's "Event Destinations" (API v2): a destination's URL is shown only where it is asked for with
`include`, its signing secret only when it is created, and nothing tells of deliveries that fail.
"""

from collections.abc import Sequence
from typing import Any, Literal

from ..errors import InvalidRequest
from ..inbox.handlers import handled
from ..stripe.client import StripeApi
from ..stripe.event_types import thin_types
from ..stripe.objects import as_dict, as_text
from .webhook_endpoint import (
    DESCRIPTION,
    ENDPOINTS,
    WAS_DISABLED,
    SetupResult,
    check_mode,
    same_url,
    types_changed,
    wanted_types,
    webhook_url,
)

Json = dict[str, Any]

DESTINATIONS = "/v2/core/event_destinations"
URL, SECRET = "webhook_endpoint.url", "webhook_endpoint.signing_secret"
NAME = "Subscription records"


def handled_thin_types() -> list[str]:
    """The handled types as a destination of thin events names them."""
    return thin_types(handled())


async def list_destinations(api: StripeApi) -> list[Json]:
    """All event destinations of the account, in the key's mode, with their URLs.

    Raises:
        NotFound, StripeRefused, StripeUnavailable: as `StripeApi.get`.
    """
    pages = api.pages_v2(DESTINATIONS, include=[URL])
    return [destination async for page in pages for destination in page.content["data"]]


def url_of(destination: Json) -> str | None:
    """Where a destination sends to; None for one that is no webhook."""
    return as_text(as_dict(destination.get("webhook_endpoint")).get("url"))


def thin_webhooks(destinations: Sequence[Json]) -> list[Json]:
    """Those that send thin events to a webhook. Snapshot destinations are webhook endpoints, too."""
    return [each for each in destinations if each["event_payload"] == "thin" and url_of(each) is not None]


async def set_up_thin(
    api: StripeApi, url: str, *, livemode: bool | None, remove_others: bool = False
) -> SetupResult:
    """Create the destination of thin events to this URL, or add the handled types. Again it does nothing.

    Raises:
        InvalidRequest: for a URL that Stripe would not send to, and a key of the other mode.
        StripeRefused, StripeUnavailable: as `StripeApi.get`.
    """
    url = webhook_url(url)
    check_mode(api, livemode)
    known = thin_webhooks(await list_destinations(api))
    found = [each for each in known if same_url(url_of(each) or "", url)]
    if not found:
        return await _create(api, url)
    chosen = min(found, key=lambda each: (each["status"] != "enabled", each["created"]))
    return await _update(api, chosen, url, remove_others=remove_others)


async def _create(api: StripeApi, url: str) -> SetupResult:
    made = await api.post(
        DESTINATIONS,
        name=NAME,
        description=DESCRIPTION,
        type="webhook_endpoint",
        event_payload="thin",
        enabled_events=handled_thin_types(),
        webhook_endpoint={"url": url},
        include=[SECRET, URL],
    )
    secret = as_text(as_dict(made.content.get("webhook_endpoint")).get("signing_secret"))
    return SetupResult("created", made.content["id"], url, secret=secret)


async def _update(api: StripeApi, destination: Json, url: str, *, remove_others: bool) -> SetupResult:
    present = destination["enabled_events"]
    wanted = wanted_types(present, handled_thin_types(), remove_others=remove_others)
    changes = types_changed(present, wanted)
    if changes:
        await api.post(f"{DESTINATIONS}/{destination['id']}", enabled_events=wanted)
    if destination["status"] != "enabled":
        await switch(api, destination["id"], "enable")
        changes.append(WAS_DISABLED)
    action: Literal["updated", "unchanged"] = "updated" if changes else "unchanged"
    return SetupResult(action, destination["id"], url, changes=tuple(changes))


async def switch(api: StripeApi, id: str, way: Literal["enable", "disable"]) -> None:
    """Enable or disable an endpoint or a destination, by its id.

    Raises:
        NotFound, StripeRefused, StripeUnavailable: as `StripeApi.get`.
    """
    if id.startswith("we_"):
        await api.post(f"{ENDPOINTS}/{id}", disabled=way == "disable")
    else:
        await api.post(f"{DESTINATIONS}/{id}/{way}")


async def ping(api: StripeApi, id: str) -> str:
    """Have Stripe send a ping to a destination; the id of its event. Webhook endpoints take none.

    Raises:
        InvalidRequest: for the id of a webhook endpoint.
        NotFound, StripeRefused, StripeUnavailable: as `StripeApi.get`.
    """
    if id.startswith("we_"):
        raise InvalidRequest(
            "Stripe pings event destinations (ed_…) alone; the Dashboard can send test events."
        )
    event: str = (await api.post(f"{DESTINATIONS}/{id}/ping")).content["id"]
    return event
