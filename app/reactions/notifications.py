"""The two ready receivers of reactions: a line in the log, and messages to people.

Messages go through the library apprise, which knows mail, Slack and a hundred other services by an address
each. Every address is a durable receiver of its own, so that one that fails is tried again without the others
hearing the same twice. All texts are here.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from pydantic import SecretStr

from ..errors import ConfigurationError
from ..extras import needed_for
from ..formatting import money
from ..signals import (
    Reaction,
    disconnect_durable,
    durable,
    entitlements_changed,
    reactions,
    subscription_changed,
)

log = structlog.get_logger(__name__)

UNLOGGED = (subscription_changed, entitlements_changed)
"""Too frequent for a line each."""

NOTIFY_TIMEOUT_SECONDS = 60.0
CUSTOMER = "Customer {customer_id}, user {user_id}."
INVOICE = "Invoice {invoice_id} of subscription {subscription_id}. " + CUSTOMER

TEMPLATES: dict[str, tuple[str, str]] = {
    "payment_failed": (
        "Payment failed: {amount}",
        "Attempt {attempt_count} to collect {amount} failed; the next one is {next_payment_attempt}. "
        + INVOICE
        + " To pay: {hosted_invoice_url}",
    ),
    "first_payment_failed": (
        "First payment failed: {subscription_id}",
        "The first payment of subscription {subscription_id} ({plan_id}) failed at {failed_at}. Stripe has "
        "voided the invoice and keeps the subscription active. "
        + CUSTOMER
        + " Cancel it, or collect the payment with a new invoice; until then [access] never_paid decides.",
    ),
    "payment_action_required": (
        "Payment waits for its customer: {amount}",
        "The bank wants the customer to confirm the payment of {amount}. "
        + INVOICE
        + " Send the customer this link: {hosted_invoice_url}",
    ),
    "payment_refunded": (
        "Refunded: {amount}",
        "{amount} of charge {charge_id} are refunded in all. "
        + CUSTOMER
        + " A subscription stays as it is; credits or a plan that were bought once are taken back, as the "
        "plans file says.",
    ),
    "refund_failed": (
        "A refund failed: {amount}",
        "Refund {refund_id} of charge {charge_id} is {status} ({reason}): the money is back in your balance "
        "at Stripe. Pay the customer in another way. " + CUSTOMER,
    ),
    "payment_disputed": (
        "Dispute {status}: {amount}",
        "Dispute {dispute_id} about charge {charge_id} ({reason}) is now {status}. "
        "Answer it in Stripe's Dashboard before its deadline.",
    ),
    "invoice_finalization_failed": (
        "An invoice cannot be finalized: {amount}",
        "Stripe cannot finalize the invoice ({code}), so it is not collected. "
        + INVOICE
        + " Open it in Stripe's Dashboard: it says what to correct.",
    ),
    "fraud_warning": (
        "A charge may be fraudulent: {charge_id}",
        "The bank reports charge {charge_id} ({fraud_type}). A dispute may follow, unless it is refunded. "
        + CUSTOMER,
    ),
    "checkout_payment_failed": (
        "A payment after checkout failed: {amount}",
        "The delayed payment of checkout session {session_id} failed. " + CUSTOMER,
    ),
    "trial_ending": (
        "A trial ends {trial_end}",
        "The trial of subscription {subscription_id} ({plan_id}) ends {trial_end}. " + CUSTOMER,
    ),
    "bought_twice": (
        "A user bought twice: {subscription_id}",
        "Subscription {subscription_id} was bought while {earlier_subscription_id} was there ({why}). "
        "Cancel it in Stripe's Dashboard, and refund it. " + CUSTOMER,
    ),
    "price_unmapped": (
        "A price is in no plan: {price_id}",
        "Subscription {subscription_id} has the price {price_id}, which the plans file does not list: it "
        "gives {gives}. {remedy} " + CUSTOMER,
    ),
    "grace_ending": (
        "Access ends {grace_ends_at} for want of payment",
        "Subscription {subscription_id} ({plan_id}) is past due, and its grace ends {grace_ends_at}. "
        + CUSTOMER,
    ),
    "customer_unlinked": (
        "A customer pays and belongs to no user: {customer_id}",
        "Whoever pays as customer {customer_id} may be locked out. Link the customer: "
        'PUT /internal/customers/{customer_id} with {{"user_id": "…"}}.',
    ),
    "event_dead": (
        "An event is dead: {event_type}",
        "Event {event_id} ({event_type}, object {object_id}) failed for three days and is not tried again. "
        "GET /internal/events/{event_id} has the error; once it is fixed: "
        "POST /internal/events/{event_id}/replay.",
    ),
    "backlog_old": (
        "Events wait to be applied since {waiting_since}",
        "The oldest event that is not applied came {waiting_since}. "
        "GET /internal/events?state=failed has the errors; /readyz says whether the database answers.",
    ),
    "database_down": (
        "The database takes no events since {since}",
        "{reason} {spool} This message comes from each process that sees it.",
    ),
    "webhooks_refused": ("Every webhook from Stripe is refused", "{what} {remedy}"),
    "webhooks_missed": ("No event comes by webhook", "{what} {remedy}"),
    "webhooks_silent": (
        "No event from Stripe since {last}",
        "That is longer than SILENCE_HOURS. Check in Stripe's Dashboard under Developers > Webhooks that the "
        "endpoint is enabled and that its deliveries succeed.",
    ),
}
"""Title and text of each message, by its signal. Those that are not here are not sent."""

TIMES = ("next_payment_attempt", "failed_at", "trial_end", "grace_ends_at", "waiting_since", "since", "last")

UNKNOWN_TIMES = {"next_payment_attempt": "not planned", "last": "this service started"}
"""What a message says in place of a time that is not there. Any other time is then unknown."""


def log_reaction(reaction: Reaction) -> None:
    """A line in the log for each reaction but those of UNLOGGED.

    The outbox calls it at once: a thread or a task for each line would cost more than the line.
    """
    log.info(
        reaction.signal,
        reaction=reaction.id,
        event_id=reaction.event_id,
        user_id=reaction.user_id,
        customer_id=reaction.customer_id,
        subscription_id=reaction.subscription_id,
        invoice_id=reaction.invoice_id,
    )


def render(reaction: Reaction) -> tuple[str, str]:
    """Title and text of the message about a reaction."""
    title, text = TEMPLATES[reaction.signal]
    values = _words(reaction)
    return title.format_map(values), text.format_map(values)


class Notifier:
    """Sends messages to one address of apprise's."""

    def __init__(self, url: str) -> None:
        # Imported where it is used: it takes longer than all else together at the start.
        with needed_for("notify"):
            import apprise

        self._apprise = apprise.Apprise()
        if not self._apprise.add(url):
            raise ConfigurationError(
                "NOTIFY_URLS holds an address that apprise does not know: see its list of services for how "
                "each is written, such as mailto://user:password@host or slack://token@workspace."
            )

    async def __call__(self, reaction: Reaction) -> None:
        title, text = render(reaction)
        if not await self._apprise.async_notify(title=title, body=text):
            raise ConnectionError("The message was not taken; apprise's own lines in the log say why.")


_connected: list[str] = []


def connect_notifications(urls: Sequence[SecretStr]) -> None:
    """Connect the ready receivers: the log line, and a durable one for each address.

    Raises:
        ConfigurationError: when an address is not one.
    """
    for signal in reactions.values():
        if signal not in UNLOGGED:
            signal.connect(log_reaction)
    for url in urls:
        address = url.get_secret_value()
        # An address holds secrets, so its digest names it.
        name = f"notify:{hashlib.sha256(address.encode()).hexdigest()[:12]}"
        notifier = Notifier(address)
        _connected.append(name)
        for signal_name in TEMPLATES:
            durable(reactions.signal(signal_name), notifier, name=name, timeout=NOTIFY_TIMEOUT_SECONDS)


def disconnect_notifications() -> None:
    """Undo `connect_notifications`."""
    for name in _connected:
        for signal in reactions.values():
            disconnect_durable(signal, name)
    _connected.clear()


def _words(reaction: Reaction) -> dict[str, Any]:
    values = reaction.as_json() | reaction.facts
    values["amount"] = money(values.get("amount"), values.get("currency"))
    for name in TIMES:
        if name in values:
            values[name] = _time(name, values[name])
    return _Words((name, "unknown" if value is None else value) for name, value in values.items())


def _time(name: str, seconds: int | None) -> str:
    if seconds is None:
        return UNKNOWN_TIMES.get(name, "unknown")
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


class _Words(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "unknown"
