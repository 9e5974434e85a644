"""Stripe's billing portal: cards, invoices, changes and cancellation, for whoever is or was a customer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import Conflict, InvalidRequest, NotFound
from ..service import Service
from ..stripe.client import promptly
from ..stripe.objects import Values
from .before_changes import read_current
from .change_targets import Change, target_of
from .customers import LIVE, customers_of, stripe_of
from .return_urls import check_return_url
from .scheduled_changes import schedule_of
from .stripe_changes import Current

Flow = Literal[
    "payment_method_update", "subscription_cancel", "subscription_update", "subscription_update_confirm"
]
"""What the portal may be opened for alone ("Deep links in the customer portal")."""


@dataclass(frozen=True, slots=True)
class PortalSession:
    """A way into the portal, good for minutes: send the user to `url` at once."""

    id: str
    url: str
    customer_id: str


@dataclass(frozen=True, slots=True)
class DeepLink:
    """One task, on a page of its own. `subscription_id` None: the user's main one.

    `change`: what a `subscription_update_confirm` asks to confirm.
    """

    flow: Flow
    subscription_id: str | None = None
    change: Change | None = None


async def create_portal_session(
    service: Service, user_id: str, return_url: str, *, link: DeepLink | None = None
) -> PortalSession:
    """Open the portal for a user. No status of a subscription keeps anybody out: there they can pay.

    With a `link`, the page of one task, which leads back to `return_url` when it is done.

    Raises:
        Conflict: when the task is about a subscription that a schedule manages, or that has ended.
        InvalidRequest: when the address is not on one of ALLOWED_RETURN_ORIGINS; when a task lacks what it
            is about.
        NotFound: when no customer is linked to the user; when the subscription is not the user's.
        StripeKeyMissing, StripeRefused, StripeUnavailable: when Stripe cannot be asked, or will not.
    """
    stripe_of(service)  # what is missing for everybody is said first
    check_return_url(return_url, service.settings.allowed_return_origins, "return_url")
    customers = (await customers_of(service, user_id)).usable
    if not customers:
        raise NotFound(
            "No customer is linked to this user. A checkout makes one; "
            "PUT /internal/customers/{id} links one."
        )
    if link is None or link.flow == "payment_method_update":
        flow = None if link is None else _flow(link.flow, return_url, {})
        return await open_portal(service, customers[0].id, return_url, flow)
    current = await _subscription_of(service, user_id, link)
    params = {"subscription": current.id} | await _confirmed(service, current, link)
    customer_id = str(current.record.customer_id)
    if customer_id not in {customer.id for customer in customers}:
        raise _not_theirs(current.id)
    return await open_portal(service, customer_id, return_url, _flow(link.flow, return_url, params))


def _flow(flow: Flow, return_url: str, params: Mapping[str, object]) -> Values:
    after = {"type": "redirect", "redirect": {"return_url": return_url}}
    return {"type": flow, "after_completion": after} | ({flow: dict(params)} if params else {})


async def _subscription_of(service: Service, user_id: str, link: DeepLink) -> Current:
    """The subscription that a task is about, which Stripe's portal can change."""
    subscription_id = link.subscription_id
    if subscription_id is None:
        main = (await service.limits.load(user_id)).subscription
        if main is None or main.status not in LIVE:
            raise NotFound("The user has no subscription that goes on.")
        subscription_id = main.id
    current = await read_current(service, subscription_id)
    if current.user_id != user_id:
        raise _not_theirs(subscription_id)
    if schedule_of(current) is not None or current.values["schedule_id"] is not None:
        raise Conflict(
            f"A schedule manages subscription {subscription_id}, so Stripe's portal can neither change nor "
            "cancel it. Resume it first, or cancel it here."
        )
    return current


async def _confirmed(service: Service, current: Current, link: DeepLink) -> Values:
    """The items of a change that the user is to confirm: the portal takes exactly one."""
    if link.flow != "subscription_update_confirm":
        if link.change is not None:
            raise InvalidRequest("plan, price_id, interval, quantity: only for subscription_update_confirm.")
        return {}
    if link.change is None:
        raise InvalidRequest("Say what is to be confirmed: a plan, a price_id, an interval or a quantity.")
    api, _ = stripe_of(service)
    target = await target_of(service, api, current, link.change)
    if len(target.params) != 1:
        raise InvalidRequest(
            "The portal confirms the change of one item, and this is "
            f"{len(target.params)}. Make it with the route `change`."
        )
    return {"items": target.params}


def _not_theirs(subscription_id: str) -> NotFound:
    return NotFound(f"Subscription {subscription_id} is not of this user.")


async def open_portal(
    service: Service, customer_id: str, return_url: str, flow: Values | None = None
) -> PortalSession:
    """Open the portal for a customer; the address has been checked.

    Raises:
        StripeKeyMissing, StripeRefused, StripeUnavailable: when Stripe cannot be asked, or will not.
    """
    api, _ = stripe_of(service)
    params: Values = {"customer": customer_id, "return_url": return_url}
    if (configuration := service.settings.stripe_portal_configuration) is not None:
        params["configuration"] = configuration
    if flow is not None:
        params["flow_data"] = flow
    answer = await promptly(api.post("/v1/billing_portal/sessions", key=None, **params))
    return PortalSession(str(answer.content["id"]), str(answer.content["url"]), customer_id)
