"""Makes a change of a subscription at Stripe, applies the answer, and writes it into the audit trail.

A change whose answer is lost, or comes too late, may have been made all the same: the subscription is read
again to find that out.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

import structlog

from ..db.audit import audit_entry
from ..db.models import AuditEntry, Subscription
from ..errors import NotFound, ServiceError, Stale, StripeRefused, StripeUnavailable, Unavailable
from ..inbox.handlers.subscription_columns import subscription_columns
from ..inbox.unit_of_work import UnitOfWork
from ..plans import HeldItem, PriceList
from ..service import Service
from ..stripe.client import Answer, promptly
from ..stripe.objects import Values
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
    def path(self) -> str:
        return f"/v1/subscriptions/{self.id}"


async def make_change(
    service: Service, current: Current, change: Awaitable[Answer], *, actor: str, action: str
) -> None:
    """Make a change and record it.

    Raises:
        StripeUnavailable: when Stripe gave no answer and shows no change yet; the trail says so, and the
            subscription is read again.
        StripeRefused, NotFound, Unavailable: when it cannot be done now.
    """
    try:
        answer = await promptly(change)
    except StripeUnavailable:
        found = await _made_after_all(service, current)
        if found is None:
            await _note_unknown(service, current, actor, action)
            raise
        answer = found
    await _record(service, current, answer, actor, action)


async def _made_after_all(service: Service, current: Current) -> Answer | None:
    """The subscription as Stripe has it, where it differs from what it was before the change; else None."""
    api, _ = stripe_of(service)
    try:
        async with asyncio.timeout(LOOK_AGAIN_SECONDS):
            answer = await promptly(api.read("subscription", current.id))
        now, _ = subscription_columns(answer.content, answer.at, current.record, current.prices)
    except (TimeoutError, ServiceError):
        return None
    return answer if _shown(now) != _shown(current.values) else None


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
        after=_shown(subscription_columns(answer.content, answer.at, current.record, current.prices)[0]),
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


def _shown(values: Values) -> Values:
    return {name: values[name] for name in SHOWN}
