"""Webhook endpoints: created, with a secret that is shown once; updated, deleted. None of it is an event."""

import re

from ..model import WebhookEndpoint
from ..shapes import Json
from . import forms
from .call import Call
from .errors import invalid, missing
from .expansion import answer

CREATED = ("url", "enabled_events", "api_version", "description", "metadata", "connect", "expand")
UPDATED = ("url", "enabled_events", "disabled", "description", "metadata", "expand")
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.\w+)?")
MOST = 16


def create_endpoint(call: Call) -> Json:
    """
    Raises:
        ApiError: 400 for what Stripe refuses, and the seventeenth endpoint.
    """
    params, account = call.params, call.account
    forms.known(params, CREATED)
    address, types = _url(forms.required(params, "url")), forms.texts(params, "enabled_events")
    version, metadata = forms.text(params, "api_version"), forms.merged_metadata(params, {})
    if not types:
        raise missing("enabled_events")
    if version is not None and not VERSION.fullmatch(version):
        raise invalid(f"Invalid Stripe API version: {version}", "api_version")
    if len(account.endpoints) >= MOST:
        mode = "live" if account.livemode else "test"
        raise invalid(f"You have reached the maximum of {MOST} {mode} webhook endpoints.")
    id, secret = account.new_id("we"), account.new_id("whsec_test")
    description = forms.text(params, "description")
    endpoint = WebhookEndpoint(
        id, account.now, address, types, secret, version, description=description, metadata=metadata
    )
    account.endpoints[id] = endpoint
    return _answer(call, endpoint) | {"secret": secret}


def update_endpoint(call: Call) -> Json:
    params = call.params
    forms.known(params, UPDATED)
    endpoint = call.endpoint()
    address, types = forms.text(params, "url"), forms.texts(params, "enabled_events")
    disabled, metadata = forms.boolean(params, "disabled"), forms.merged_metadata(params, endpoint.metadata)
    endpoint.url = endpoint.url if address is None else _url(address)
    endpoint.enabled_events = types or endpoint.enabled_events
    endpoint.metadata = metadata
    if "description" in params:
        endpoint.description = forms.text(params, "description")
    if disabled is not None:
        endpoint.status = "disabled" if disabled else "enabled"
    return _answer(call, endpoint)


def delete_endpoint(call: Call) -> Json:
    forms.known(call.params, ())
    endpoint = call.endpoint()
    del call.account.endpoints[endpoint.id]
    return {"id": endpoint.id, "object": "webhook_endpoint", "deleted": True}


def _url(address: str) -> str:
    if not re.match(r"https?://[^/\s]+", address):
        message = "Not a valid URL: an explicit scheme (such as https) must be provided."
        raise invalid(message, "url", "url_invalid")
    return address


def _answer(call: Call, endpoint: WebhookEndpoint) -> Json:
    return answer(call, endpoint)
