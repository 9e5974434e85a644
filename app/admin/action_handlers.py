"""What the screen can change: reads a form, says what will happen, and calls the operation."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from ..db.models import Customer, Override, Subscription, WebhookEvent
from ..errors import InvalidRequest, NotFound
from ..operations import links, overrides, refresh, usage
from ..operations import replay as replays
from ..plans import MAX_AMOUNT, Feature
from ..service import Service
from ..stripe.objects import as_id
from .formatting import day

Values = Mapping[str, str]
MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class Order:
    """An action as somebody asked for it. `values` are the fields of its form."""

    service: Service
    actor: str
    values: Values


Review = Callable[[Order], Awaitable[list[str]]]
"""Checks an order, and says line by line what it will do. Raises a ServiceError that names the remedy."""
Perform = Callable[[Order], Awaitable[None]]


async def review_replay(order: Order) -> list[str]:
    event = await _event(order)
    if event.source == "internal" or event.state not in replays.REPLAYABLE:
        raise InvalidRequest(f"The event is {event.state}: only ignored, failed and dead ones are replayed.")
    return [
        f"Event {event.id} ({event.type}) is {event.state} after {event.attempts} attempts.",
        f"Its last error: {event.last_error or 'none'}",
        "It is applied again at once. If it fails again, it is retried by itself for 3 days.",
    ]


async def replay(order: Order) -> None:
    event, service = await _event(order), order.service
    now = int(service.clock())
    if not await replays.replay(service.database, order.actor, at=now, event_id=event.id):
        raise InvalidRequest("The event is not ignored, failed or dead any more. Nothing was changed.")
    await service.worker.retry_due()


async def review_replay_all(order: Order) -> list[str]:
    return [
        f"Every {_state(order)} event is due now, as if it had never failed.",
        "The workers of all processes apply them, the longest due first.",
    ]


async def replay_all(order: Order) -> None:
    service, state = order.service, _state(order)
    await replays.replay(service.database, order.actor, at=int(service.clock()), states=[state])
    service.worker.wake()


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
    customer = await _customer(order)
    await links.link_customer(order.service, customer.id, _user(order), actor=order.actor)


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
    await overrides.set_override(order.service, _override(order), actor=order.actor)


async def review_end_override(order: Order) -> list[str]:
    held = await _stored_override(order)
    if held is None:
        raise NotFound("The user has no override of this feature.")
    return [
        f"“{held.op} {held.value}” of {held.feature} ends now for user {held.user_id}: the plan counts again."
    ]


async def end_override(order: Order) -> None:
    user_id, feature = _user(order), order.values["feature"]
    await overrides.end_override(order.service, user_id, feature, actor=order.actor)


async def review_usage(order: Order) -> list[str]:
    feature, used = _feature(order), _used(order)
    now = await usage.read_usage(order.service, _user(order), feature.key)
    return [
        f"{feature.key} of user {_user(order)} is counted as {now:,} used, live reservations included.",
        f"It will be {used:,}; live reservations count on top of that.",
        "Nothing of the user's own is created or deleted.",
    ]


async def set_usage(order: Order) -> None:
    user_id, feature, used = _user(order), _feature(order), _used(order)
    await usage.change_usage(order.service, user_id, feature.key, "set", used, actor=order.actor)


async def review_reread(order: Order) -> list[str]:
    row = await _subscription(order)
    return [
        f"Subscription {row.id} is {row.status or 'of unknown status'} here.",
        "It is marked to be read again from Stripe, whose answer then replaces the record.",
    ]


async def reread(order: Order) -> None:
    row = await _subscription(order)
    await refresh.mark_subscription(order.service, row.id, actor=order.actor)


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
    reason = order.values.get("reason", "").strip()
    if not 0 < len(reason) <= MAX_REASON:
        raise InvalidRequest(f"Reason: 1 to {MAX_REASON} characters, for whoever asks later.")
    return overrides.draft_override(
        order.service,
        _user(order),
        feature.key,
        op=op,
        value=value,
        expires_at=_expiry(order.values.get("expires", ""), int(order.service.clock())),
        reason=reason,
        given_by=order.actor,
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
    user_id, feature = order.values.get("user", ""), order.values.get("feature", "")
    return await overrides.load_override(order.service, user_id, feature)


async def _get(order: Order, model: Any, key: Any) -> Any:
    async with order.service.database.reading() as session:
        return await session.get(model, key) if key else None
