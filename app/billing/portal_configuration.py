"""The configuration of Stripe's customer portal, made from the plans file ("Configure the portal").

What is sold can be chosen there, and nothing else: no plan, price or quantity that the plans file does not
sell. A downgrade waits for the period's end, as `[changes]` of the plans file says.
"""

from dataclasses import dataclass
from typing import Any, Literal

from ..plans import Catalogue, Plan
from ..stripe.client import StripeApi
from ..stripe.objects import Values, as_dict, as_id
from .price_choice import sold_prices
from .quantities import counts_units

CONFIGURATIONS = "/v1/billing_portal/configurations"
MARK = {"made_by": "subscription-service"}
"""The metadata of the configuration that this service makes."""
MAX_PRODUCTS = 10
"""How many products a configuration may list."""
LATER = [{"type": "decreasing_item_amount"}, {"type": "shortening_interval"}]
"""The changes that wait for the period's end, where downgrades do."""


@dataclass(frozen=True, slots=True)
class PortalSetup:
    """What was done, or would be. `id` None: it would be created."""

    action: Literal["created", "updated", "unchanged"]
    id: str | None
    features: Values
    left_out: tuple[str, ...] = ()
    """The products beyond those that Stripe takes."""


async def set_up_portal(api: StripeApi, catalogue: Catalogue, *, apply: bool) -> PortalSetup:
    """Create this service's configuration, or make it what the plans file says. A second run changes nothing.

    `apply` False: only say what would be done.

    Raises:
        StripeRefused, StripeUnavailable: when Stripe does not do it, or not now.
    """
    products = await _products(api, catalogue)
    left_out = tuple(each["product"] for each in products[MAX_PRODUCTS:])
    features = features_of(catalogue, products[:MAX_PRODUCTS])
    known = await _own(api)
    if known is not None and _contains(as_dict(known.get("features")), features):
        return PortalSetup("unchanged", as_id(known.get("id")), features, left_out)
    if known is not None:
        if apply:
            await api.post(f"{CONFIGURATIONS}/{known['id']}", features=features)
        return PortalSetup("updated", as_id(known.get("id")), features, left_out)
    created = (await api.post(CONFIGURATIONS, features=features, metadata=MARK)).content if apply else {}
    return PortalSetup("created", as_id(created.get("id")), features, left_out)


def features_of(catalogue: Catalogue, products: list[Values]) -> Values:
    """The features of the configuration."""
    update: Values = {"enabled": False}
    if products:
        per_seat = any(counts_units(plan) for plan in catalogue.sold_plans())
        update = {
            "enabled": True,
            "default_allowed_updates": ["price", "quantity"] if per_seat else ["price"],
            "products": products,
            "proration_behavior": "always_invoice",
        }
        if catalogue.changes.downgrade == "period_end":
            update["schedule_at_period_end"] = {"conditions": LATER}
    return {
        "customer_update": {"enabled": True, "allowed_updates": ["email", "address", "tax_id"]},
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {"enabled": True, "mode": "at_period_end", "proration_behavior": "none"},
        "subscription_update": update,
    }


async def _products(api: StripeApi, catalogue: Catalogue) -> list[Values]:
    """The products of the plans that are sold, each with the prices that are."""
    found: dict[str, Values] = {}
    for plan in catalogue.sold_plans():
        for price in await sold_prices(api, plan):
            product, price_id = as_id(price.get("product")), as_id(price.get("id"))
            if product is None or price_id is None:
                continue
            entry = found.setdefault(product, {"product": product, "prices": []} | _adjustable(plan))
            entry["prices"] = [*entry["prices"], price_id]
    return list(found.values())


def _adjustable(plan: Plan) -> Values:
    if not counts_units(plan):
        return {}
    bounds: dict[str, Any] = {"minimum": plan.min_quantity, "maximum": plan.max_quantity}
    known = {name: value for name, value in bounds.items() if value is not None}
    return {"adjustable_quantity": {"enabled": True} | known}


async def _own(api: StripeApi) -> Values | None:
    """This service's own configuration, where there is one."""
    async for page in api.pages(CONFIGURATIONS, active=True):
        for each in page.content["data"]:
            if MARK.items() <= as_dict(each.get("metadata")).items():
                return dict(each)
    return None


def _contains(known: Any, wanted: Any) -> bool:
    """Whether Stripe has all that is wanted; it shows more."""
    if isinstance(wanted, dict):
        return isinstance(known, dict) and all(
            _contains(known.get(key), each) for key, each in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(known, list) or len(known) != len(wanted):
            return False
        return all(any(_contains(one, each) for one in known) for each in wanted)
    return bool(known == wanted)
