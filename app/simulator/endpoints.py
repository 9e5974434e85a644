"""Where an account sends its events: webhook endpoints and event destinations."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class WebhookEndpoint:
    """Where events are sent; `api_version` None: the account's own."""

    id: str
    created: int
    url: str
    enabled_events: list[str]
    secret: str
    api_version: str | None = None
    status: Literal["enabled", "disabled"] = "enabled"
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class EventDestination:
    """Where events are sent, by API v2. Of `config` is what its `type` needs; of a webhook it is the URL.

    `created` and `updated` in Unix seconds. `api_version` only for the payload `snapshot`.
    """

    id: str
    created: int
    name: str
    type: Literal["amazon_eventbridge", "azure_event_grid", "webhook_endpoint"]
    payload: Literal["snapshot", "thin"]
    enabled_events: list[str]
    events_from: list[str]
    config: dict[str, str]
    secret: str
    description: str = ""
    api_version: str | None = None
    status: Literal["enabled", "disabled"] = "enabled"
    metadata: dict[str, str] = field(default_factory=dict)
    updated: int = 0
