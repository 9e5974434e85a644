"""What the screen can change: reads a form, says what will happen, and calls the operation."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ..db.models import Customer, Override, Subscription, WebhookEvent
from ..errors import InvalidRequest, NotFound
from ..operations import links, overrides, refresh, usage
from ..operations import replay as replays
from ..operations.moments import read_moment
from ..plans import MAX_AMOUNT, Feature
from ..service import Service
from ..stripe.objects import as_id
from .formatting import day

R = TypeVar("R", WebhookEvent, Customer, Subscription)
Values = Mapping[str, str]
MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class Submission:
    """A filled-in form of an action. `values` are its fields, `actor` is for the audit trail."""

    service: Service
    actor: str
    values: Values


Review = Callable[[Submission], Awaitable[list[str]]]
"""Checks a submission and says, line by line, what it will do. Raises a ServiceError with the remedy."""
Perform = Callable[[Submission], Awaitable[None]]


async def review_replay(submission: Submission) -> list[str]:
    event = await _stored(submission, WebhookEvent, "event")
    if event.source == "internal" or event.state not in replays.REPLAYABLE:
        raise InvalidRequest(f"The event is {event.state}: only ignored, failed and dead ones are replayed.")
    return [
        f"Event {event.id} ({event.type}) is {event.state} after {event.attempts} attempts.",
        f"Its last error: {event.last_error or 'none'}",
        "It is applied again at once. If it fails again, it is retried by itself for 3 days.",
    ]


async def replay(submission: Submission) -> None:
    event, service = await _stored(submission, WebhookEvent, "event"), submission.service
    now = int(service.clock())
    if not await replays.replay(service.database, submission.actor, at=now, event_id=event.id):
        raise InvalidRequest("The event is not ignored, failed or dead any more. Nothing was changed.")
    await service.worker.retry_due()


async def review_replay_all(submission: Submission) -> list[str]:
    return [
        f"Every {_state(submission)} event is due now, as if it had never failed.",
        "The workers of all processes apply them, the longest due first.",
    ]


async def replay_all(submission: Submission) -> None:
    service, state = submission.service, _state(submission)
    await replays.replay(service.database, submission.actor, at=int(service.clock()), states=[state])
    service.worker.wake()


async def review_replay_outbox(submission: Submission) -> list[str]:
    receiver = submission.values.get("receiver", "").strip()
    return [
        f"Every reaction that {'the receiver ' + receiver if receiver else 'any receiver'} has not taken is "
        "due now, dead ones included, as if it had never failed.",
        "The outboxes of all processes deliver them. What was taken stays done.",
    ]


async def replay_outbox(submission: Submission) -> None:
    service, receiver = submission.service, submission.values.get("receiver", "").strip()
    now = int(service.clock())
    await replays.replay_outbox(service.database, submission.actor, at=now, receiver=receiver or None)


async def review_link(submission: Submission) -> list[str]:
    customer, user_id = await _stored(submission, Customer, "customer"), read_user(submission)
    now = f"belongs to user {customer.user_id}" if customer.user_id else "belongs to no user"
    return [
        f"Customer {customer.id} ({customer.email or 'no e-mail'}) {now}.",
        f"It will belong to user {user_id}, with those of its subscriptions that are the former user's or "
        "nobody's. Those that name another user themselves stay with that one.",
        "This overrides any metadata and any checkout, until somebody links it again.",
    ]


async def link(submission: Submission) -> None:
    customer = await _stored(submission, Customer, "customer")
    await links.link_customer(submission.service, customer.id, read_user(submission), actor=submission.actor)


async def review_override(submission: Submission) -> list[str]:
    feature, row = _feature(submission), _override(submission)
    held = await _stored_override(submission)
    value = "" if row.value is None else f" {row.value}"
    until = f"until {day(row.expires_at)}" if row.expires_at else "until somebody ends it"
    lines = [f"User {row.user_id} gets “{row.op}{value}” of {feature.key}, {until}.", f"Reason: {row.reason}"]
    if held is not None:
        lines.append(f"It replaces “{held.op} {held.value}” by {held.actor or 'unknown'}.")
    return [*lines, "It holds at once, in every process."]


async def override(submission: Submission) -> None:
    await overrides.set_override(submission.service, _override(submission), actor=submission.actor)


async def review_end_override(submission: Submission) -> list[str]:
    held = await _stored_override(submission)
    if held is None:
        raise NotFound("The user has no override of this feature.")
    return [
        f"“{held.op} {held.value}” of {held.feature} ends now for user {held.user_id}: the plan counts again."
    ]


async def end_override(submission: Submission) -> None:
    user_id, feature = read_user(submission), submission.values["feature"]
    await overrides.end_override(submission.service, user_id, feature, actor=submission.actor)


async def review_usage(submission: Submission) -> list[str]:
    user_id, feature, used = read_user(submission), _feature(submission), _used(submission)
    now = await usage.read_usage(submission.service, user_id, feature.key)
    return [
        f"{feature.key} of user {user_id} is counted as {now:,} used, live reservations included.",
        f"It will be {used:,}; live reservations count on top of that.",
        "Nothing of the user's own is created or deleted.",
    ]


async def set_usage(submission: Submission) -> None:
    user_id, feature, used = read_user(submission), _feature(submission), _used(submission)
    await usage.change_usage(submission.service, user_id, feature.key, "set", used, actor=submission.actor)


async def review_reread(submission: Submission) -> list[str]:
    row = await _stored(submission, Subscription, "subscription")
    return [
        f"Subscription {row.id} is {row.status or 'of unknown status'} here.",
        "It is marked to be fetched again from Stripe, whose answer then replaces the record.",
    ]


async def reread(submission: Submission) -> None:
    row = await _stored(submission, Subscription, "subscription")
    await refresh.mark_subscription(submission.service, row.id, actor=submission.actor)


# What the fields say, checked.


def read_user(submission: Submission) -> str:
    """
    Raises:
        InvalidRequest: when it cannot be the id of a user.
    """
    user_id = as_id(submission.values.get("user", ""))
    if user_id is None or not user_id.strip():
        raise InvalidRequest("User: 1 to 255 printable characters, as the application names the user.")
    return user_id


def _state(submission: Submission) -> str:
    state = submission.values.get("state", "")
    if state not in ("dead", "failed"):
        raise InvalidRequest("State: dead or failed.")
    return state


def _feature(submission: Submission) -> Feature:
    return submission.service.limits.catalogue.feature(submission.values.get("feature", ""))


def _used(submission: Submission) -> int:
    text = submission.values.get("used", "").replace(",", "").replace("_", "").strip()
    if not (text.isascii() and text.isdigit()) or int(text) > MAX_AMOUNT:
        raise InvalidRequest(f"Used: a whole number from 0 to {MAX_AMOUNT:,}.")
    return int(text)


def _override(submission: Submission) -> Override:
    feature, op = _feature(submission), submission.values.get("op", "")
    if op not in ("set", "add", "remove"):
        raise InvalidRequest("Change: set, add or remove.")
    value = read_value(feature, submission.values.get("value", ""))
    return overrides.draft_override(
        submission.service,
        read_user(submission),
        feature.key,
        op=op,
        value=value,
        expires_at=read_expiry(submission.values.get("expires", ""), int(submission.service.clock())),
        reason=read_reason(submission),
        given_by=submission.actor,
    )


def read_reason(submission: Submission) -> str:
    """
    Raises:
        InvalidRequest: when there is none, or too long a one.
    """
    reason = submission.values.get("reason", "").strip()
    if not 0 < len(reason) <= MAX_REASON:
        raise InvalidRequest(f"Reason: 1 to {MAX_REASON} characters, for whoever asks later.")
    return reason


def read_amount(text: str) -> int | str | None:
    """What was typed: 500, "10 GiB"; None for nothing."""
    bare = text.replace("_", "").replace(",", "").strip()
    if bare.isascii() and bare.isdigit() and len(bare) < 20:
        return int(bare)
    return text.strip() or None


def read_value(feature: Feature, text: str) -> int | float | bool | str | None:
    """What was typed, as the catalogue would have it: 5, "10 GiB", "unlimited", true; None for nothing."""
    text = text.strip()
    if not text:
        return None
    if feature.type == "flag" and text.lower() in ("true", "yes", "false", "no"):
        return text.lower() in ("true", "yes")
    return read_amount(text) if feature.type == "number" else text


def read_expiry(text: str, now: int) -> int | None:
    """A moment to come, in Unix seconds; None for nothing.

    Raises:
        InvalidRequest: when it is no moment, or past.
    """
    if not text.strip():
        return None
    try:
        expires_at = read_moment(text)
    except InvalidRequest:
        raise InvalidRequest("Ends: a date and time in UTC, such as 2030-12-31T18:00; or nothing.") from None
    if expires_at <= now:
        raise InvalidRequest("Ends: that moment is past. Choose one to come, or nothing.")
    return expires_at


# What is stored.


async def _stored(submission: Submission, model: type[R], noun: str) -> R:
    if id := submission.values.get(noun):
        async with submission.service.database.reading() as session:
            if row := await session.get(model, id):
                return row
    raise NotFound(f"No {noun} with this id is known here: search for it, and start from its page.")


async def _stored_override(submission: Submission) -> Override | None:
    user_id, feature = submission.values.get("user", ""), submission.values.get("feature", "")
    return await overrides.load_override(submission.service, user_id, feature)
