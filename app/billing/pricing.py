"""What is sold, for a pricing page: plans with names, features, trials, prices by interval and currency.

pricing = await read_pricing(service)
for plan in pricing.plans:
    print(plan.name, [price.text for price in plan.prices])  # Team ["29.00 EUR a month", "290.00 EUR a year"]
"""

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ..limits.prices import read_pricing as read_stored
from ..plans import Addon, Catalogue, Feature, Limit, Offer, Plan, PriceTerms, Pricing, Value
from ..plans.shown import shown_limit
from ..plans.values import EMPTY
from ..service import Service

Amount = Annotated[int | None, Field(description="In the currency's minor unit", examples=[2900])]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True)


class SoldPrice(_Shape):
    """A price that can be bought."""

    price_id: str = Field(examples=["price_team"])
    text: str | None = Field(examples=["29.00 EUR a month"], description="null where the amount is not known")
    unit_amount: Amount = Field(description="null with tiers, and where the customer chooses the amount")
    currency: str | None = Field(examples=["eur"])
    interval: str | None = Field(examples=["month"], description="null for what is paid once")
    interval_count: int | None = Field(examples=[1])
    every: str | None = Field(examples=["month"], description="Interval and count in words: `3 months`")
    metered: bool = Field(description="Paid by usage, without a quantity")

    @classmethod
    def of(cls, terms: PriceTerms) -> "SoldPrice":
        return cls(**{name: getattr(terms, name) for name in cls.model_fields})


class SoldFeature(_Shape):
    """What a plan or an add-on gives of a feature."""

    feature: str = Field(examples=["projects"])
    name: str = Field(examples=["Projects"])
    description: str | None
    unit: str | None = Field(examples=["projects"])
    value: Value = Field(examples=[10], description="The limit; null is unlimited")
    per_unit: bool = Field(description="Times the quantity that is bought")
    text: str = Field(examples=["10 projects"], description="The limit in words")
    trial_value: Value = Field(default=None, description="While it is tried, where that differs")
    trial_text: str | None = Field(
        default=None, description="The same in words; null where it does not differ"
    )


class SoldAddon(_Shape):
    """An add-on that can be bought beside a plan."""

    addon: str = Field(examples=["more_projects"])
    name: str = Field(examples=["More projects"])
    description: str | None
    features: list[SoldFeature]
    prices: list[SoldPrice]
    min_quantity: int | None
    max_quantity: int | None


class SoldPlan(_Shape):
    """A plan of a pricing page. Without prices it is free, or sold by talking to people."""

    plan: str = Field(examples=["team"])
    name: str = Field(examples=["Team"])
    description: str | None
    is_default: bool = Field(description="What users without a subscription have")
    features: list[SoldFeature]
    prices: list[SoldPrice] = Field(description="Of each interval and currency the first in the plans file")
    min_quantity: int | None
    max_quantity: int | None
    trial_days: int | None = Field(examples=[14], description="The trial that checkout offers")


class Sold(_Shape):
    """All that is sold, in the order of a pricing page."""

    plans: list[SoldPlan]
    addons: list[SoldAddon]


async def read_pricing(service: Service, currency: str | None = None) -> Sold:
    """What is sold; `currency`: only prices in this one."""
    pricing = await load_pricing(service)
    catalogue = pricing.catalogue
    return Sold(
        plans=[_plan(plan, pricing, currency) for plan in catalogue.shown_plans()],
        addons=[_addon(addon, pricing, currency) for addon in catalogue.sold_addons()],
    )


async def load_pricing(service: Service, held: Collection[str] = ()) -> Pricing:
    """What the plans cost. What is not known yet is asked of Stripe once, where there is a key.

    `held`: the ids of further prices, such as those that a user pays.
    """
    async with service.database.reading() as session:
        pricing = await read_stored(await session.connection(), service.limits.catalogue, held)
    return await completed(service, pricing, held)


async def completed(service: Service, pricing: Pricing, held: Collection[str] = ()) -> Pricing:
    """The same with what Stripe says of prices that were not known; never asked within a transaction."""
    if service.prices is None or not await service.prices.fetch_missing(pricing):
        return pricing
    async with service.database.reading() as session:
        return await read_stored(await session.connection(), service.limits.catalogue, held)


def _plan(plan: Plan, pricing: Pricing, currency: str | None) -> SoldPlan:
    default = pricing.catalogue.default_plan
    return SoldPlan(
        plan=plan.id,
        is_default=default is not None and default.id == plan.id,
        trial_days=plan.trial_days,
        **_offer(plan, pricing, currency),
    )


def _addon(addon: Addon, pricing: Pricing, currency: str | None) -> SoldAddon:
    return SoldAddon(addon=addon.id, **_offer(addon, pricing, currency))


def _offer(offer: Offer, pricing: Pricing, currency: str | None) -> dict[str, Any]:
    wanted = currency.lower() if currency is not None else None
    sold = [terms for terms in pricing.sold_at(offer) if wanted in (None, terms.currency)]
    return {
        "name": pricing.title(offer),
        "description": offer.description,
        "features": _features(offer, pricing.catalogue),
        "prices": [SoldPrice.of(terms) for terms in sold],
        "min_quantity": offer.min_quantity,
        "max_quantity": offer.max_quantity,
    }


def _features(offer: Offer, catalogue: Catalogue) -> list[SoldFeature]:
    named = [
        each for each in catalogue.shown_features() if each.key in offer.limits or each.key in offer.trial
    ]
    return [
        _feature(
            feature, offer.limit(feature.key) or Limit(EMPTY[feature.type]), offer.trial.get(feature.key)
        )
        for feature in named
    ]


def _feature(feature: Feature, limit: Limit, trial: Limit | None) -> SoldFeature:
    return SoldFeature(
        feature=feature.key,
        name=feature.title,
        description=feature.description,
        unit=feature.unit,
        value=limit.value,
        per_unit=limit.per_unit,
        text=shown_limit(feature, limit.value),
        trial_value=trial.value if trial else None,
        trial_text=shown_limit(feature, trial.value) if trial else None,
    )
