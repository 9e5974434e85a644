"""What is promised whatever a subscription goes through: statuses, a downgrade, a cancellation, lateness."""

from collections.abc import Awaitable, Callable

from ...simulator import Subscription
from . import acts
from .tiers import Tiers
from .user import User

HOUR = 3600
DAY = 24 * HOUR
Scenario = Callable[[User, Tiers], Awaitable[None]]

STATUSES = (
    "none",
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "paused",
    "canceled",
)
"""Stripe's eight ("The Subscription object", `status`), and none at all."""
FROM_ACTIVE = ("past_due", "unpaid", "paused", "canceled")


def status(name: str) -> Scenario:
    """The status decides at once, and exactly as the service says."""

    async def scenario(user: User, tiers: Tiers) -> None:
        await (_from_active if name in FROM_ACTIVE else _from_nothing)(user, tiers, name)
        when = f"Status {name}"
        await acts.create(user, when)
        if user.things:
            await acts.delete(user, when)
            await acts.create(user, f"{when}, after a deletion")

    named = f"has the status {name}" if name != "none" else "has no subscription"
    scenario.__doc__ = f"A user who {named} creates what the service allows, and no more."
    return scenario


async def _from_nothing(user: User, tiers: Tiers, name: str) -> None:
    """First without a subscription, up to the limit and once more; then the subscription comes."""
    await acts.fill(user, tiers.base, when="Without a subscription")
    await acts.create(user, "Without a subscription, at the limit")
    if name == "trialing":
        await user.subscribe(tiers.paid, trial_days=14)
    elif name == "active":
        await user.subscribe(tiers.paid, ago=HOUR)
    elif name == "incomplete":
        await user.subscribe(tiers.paid, paid=None)
    elif name == "incomplete_expired":
        await user.subscribe(tiers.paid, ago=DAY, paid=None)
        user.account.expire_sign_up(_subscription(user))
        await user.deliver()


async def _from_active(user: User, tiers: Tiers, name: str) -> None:
    """First active, and with more than is free; then the subscription changes."""
    await user.subscribe(tiers.paid, ago=HOUR)
    await acts.fill(user, tiers.base, extra=1, when="Status active")
    subscription = _subscription(user)
    if name in ("past_due", "unpaid"):
        invoice = user.account.renew(subscription, paid=False)
        if name == "unpaid":
            user.account.give_up(invoice)
    elif name == "paused":
        user.account.pause(subscription)
    else:
        user.account.cancel_now(subscription)
    await user.deliver()


def _subscription(user: User) -> Subscription:
    assert user.subscription is not None
    return user.subscription


async def downgrade_below_usage(user: User, tiers: Tiers) -> None:
    """After a downgrade below the usage nothing more is created until enough is deleted."""
    await user.subscribe(tiers.paid, ago=HOUR)
    await acts.fill(user, tiers.lower, extra=1, when="Before the downgrade")
    if tiers.lower.plan is None:
        user.account.cancel_now(_subscription(user))
    else:
        await user.change_to(tiers.lower)
    await user.deliver()
    await acts.create(user, "After the downgrade, over the new limit")
    await acts.delete(user, "After the downgrade")
    await acts.create(user, "After the downgrade, at the new limit")
    if len(user.things) > 0:
        await acts.delete(user, "After the downgrade")
        await acts.create(user, "After the downgrade, below the new limit")


async def cancellation(user: User, tiers: Tiers) -> None:
    """What is paid stays until the period's end, and from the end on nothing more is created."""
    await user.subscribe(tiers.paid, ago=HOUR)
    await acts.create(user, "Before the cancellation")
    user.account.cancel_at_period_end(_subscription(user))
    await user.deliver()
    await acts.fill(user, tiers.base, extra=1, when="Canceled at the period's end, before it")
    user.account.cancel_now(_subscription(user))
    await user.deliver()
    await acts.create(user, "After the end of a canceled subscription")
    while len(user.things) > 0 and not (await user.look()).may_create:
        await acts.delete(user, "After the end of a canceled subscription")
    await acts.create(user, "After the end of a canceled subscription and a deletion")


async def late_renewal(user: User, tiers: Tiers) -> None:
    """A period is over, and its renewal comes an hour late: what there is stays counted."""
    await user.subscribe(tiers.paid, ago=HOUR, periods=1)
    await acts.fill(user, tiers.base, extra=1, when="While the renewal is late")
    await acts.create(user, "While the renewal is late")
    before = await user.check()
    user.account.renew(_subscription(user))
    await user.deliver()
    after = await user.check()
    assert after.things == before.things
    await acts.create(user, "After the late renewal")
    await acts.delete(user, "After the late renewal")
