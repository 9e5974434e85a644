"""What the screen can change: each deed in one transaction with its entry in the audit trail."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from ..db.audit import audit_entry
from ..db.models import Customer, Override, Subscription, WebhookEvent
from ..errors import InvalidRequest, NotFound
from ..inbox.inbox import UPDATE_TIMEOUT_SECONDS
from ..operations.links import internal_event
from ..plans import MAX_AMOUNT, Feature, OverrideOp, read_override
from ..service import Service
from ..stripe.objects import as_id
from ..worker.replay import replay_in
from .formatting import day

Values = Mapping[str, str]
REPLAYABLE = ("ignored", "failed", "dead")
MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class Order:
    """A deed as somebody asked for it. `values` are the fields of its form."""

    service: Service
    actor: str
    values: Values

    def entry(self, action: str, subject: str, before: Any = None, after: Any = None) -> Any:
        now = int(self.service.clock())
        return audit_entry(
            at=now, actor=self.actor, action=action, subject=subject, before=before, after=after
        )


Review = Callable[[Order], Awaitable[list[str]]]
"""Checks an order, and says line by line what it will do. Raises a ServiceError that names the remedy."""
Perform = Callable[[Order], Awaitable[None]]


async def review_replay(order: Order) -> list[str]:
    event = await _event(order)
    if event.source == "internal" or event.state not in REPLAYABLE:
        raise InvalidRequest(f"The event is {event.state}: only ignored, failed and dead ones are replayed.")
    return [
        f"Event {event.id} ({event.type}) is {event.state} after {event.attempts} attempts.",
        f"Its last error: {event.last_error or 'none'}",
        "It is applied again at once. If it fails again, it is retried by itself for 3 days.",
    ]


async def replay(order: Order) -> None:
    event = await _event(order)
    async with order.service.database.session() as session:
        count = await replay_in(session, states=REPLAYABLE, event_id=event.id)
        if not count:
            raise InvalidRequest("The event is not ignored, failed or dead any more. Nothing was changed.")
        before = {"state": event.state, "attempts": event.attempts, "last_error": event.last_error}
        session.add(order.entry("event.replay", event.id, before, {"state": "failed", "attempts": 0}))
    await order.service.worker.retry_due()


async def review_replay_all(order: Order) -> list[str]:
    return [
        f"Every {_state(order)} event is due now, as if it had never failed.",
        "The workers of all processes apply them, the longest due first.",
    ]


async def replay_all(order: Order) -> None:
    state = _state(order)
    async with order.service.database.session() as session:
        count = await replay_in(session, states=[state])
        session.add(order.entry("events.replay", "events", {"state": state}, {"replayed": count}))
    order.service.worker.wake()


async def review_link(order: Order) -> list[str]:
    customer, user_id = await _customer(order), _user(order)
    now = f"belongs to user {customer.user_id}" if customer.user_id else "belongs to no user"
    return [
        f"Customer {customer.id} ({customer.email or 'no e-mail'}) {now}.",
        f"It will belong to user {user_id}, with those of its subscriptions that are the former user's or "
        "nobody's. Those that name another user themselves stay with that one.",
        "This stands above any metadata and any checkout, until somebody links it anew.",
    ]


async def link(order: Order) -> None:
    """An event of the inbox, as the internal API makes it; the audit entry is in its transaction."""
    service, customer, user_id = order.service, await _customer(order), _user(order)
    content = {"customer_id": customer.id, "user_id": user_id}
    delivery = internal_event(
        service, "internal.customer.linked", customer.id, content, order.actor, customer=customer.id
    )
    await service.inbox.accept(delivery, timeout_seconds=UPDATE_TIMEOUT_SECONDS)


async def review_override(order: Order) -> list[str]:
    feature, row = _feature(order), _override(order)
    held = await _stored_override(order)
    value = "" if row.value is None else f" {row.value}"
    until = f"until {day(row.expires_at)}" if row.expires_at else "until somebody ends it"
    lines = [f"User {row.user_id} gets “{row.op}{value}” of {feature.key}, {until}.", f"Reason: {row.reason}"]
    if held is not None:
        lines.append(f"It replaces “{held.op} {held.value}” by {held.actor or 'unknown'}.")
    return [*lines, "It holds at once, in every process."]


async def override(order: Order) -> None:
    row = _override(order)
    async with order.service.database.session() as session:
        # First: whoever changes the user, too, waits here.
        await order.service.database.count_up(session, row.user_id)
        held = await session.get(Override, (row.user_id, row.feature))
        before = _told(held) if held else None
        await session.merge(row)
        session.add(order.entry("override.set", row.user_id, before, _told(row)))
    order.service.limits.snapshots.forget(row.user_id)


async def review_end_override(order: Order) -> list[str]:
    held = await _stored_override(order)
    if held is None:
        raise NotFound("The user has no override of this feature.")
    return [
        f"“{held.op} {held.value}” of {held.feature} ends now for user {held.user_id}: the plan counts again."
    ]


async def end_override(order: Order) -> None:
    user_id, feature = _user(order), order.values["feature"]
    async with order.service.database.session() as session:
        await order.service.database.count_up(session, user_id)
        row = await session.get(Override, (user_id, feature))
        if row is None:
            raise NotFound("The user has no override of this feature any more. Nothing was changed.")
        session.add(order.entry("override.end", user_id, _told(row)))
        await session.delete(row)
    order.service.limits.snapshots.forget(user_id)


async def review_usage(order: Order) -> list[str]:
    feature, used = _feature(order), _used(order)
    now = await _usage_now(order)
    return [
        f"{feature.key} of user {_user(order)} is counted as {now:,} used.",
        f"It will be {used:,}. Nothing of the user's own is created or deleted.",
    ]


async def set_usage(order: Order) -> None:
    user_id, feature, used = _user(order), _feature(order), _used(order)
    async with order.service.database.session() as session:
        was = await order.service.limits.used(session, user_id, feature.key)
        before = {"feature": feature.key, "used": was}
        await order.service.limits.set_usage(session, user_id, feature.key, used)
        after = {"feature": feature.key, "used": used}
        session.add(order.entry("usage.set", user_id, before, after))


async def review_reread(order: Order) -> list[str]:
    row = await _subscription(order)
    return [
        f"Subscription {row.id} is {row.status or 'of unknown status'} here.",
        "It is marked to be read again from Stripe, whose answer then replaces the record.",
    ]


async def reread(order: Order) -> None:
    row = await _subscription(order)
    async with order.service.database.session() as session:
        fresh = await session.get(Subscription, row.id, with_for_update=True)
        if fresh is None:
            raise NotFound("The subscription is gone. Nothing was changed.")
        before, fresh.needs_refresh = {"needs_refresh": fresh.needs_refresh}, True
        session.add(order.entry("subscription.reread", row.id, before, {"needs_refresh": True}))


# What the fields say, checked.


def _user(order: Order) -> str:
    user_id = as_id(order.values.get("user", ""))
    if user_id is None or not user_id.strip():
        raise InvalidRequest("User: 1 to 255 printable characters, as the application names the user.")
    return user_id


def _state(order: Order) -> str:
    state = order.values.get("state", "")
    if state not in ("dead", "failed"):
        raise InvalidRequest("State: dead or failed.")
    return state


def _feature(order: Order) -> Feature:
    return order.service.limits.catalogue.feature(order.values.get("feature", ""))


def _used(order: Order) -> int:
    text = order.values.get("used", "").replace(",", "").replace("_", "").strip()
    if not (text.isascii() and text.isdigit()) or int(text) > MAX_AMOUNT:
        raise InvalidRequest(f"Used: a whole number from 0 to {MAX_AMOUNT:,}.")
    return int(text)


def _override(order: Order) -> Override:
    feature, op = _feature(order), order.values.get("op", "")
    if op not in ("set", "add", "remove"):
        raise InvalidRequest("Change: set, add or remove.")
    value = read_value(feature, order.values.get("value", ""))
    read_override(feature, cast(OverrideOp, op), value)
    reason = order.values.get("reason", "").strip()
    if not 0 < len(reason) <= MAX_REASON:
        raise InvalidRequest(f"Reason: 1 to {MAX_REASON} characters, for whoever asks later.")
    now = int(order.service.clock())
    return Override(
        user_id=_user(order),
        feature=feature.key,
        op=op,
        value=value,
        expires_at=_expiry(order.values.get("expires", ""), now),
        reason=reason,
        actor=order.actor,
        created_at=now,
    )


def read_value(feature: Feature, text: str) -> int | float | bool | str | None:
    """What was typed, as the catalogue would have it: 5, "10 GiB", "unlimited", true; None for nothing."""
    text = text.strip()
    if not text:
        return None
    if feature.type == "flag" and text.lower() in ("true", "yes", "false", "no"):
        return text.lower() in ("true", "yes")
    bare = text.replace("_", "").replace(",", "")
    if feature.type == "number" and bare.isascii() and bare.isdigit() and len(bare) < 20:
        return int(bare)
    return text


def _expiry(text: str, now: int) -> int | None:
    if not text.strip():
        return None
    try:
        expires_at = int(datetime.fromisoformat(text.strip()).replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        raise InvalidRequest("Ends: a date and time in UTC, such as 2030-12-31T18:00; or nothing.") from None
    if expires_at <= now:
        raise InvalidRequest("Ends: that moment is past. Choose one to come, or nothing.")
    return expires_at


def _told(row: Override) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("feature", "op", "value", "expires_at", "reason")}


# What is stored.


async def _event(order: Order) -> WebhookEvent:
    return cast(WebhookEvent, await _known(order, WebhookEvent, "event"))


async def _customer(order: Order) -> Customer:
    return cast(Customer, await _known(order, Customer, "customer"))


async def _subscription(order: Order) -> Subscription:
    return cast(Subscription, await _known(order, Subscription, "subscription"))


async def _known(order: Order, model: Any, noun: str) -> Any:
    row = await _get(order, model, order.values.get(noun))
    if row is None:
        raise NotFound(f"No {noun} with this id is known here: search for it, and start from its page.")
    return row


async def _stored_override(order: Order) -> Override | None:
    key = (order.values.get("user", ""), order.values.get("feature", ""))
    return cast(Override | None, await _get(order, Override, key))


async def _get(order: Order, model: Any, key: Any) -> Any:
    async with order.service.database.reading() as session:
        return await session.get(model, key) if key else None


async def _usage_now(order: Order) -> int:
    entitlements = await order.service.limits.load(_user(order))
    return entitlements.look(_feature(order).key).used
