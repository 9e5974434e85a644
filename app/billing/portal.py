"""Stripe's billing portal: cards, invoices and cancellation, for whoever is or was a customer."""

from dataclasses import dataclass

from ..errors import NotFound
from ..service import Service
from ..stripe.client import promptly
from .customers import customers_of, stripe_of
from .return_urls import check_return_url


@dataclass(frozen=True, slots=True)
class PortalSession:
    """A way into the portal, good for minutes: send the user to `url` at once."""

    id: str
    url: str
    customer_id: str


async def create_portal_session(service: Service, user_id: str, return_url: str) -> PortalSession:
    """Open the portal for a user. No status of a subscription keeps anybody out: there they can pay.

    Raises:
        InvalidRequest: when the address is not on one of ALLOWED_RETURN_ORIGINS.
        NotFound: when no customer is linked to the user.
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
    return await open_portal(service, customers[0].id, return_url)


async def open_portal(service: Service, customer_id: str, return_url: str) -> PortalSession:
    """Open the portal for a customer; the address has been checked.

    Raises:
        StripeKeyMissing, StripeRefused, StripeUnavailable: when Stripe cannot be asked, or will not.
    """
    api, _ = stripe_of(service)
    answer = await promptly(
        api.post("/v1/billing_portal/sessions", customer=customer_id, return_url=return_url)
    )
    return PortalSession(str(answer.content["id"]), str(answer.content["url"]), customer_id)
