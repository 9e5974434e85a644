"""A change at the period's end: a subscription schedule at Stripe, made, replaced and released.

Two calls make one: Stripe makes a schedule from a subscription without any other parameter, and an update
plans the change. A process that is killed between them leaves a schedule that plans nothing. It hinders the
customer portal until the next change, end or resumption here uses or releases it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import structlog

from ..errors import Conflict, ServiceError, StripeRefused
from ..plans import HeldItem
from ..stripe.client import Answer, StripeApi
from ..stripe.objects import Values, as_seconds
from ..stripe.schedules import LIVE, attached_schedule, next_phase, statement_of
from .change_targets import TargetItem
from .schedule_phases import is_replaceable, phases_to
from .stripe_changes import Current

log = structlog.get_logger(__name__)

SCHEDULES = "/v1/subscription_schedules"


def schedule_of(current: Current) -> Values | None:
    """The schedule that manages the subscription now."""
    schedule = attached_schedule(current.content)
    return schedule if schedule is not None and schedule.get("status") in LIVE else None


def check_replaceable(current: Current) -> None:
    """
    Raises:
        Conflict: when a schedule is attached that somebody else has made, and that plans something.
    """
    schedule_id = current.values["schedule_id"]
    schedule = schedule_of(current)
    if schedule_id is not None and (schedule is None or not is_replaceable(schedule)):
        raise Conflict(
            f"Schedule {schedule_id} manages subscription {current.id}, and this service has not made it. "
            "Nothing was changed. Change or release the schedule in Stripe's Dashboard."
        )


async def plan_change(api: StripeApi, current: Current, items: Sequence[TargetItem], end: int) -> Answer:
    """Plan the items for `end` (Unix seconds), in the place of what was planned; the subscription then.

    Raises:
        NotFound, StripeRefused, StripeUnavailable: when Stripe does not do it, or not now.
    """
    schedule, content = schedule_of(current), current.content
    if schedule is None:
        schedule, content = await _made(api, current)
    planned = [
        (str(each.held.price_id), each.held.quantity, each.before.item_id if each.before else None)
        for each in items
    ]
    await api.post(f"{SCHEDULES}/{schedule['id']}", **phases_to(schedule, content, planned, end))
    return await api.read("subscription", current.id)


async def _made(api: StripeApi, current: Current) -> tuple[Values, Values]:
    """A new schedule, or the one that another call has just made; and the subscription."""
    try:
        made = await api.post(SCHEDULES, from_subscription=current.id)
    except StripeRefused:
        content = (await api.read("subscription", current.id)).content
        schedule = attached_schedule(content)
        if schedule is None or not is_replaceable(schedule):
            raise
        return schedule, content
    return made.content, current.content


async def release(api: StripeApi, current: Current) -> None:
    """Take back what is planned. A schedule that is over by now is as good.

    Raises:
        NotFound, StripeRefused, StripeUnavailable: when Stripe does not do it, or not now.
    """
    schedule_id = current.values["schedule_id"]
    if schedule_id is None:
        return
    try:
        await api.post(f"{SCHEDULES}/{schedule_id}/release")
    except StripeRefused:
        content = (await api.read("subscription", current.id)).content
        if content.get("schedule") is not None:
            raise
        log.info("schedule_was_over", schedule_id=schedule_id)


def plans_exactly(content: Values, items: Sequence[TargetItem], end: int, now: int) -> bool:
    """Whether the subscription's schedule plans these items for `end` (Unix seconds)."""
    schedule = attached_schedule(content)
    if schedule is None:
        return False
    planned = next_phase(statement_of(schedule, now, "", fetched=True)["phases"], now)
    wanted = sorted((str(each.held.price_id), each.held.quantity or 0) for each in items)
    return (
        planned is not None
        and planned.at == end
        and sorted((str(price), quantity or 0) for price, quantity in planned.items) == wanted
    )


def period_end(current: Current) -> int:
    """When the period ends, in Unix seconds.

    Raises:
        Conflict: when Stripe does not show it, or the subscription ends then anyway.
    """
    if current.values["cancel_at_period_end"] or current.values["cancel_at"] is not None:
        raise Conflict(
            f"Subscription {current.id} is to end. Nothing was changed. Resume it first, or send "
            '"when": "now".'
        )
    end = current.item.period_end or as_seconds(current.values["current_period_end"])
    if end is None or end <= current.read_at:
        raise Conflict(
            f"The period of subscription {current.id} is over, and its renewal is awaited. Nothing was "
            "changed. Try again in some minutes."
        )
    return end


class Planned(NamedTuple):
    """The change that is planned: when, in Unix seconds, and the items then."""

    at: int
    items: list[TargetItem]


def planned_items(current: Current) -> Planned | None:
    """What the attached schedule plans; None where it plans nothing."""
    schedule = schedule_of(current)
    if schedule is None:
        return None
    phases = statement_of(schedule, 0, "", fetched=True)["phases"]
    planned = next_phase(phases, current.read_at)
    if planned is None:
        return None
    return Planned(planned.at, items_planned(current, planned.items))


def items_planned(current: Current, planned: Iterable[tuple[str | None, int | None]]) -> list[TargetItem]:
    """The items of these prices and quantities, each beside the one that has its price now."""
    by_price = {each.price_id: each for each in current.held}
    return [
        TargetItem(
            HeldItem("", price, current.prices.offer(price), quantity, metered=quantity is None),
            by_price.get(price),
        )
        for price, quantity in planned
    ]


async def plan_again(api: StripeApi, current: Current, planned: Planned) -> bool:
    """Plan once more what was released for a change that Stripe has refused; whether it is planned now."""
    try:
        answer = await api.read("subscription", current.id)
        await plan_change(api, replace(current, content=answer.content), planned.items, planned.at)
    except ServiceError as error:
        log.error("plan_lost", subscription_id=current.id, error=error.detail)
        return False
    return True
