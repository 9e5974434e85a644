"""Event destinations (API v2). None of what is done to them is an event.

The URL of a webhook is shown where it is asked for with `include`, its secret once, when it is created
("The Event Destination object").
"""

import re
from collections.abc import Callable
from typing import Any, Literal

from ..model import EventDestination
from ..shapes import Json
from ..thin import fetched, iso_time
from . import forms
from .call import Call
from .errors import ApiError, invalid, missing
from .v2 import page, text, texts

URL, SECRET = "webhook_endpoint.url", "webhook_endpoint.signing_secret"
CREATED = (
    "name",
    "type",
    "event_payload",
    "enabled_events",
    "events_from",
    "description",
    "metadata",
    "snapshot_api_version",
    "webhook_endpoint",
    "amazon_eventbridge",
    "azure_event_grid",
    "include",
)
UPDATED = ("name", "description", "enabled_events", "metadata", "webhook_endpoint", "include")
CONFIGS = {
    "webhook_endpoint": ("url",),
    "amazon_eventbridge": ("aws_account_id", "aws_region"),
    "azure_event_grid": ("azure_region", "azure_resource_group_name", "azure_subscription_id"),
}
"""By type of destination, what its configuration needs."""

EVENTS_FROM = ("@self", "@accounts", "@organization_members", "@organization_members/@accounts")
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.\w+)?")
MOST = 16


def create_destination(call: Call) -> Json:
    """
    Raises:
        ApiError: 400 for what Stripe refuses, and the seventeenth destination.
    """
    params, account = call.params, call.account
    forms.known(params, CREATED)
    included, kind = _included(call, (URL, SECRET)), _one_of(params, "type", tuple(CONFIGS))
    payload = _one_of(params, "event_payload", ("snapshot", "thin"))
    destination = EventDestination(
        account.new_id("ed_test" if not account.livemode else "ed"),
        account.now,
        _required(params, "name"),
        kind,  # type: ignore[arg-type]  # one of CONFIGS
        payload,  # type: ignore[arg-type]  # one of both
        _event_types(params, payload),
        _events_from(params),
        _config(call, kind),
        account.new_id("whsec_test"),
        text(params, "description") or "",
        _api_version(call, payload),
        metadata=_metadata(params, {}),
        updated=account.now,
    )
    if len(account.destinations) >= MOST:
        raise invalid(f"You have reached the maximum of {MOST} event destinations.")
    account.destinations[destination.id] = destination
    return render_destination(destination, call, included)


def list_destinations(call: Call) -> Json:
    forms.known(call.params, ("limit", "page", "include"))
    included = _included(call, (URL,))
    newest_first = list(reversed(call.account.destinations.values()))
    return page(call, newest_first, lambda each: render_destination(each, call, included))


def get_destination(call: Call) -> Json:
    forms.known(call.params, ("include",))
    return render_destination(_destination(call), call, _included(call, (URL,)))


def update_destination(call: Call) -> Json:
    """What is left out stays; `type`, `event_payload` and the API version cannot be changed."""
    params = call.params
    forms.known(params, UPDATED)
    destination, included = _destination(call), _included(call, (URL,))
    if "enabled_events" in params:
        types = _event_types(params, destination.payload)
    else:
        types = destination.enabled_events
    config = _config(call, destination.type) if "webhook_endpoint" in params else destination.config
    destination.metadata = _metadata(params, destination.metadata)
    destination.name = text(params, "name") or destination.name
    if "description" in params:
        destination.description = text(params, "description") or ""
    destination.enabled_events, destination.config = types, config
    destination.updated = call.account.now
    return render_destination(destination, call, included)


def _set_status(status: Literal["enabled", "disabled"]) -> Callable[[Call], Json]:
    def handler(call: Call) -> Json:
        forms.known(call.params, ("include",))
        destination, included = _destination(call), _included(call, (URL,))
        destination.status, destination.updated = status, call.account.now
        return render_destination(destination, call, included)

    return handler


enable_destination, disable_destination = _set_status("enabled"), _set_status("disabled")


def ping_destination(call: Call) -> Json:
    """A thin event `v2.core.event_destination.ping`, among the account's `pings`."""
    forms.known(call.params, ())
    return fetched(call.account.ping(_destination(call)), livemode=call.account.livemode)


def delete_destination(call: Call) -> Json:
    forms.known(call.params, ())
    destination = _destination(call)
    del call.account.destinations[destination.id]
    return {"id": destination.id, "object": "v2.core.event_destination"}


def render_destination(destination: EventDestination, call: Call, included: list[str]) -> Json:
    """The destination; `included` are the members of its webhook that are shown."""
    disabled = {"disabled": {"reason": "user"}} if destination.status == "disabled" else None
    content: Json = {
        "id": destination.id,
        "object": "v2.core.event_destination",
        "amazon_eventbridge": None,
        "azure_event_grid": None,
        "created": iso_time(destination.created),
        "description": destination.description,
        "enabled_events": list(destination.enabled_events),
        "event_payload": destination.payload,
        "events_from": list(destination.events_from),
        "livemode": call.account.livemode,
        "metadata": dict(destination.metadata),
        "name": destination.name,
        "snapshot_api_version": destination.api_version,
        "status": destination.status,
        "status_details": disabled,
        "type": destination.type,
        "updated": iso_time(destination.updated),
        "webhook_endpoint": None,
    }
    return content | {destination.type: _shown_config(destination, included)}


def _shown_config(destination: EventDestination, included: list[str]) -> Json:
    config = destination.config
    if destination.type == "webhook_endpoint":
        return {
            "signing_secret": destination.secret if SECRET in included else None,
            "url": config["url"] if URL in included else None,
        }
    if destination.type == "amazon_eventbridge":
        source = f"arn:aws:events:{config['aws_region']}::event-source/stripe.test/{destination.id}"
        return {
            "aws_account_id": config["aws_account_id"],
            "aws_event_source_arn": source,
            "aws_event_source_status": "pending",
        }
    return config | {
        "azure_partner_topic_name": destination.id,
        "azure_partner_topic_status": "never_activated",
    }


def _destination(call: Call) -> EventDestination:
    found = call.account.destinations.get(call.id)
    if found is None or call.other_mode:
        raise ApiError(404, f"No such event destination: '{call.id}'", code="not_found")
    return found


def _included(call: Call, names: tuple[str, ...]) -> list[str]:
    wanted = texts(call.params, "include")
    for name in wanted:
        if name not in names:
            raise invalid(f"Invalid include: {name}. It is one of {', '.join(names)} here.", "include")
    return wanted


def _required(params: forms.Params, name: str) -> str:
    found = text(params, name)
    if not found:
        raise missing(name)
    return found


def _one_of(params: forms.Params, name: str, values: tuple[str, ...]) -> str:
    found = _required(params, name)
    if found not in values:
        raise invalid(f"Invalid {name}: must be one of {', '.join(values)}", name)
    return found


def _event_types(params: forms.Params, payload: str) -> list[str]:
    """Thin destinations take thin types, which begin with the API's version; others take the rest."""
    types = texts(params, "enabled_events")
    if not types:
        raise missing("enabled_events")
    for name in types:
        if (payload == "thin") != bool(re.match(r"v\d+\.", name)) and name != "*":
            raise invalid(
                f"Invalid enabled_events: {name} is no event type of the payload {payload}.", "enabled_events"
            )
    return types


def _events_from(params: forms.Params) -> list[str]:
    sources = texts(params, "events_from") or ["@self"]
    if unknown := [source for source in sources if source not in EVENTS_FROM]:
        raise invalid(f"Invalid events_from: {unknown[0]}", "events_from")
    return sources


def _config(call: Call, kind: str) -> dict[str, str]:
    given: Any = call.params.get(kind)
    if not isinstance(given, dict):
        raise missing(kind)
    forms.known(given, CONFIGS[kind], kind)
    config = {name: _required(given, name) for name in CONFIGS[kind]}
    schemes = "https" if call.account.livemode else "https?"
    if kind == "webhook_endpoint" and not re.match(rf"{schemes}://[^/\s]+", config["url"]):
        raise invalid("Not a valid URL.", "webhook_endpoint.url", "url_invalid")
    return config


def _api_version(call: Call, payload: str) -> str | None:
    version = text(call.params, "snapshot_api_version")
    if payload == "thin":
        if version is not None:
            raise invalid("Thin events have no API version.", "snapshot_api_version")
        return None
    if version is not None and not VERSION.fullmatch(version):
        raise invalid(f"Invalid Stripe API version: {version}", "snapshot_api_version")
    return version or call.api_version


def _metadata(params: forms.Params, before: dict[str, str]) -> dict[str, str]:
    """Keys are merged; null unsets one."""
    changes: Any = params.get("metadata") or {}
    if not isinstance(changes, dict) or not all(isinstance(v, str | None) for v in changes.values()):
        raise invalid("Metadata values must be strings", "metadata")
    return {key: value for key, value in {**before, **changes}.items() if value is not None}
