"""Makes a change of a subscription at Stripe, applies the answer, and writes it into the audit trail.

A change whose answer is lost, or comes too late, may have been made all the same: the subscription is read
again to find that out.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from ..db.audit import audit_entry
from ..db.models import AuditEntry, Subscription
from ..errors import NotFound, ServiceError, Stale, StripeRefused, StripeUnavailable, Unavailable
from ..inbox.handlers.subscription_columns import subscription_columns
from ..inbox.unit_of_work import UnitOfWork
from ..plans import HeldItem, PriceList, held_items
from ..service import Service
from ..stripe.client import Answer, promptly
from ..stripe.objects import Values, as_dict, as_id
from ..stripe.schedules import attached_schedule, next_phase, statement_of
from .customers import check_applied, stripe_of

log = structlog.get_logger(__name__)

ATTEMPTS = 5
LOOK_AGAIN_SECONDS = 5
"""How long the subscription is read for after a change without an answer: somebody has waited already."""
UNKNOWN = {"outcome": "unknown: Stripe gave no answer, and the subscription is read again"}
SHOWN = (
    "customer_id",
    "plan_id",
    "quantity",
    "status",
    "cancel_at",
    "cancel_at_period_end",
    "ended_at",
    "pause_collection",
)
"""What the audit trail shows of a subscription."""


@dataclass(frozen=True, slots=True)
class Current:
    """A subscription at Stripe just before it is changed, and the version of its record before that."""

    id: str
    values: Values
    content: Values
    """The subscription as Stripe sent it, with the schedule that is attached to it."""
    read_at: int
    """When that was, by Stripe's clock, in Unix seconds."""
    item: HeldItem
    """The main item, which plan and quantity come from."""
    record: Subscription
    prices: PriceList
    user_id: str | None

    @property
    def main_values(self) -> Values:
        """The main item, as it is kept."""
        return next(each for each in self.values["items"] if (each["item_id"] or "") == self.item.item_id)

    @property
    def held(self) -> tuple[HeldItem, ...]:
        """What its items give, the main item first."""
        return held_items(self.values["items"], self.record.item_history, self.prices)

    @property
    def path(self) -> str:
        return f"/v1/subscriptions/{self.id}"


async def make_change(
    service: Service,
    current: Current,
    change: Awaitable[Answer],
    *,
    actor: str,
    action: str,
    is_made: Callable[[Values], bool] | None = None,
) -> Answer:
    """Make a change and record it; what Stripe answered.

    `is_made`: whether the subscription, read after an answer that was lost, shows the whole change; without
    it, that it differs from what it was.

    Raises:
        StripeUnavailable: when Stripe gave no answer and shows no change yet; the trail says so, and the
            subscription is read again.
        StripeRefused, NotFound, Unavailable: when it cannot be done now.
    """
    try:
        answer = await promptly(change)
    except StripeUnavailable:
        found = await _made_after_all(service, current, is_made)
        if found is None:
            await _note_unknown(service, current, actor, action)
            raise
        answer = found
    await _record(service, current, answer, actor, action)
    return answer


async def _made_after_all(
    service: Service, current: Current, is_made: Callable[[Values], bool] | None
) -> Answer | None:
    """The subscription as Stripe has it, where it shows the change; else None."""
    api, _ = stripe_of(service)
    try:
        async with asyncio.timeout(LOOK_AGAIN_SECONDS):
            answer = await promptly(api.read("subscription", current.id))
        now, _ = subscription_columns(answer.content, answer.at, current.record, current.prices)
    except (TimeoutError, ServiceError):
        return None
    if is_made is not None:
        return answer if is_made(answer.content) else None
    is_changed = items_of(now) != items_of(current.values) or _shown(now) != _shown(current.values)
    waits, waited = (as_dict(each.get("pending_update")) for each in (answer.content, current.content))
    return answer if is_changed or waits != waited else None


def items_of(values: Values) -> list[tuple[Any, ...]]:
    """Id, price and quantity of each item, by which it is seen whether anything has changed."""
    return sorted((each["item_id"] or "", each["price_id"], each["quantity"]) for each in values["items"])


async def _note_unknown(service: Service, current: Current, actor: str, action: str) -> None:
    """Write down who asked for it, and have the subscription read again."""
    audit = audit_entry(
        at=int(service.clock()),
        actor=actor,
        action=action,
        subject=current.id,
        before=_shown(current.values),
        after=UNKNOWN,
    )

    def note(unit_of_work: UnitOfWork) -> None:
        row = unit_of_work.find(Subscription, current.id)
        if row is not None:
            unit_of_work.change(row, needs_refresh=True)
        unit_of_work.audit.append(audit)

    customer_id = current.record.customer_id
    customers = {customer_id} if customer_id is not None else set()
    try:
        await service.inbox.transactions.change({"subscription": {current.id}, "customer": customers}, note)
    except Exception as error:  # the caller gets the error of Stripe, which is the cause
        log.error("change_not_recorded", action=action, subject=current.id, error=type(error).__name__)


async def _record(service: Service, current: Current, answer: Answer, actor: str, action: str) -> None:
    """Apply what Stripe answered, and write down who asked for it; that stays even if the rest fails."""
    audit = audit_entry(
        at=int(service.clock()),
        actor=actor,
        action=action,
        subject=current.id,
        before=_shown(current.values),
        after=_shown(subscription_columns(answer.content, answer.at, current.record, current.prices)[0])
        | _beside(current, answer.content),
    )
    try:
        await _apply(service, current, answer, audit)
    except Unavailable:
        log.error("change_not_recorded", action=action, subject=current.id, actor=actor)
        raise Unavailable(
            "Stripe has made the change, and the database cannot take it now: the webhook will bring it."
        ) from None
    except (Stale, NotFound, StripeRefused, StripeUnavailable) as error:
        log.warning("change_not_applied", action=action, subject=current.id, error=error.detail)
        async with service.database.session() as session:
            session.add(audit)


async def _apply(service: Service, current: Current, answer: Answer, audit: AuditEntry) -> None:
    """Apply the answer; where the record has changed since, what Stripe says then."""
    api, objects = stripe_of(service)
    version = current.record.version
    for _ in range(ATTEMPTS):
        if not answer.replayed:  # else it may be older than what others have done since
            try:
                outcome = await objects.apply("subscription", answer.content, answer.at, version, audit)
                return check_applied(outcome)
            except Stale:
                log.info("reading_stale", kind="subscription", object_id=current.id)
        version = await objects.version("subscription", current.id)
        answer = await promptly(api.read("subscription", current.id))
    raise Stale(f"The subscription {current.id} changes faster than it can be read.")


async def apply_if_newer(service: Service, answer: Answer, version: int) -> None:
    _, objects = stripe_of(service)
    try:
        await objects.apply("subscription", answer.content, answer.at, version)
    except Stale:
        log.info("reading_stale", kind="subscription", object_id=str(answer.content["id"]))


def _beside(current: Current, content: Values) -> Values:
    """What was asked for and does not hold yet: it is planned, or waits for its payment; and add-ons."""
    beside: Values = {}
    if (waits := as_dict(content.get("pending_update"))) and waits != current.content.get("pending_update"):
        items = [each for each in waits.get("subscription_items") or () if isinstance(each, dict)]
        beside["waits_for_payment"] = [_price_and_quantity(each) for each in items]
    if (schedule := attached_schedule(content)) is not None:
        phases = statement_of(schedule, 0, "", fetched=True)["phases"]
        if (planned := next_phase(phases, current.read_at)) is not None:
            beside["planned"] = {"at": planned.at, "items": [list(each) for each in planned.items]}
    return beside


def _price_and_quantity(item: Values) -> list[Any]:
    return [as_id(item.get("price")), item.get("quantity")]


def _shown(values: Values) -> Values:
    return {name: values[name] for name in SHOWN}
