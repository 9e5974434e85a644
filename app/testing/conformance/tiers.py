"""What a user can have of the limited thing: without a subscription, and on the plans of the catalogue."""

from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import ConfigurationError
from ...plans import Catalogue, Plan
from ..adapter import Adapter
from ..subscribers import has_price

UNLIMITED = 10**18
ENOUGH = 3
"""So many things the paid tier should have, so that some are left after a deletion."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A plan in a quantity. Without a plan: what a user has who subscribes to nothing."""

    plan: str | None
    quantity: int
    things: int
    """How many things the limit allows; UNLIMITED also where the limit is soft."""

    @property
    def is_limited(self) -> bool:
        return self.things < UNLIMITED


@dataclass(frozen=True, slots=True)
class Tiers:
    """The tiers that the test uses."""

    base: Tier
    """Without a subscription."""
    paid: Tier
    """With one that gives more."""
    lower: Tier
    """What `paid` is downgraded to: another paid tier, or the base."""
    limited: Tier
    """Where the limit is reached."""


def _things(adapter: Adapter, plan: Plan | None, quantity: int) -> int:
    limit = plan.limit(adapter.feature) if plan is not None else None
    if limit is None:
        return 0
    value = limit.value
    if value is None or limit.soft or not isinstance(value, int):
        return UNLIMITED
    return value * (quantity if limit.per_unit else 1) // adapter.amount


def _paid(adapter: Adapter, catalogue: Catalogue) -> Iterator[Tier]:
    for plan in catalogue.plans.values():
        if has_price(plan) and plan.once is None and adapter.plan in (None, plan.id):
            least, limit = plan.min_quantity or 1, plan.limit(adapter.feature)
            quantities = (least, least + 1) if limit is not None and limit.per_unit else (least,)
            for quantity in quantities:
                if plan.max_quantity is None or quantity <= plan.max_quantity:
                    yield Tier(plan.id, quantity, _things(adapter, plan, quantity))


def find_tiers(adapter: Adapter, catalogue: Catalogue) -> Tiers:
    """
    Raises:
        ConfigurationError: when the catalogue has no allocated feature of the adapter's name, no plan that
            can be bought and gives it, or no limit of it.
        NotFound: when it has no such feature or plan.
    """
    feature = catalogue.feature(adapter.feature)
    if feature.kind != "allocated":
        raise ConfigurationError(
            f"{type(adapter).__name__}.feature: {feature.key} is {feature.kind}, and a thing that is created "
            "and deleted is limited by an allocated feature."
        )
    if adapter.plan is not None:
        catalogue.plan(adapter.plan)
    base = Tier(None, 1, _things(adapter, catalogue.default_plan, 1))
    paid = sorted(_paid(adapter, catalogue), key=lambda tier: tier.things)
    better = [tier for tier in paid if tier.things > base.things] or [tier for tier in paid if tier.things]
    limited = [tier for tier in (base, *paid) if tier.is_limited and tier.things]
    if not better or not limited:
        raise ConfigurationError(
            f"The catalogue has no plan with a price and {adapter.amount} or more of {feature.key}, or no "
            "limit that can be reached. Correct `amount` or `plan` of the adapter, or the catalogue."
        )
    roomy = [tier for tier in better if tier.things >= ENOUGH]
    chosen = roomy[0] if roomy else better[-1]
    below = [tier for tier in paid if 0 < tier.things < chosen.things]
    return Tiers(base, chosen, below[-1] if below else base, limited[0])
