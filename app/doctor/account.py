"""The account at Stripe: whether it answers, its clock, its prices."""

from .. import COMMAND
from ..checks.finding import Finding
from ..concurrency import run_all
from ..errors import NotFound, StripeRefused, StripeUnavailable
from ..stripe.objects import as_text
from .checks import Check
from .installation import Installation

SKEW_WARNING_SECONDS = 30
SKEW_ERROR_SECONDS = 240
"""Signatures hold for 300 s, the way included."""
MOST_KEYS = 10
"""As many lookup keys as one request to Stripe may ask for ("List all prices")."""
DATED_BEFORE = 1.5
"""What is stamped by the second was, on average, half a second ago; `Answer.at` takes one more off."""


async def stripe_answers(installation: Installation) -> list[Finding]:
    if installation.stripe is None:
        return [_no_key(installation)]
    try:
        # What catching up reads: a key that may not do this is of little use.
        answer = await installation.api.get("/v1/events", limit=1)
    except (StripeRefused, StripeUnavailable) as error:
        installation.lacking["stripe"] = "Stripe's API does not answer."
        what, _, remedy = error.detail.partition(". ")
        if isinstance(error, StripeUnavailable) and (base := installation.settings.stripe_api_base):
            remedy += f" STRIPE_API_BASE is {base}: start what answers there, or unset it for Stripe itself."
        return [Finding("error", f"{what}.", remedy or "See what Stripe says of this key in its Dashboard.")]
    installation.skew = installation.clock() - answer.at - DATED_BEFORE
    return []


def _no_key(installation: Installation) -> Finding:
    wrong = installation.is_wrong("STRIPE_API_KEY")
    installation.lacking["stripe"] = f"STRIPE_API_KEY is {'wrong' if wrong else 'unset'}."
    return Finding(
        "hint",
        f"STRIPE_API_KEY is {'wrong' if wrong else 'unset'}: no checkout, portal, fetching, catching up "
        "and reconciling.",
        "Set it to a secret or restricted key, shown in Stripe's Dashboard under Developers > API keys.",
    )


async def clock_is_right(installation: Installation) -> list[Finding]:
    skew = installation.skew
    if abs(skew) <= SKEW_WARNING_SECONDS:
        return []
    return [
        Finding(
            "error" if abs(skew) > SKEW_ERROR_SECONDS else "warning",
            f"This machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Stripe's; at "
            "300 s every event is refused.",
            "Set the clock by NTP (`timedatectl set-ntp true`), on the host where this is a container.",
        )
    ]


async def prices_exist(installation: Installation) -> list[Finding]:
    """Each price of the catalogue, asked for by its id."""
    catalogue = installation.catalogue
    owners = {price: f"plan {plan.id}" for plan in catalogue.plans.values() for price in plan.prices}
    owners |= {price: f"add-on {addon.id}" for addon in catalogue.addons.values() for price in addon.prices}
    missing = await run_all(_is_missing(installation, price) for price in owners)
    return [
        Finding(
            "error",
            f"The price {price} of {owners[price]} does not exist at Stripe, or not in the key's mode: "
            "nobody can buy it.",
            "Correct the price's id in the file of PLANS_FILE; each of Stripe's modes has prices of its own.",
        )
        for price, is_missing in zip(owners, missing, strict=True)
        if is_missing
    ] + await _unused_lookup_keys(installation)


async def _unused_lookup_keys(installation: Installation) -> list[Finding]:
    """A key without a price is a warning: the file may keep one for those who pay a price that had it."""
    catalogue = installation.catalogue
    plans = [each for each in catalogue.plans.values() if each.sold]
    addons = [each for each in catalogue.addons.values() if each.sold]
    owners = {key: f"plan {each.id}" for each in plans for key in each.lookup_keys}
    owners |= {key: f"add-on {each.id}" for each in addons for key in each.lookup_keys}
    keys = list(owners)
    pages = [keys[first : first + MOST_KEYS] for first in range(0, len(keys), MOST_KEYS)]
    there = set().union(*await run_all(_have_keys(installation, page) for page in pages))
    return [
        Finding(
            "warning",
            f"No price at Stripe, in the key's mode, has the lookup key {key} of {owner}: nobody buys by it.",
            "Give the key to a price at Stripe, or describe the price in the file of PLANS_FILE and run "
            f"`{COMMAND} plans push`.",
        )
        for key, owner in owners.items()
        if key not in there
    ]


async def _have_keys(installation: Installation, keys: list[str]) -> set[str | None]:
    answer = await installation.api.get("/v1/prices", lookup_keys=keys, limit=100)
    return {as_text(price.get("lookup_key")) for price in answer.content.get("data") or []}


async def _is_missing(installation: Installation, price: str) -> bool:
    try:
        await installation.api.get(f"/v1/prices/{price}")
    except NotFound:
        return True
    return False


CHECKS = (
    Check("stripe", "Stripe's API answers with this key.", stripe_answers),
    Check("clock", "This machine's clock is Stripe's.", clock_is_right, needs=("stripe",)),
    Check("plan-prices", "Stripe has every price of the catalogue.", prices_exist, ("stripe", "catalogue")),
)
