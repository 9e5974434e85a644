"""What is wrong with a user's access: each cause by name, with its remedy. Pure functions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..checks.finding import LIVE
from ..db.models import Invoice
from ..entitlements import JudgedSubscription
from ..operations.accounts import Account
from ..operations.checks import Found
from .formatting import day, encoded, money
from .stripe_links import dashboard_url

METERED = ("allocated", "consumable")
MOST_LINKS = 5


@dataclass(frozen=True, slots=True)
class Remedy:
    """A link that helps: a page of the screen (`/…`), or one in Stripe's Dashboard."""

    label: str
    link: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause. `bad` takes something away from the user now; `warn` may."""

    level: Literal["bad", "warn"]
    cause: str
    detail: str
    remedies: tuple[Remedy, ...] = ()


def diagnose(account: Account, found: Found) -> list[Finding]:
    """What is wrong, the worst first: what the catalogue's checks found, and why access is as it is."""
    findings = [*_catalogued(account, found), *(each for cause in CAUSES for each in cause(account))]
    return sorted(findings, key=lambda finding: finding.level != "bad")


def _catalogued(account: Account, found: Found) -> Iterator[Finding]:
    for name, findings in found.items():
        for each in findings:
            if each.level in ("error", "warning"):
                level: Literal["bad", "warn"] = "bad" if each.level == "error" else "warn"
                links = LINKS.get(name, _no_links)(account, each.ids[:MOST_LINKS])
                yield Finding(level, each.title, f"{each.what} {each.remedy}", links)


def unknown_user(account: Account) -> Iterator[Finding]:
    if account.user_id is not None and not account.customers:
        yield Finding(
            "bad",
            "No customer is linked to this user",
            "Nothing that Stripe says reaches this user, who has the default plan. If they pay, their "
            "customer is linked to nobody, or to another user.",
            (
                Remedy("Link a customer to this user", f"/action/link?user={encoded(account.user_id)}"),
                Remedy("Look at the customers of no user", "/customers?linked=no"),
            ),
        )


def nothing_granted(account: Account) -> Iterator[Finding]:
    """Subscriptions that grant nothing; of no interest where another one does."""
    if any(each.entitles and each.plan is not None for each in account.entitlements.subscriptions):
        return
    for each in account.entitlements.subscriptions:
        if not each.entitles:
            yield _why_nothing(account, each)


def _why_nothing(account: Account, each: JudgedSubscription) -> Finding:
    reason, stripe = each.access.reason, _open(each.id, account)
    if reason == "cancel_at_reached" or each.status in ("canceled", "incomplete_expired"):
        ended = f"{each.id} is {each.status}, over since {day(each.expiry_date)}, and cannot be revived: "
        detail = f"{ended}Stripe makes a new subscription, with an id of its own."
        return Finding(
            "bad", "The subscription is canceled", detail, (*_customer(account), *_override(account))
        )
    if each.access.blocked_by == "payment_required":
        return _payment_due(account, each)
    if each.access.blocked_by == "paused":
        method = each.access.act == "update_payment_method"
        first = "the customer adds a payment method, then it is to be resumed" if method else "resume it"
        detail = f"{each.id} is paused in Stripe: {first} there."
        return Finding("bad", "The subscription is paused", detail, stripe)
    if reason == "expired":
        detail = (
            f"{each.id} was to renew on {day(each.expiry_date)}, and no renewal was seen. Were events missed?"
        )
        return Finding("bad", "The term is over", detail, (*_reread(each.id), *stripe))
    if reason == "customer_deleted":
        return Finding("bad", "The customer is deleted in Stripe", f"{each.id} went with it.", stripe)
    if reason == "provisional":
        detail = f"{each.id} is known from an invoice alone: its own events are missing."
        return Finding("bad", "The subscription is unknown", detail, (*_reread(each.id), *stripe))
    return Finding("bad", "The subscription grants nothing", f"{each.id} is {each.status}: {reason}.", stripe)


def _payment_due(account: Account, each: JudgedSubscription) -> Finding:
    invoice = oldest_open(account, each.id)
    over = each.access.reason == "grace_over"
    cause = "The grace is over, and a payment is due" if over else "A payment is due"
    owed = "" if invoice is None else f" Invoice {invoice.id} of {day(invoice.created)} is open: "
    owed += (
        ""
        if invoice is None
        else f"{money(invoice.amount_remaining, invoice.currency)} tried {invoice.attempt_count} times."
    )
    detail = f"{each.id} is {each.status}.{owed} Access returns with the payment."
    pay = _open(invoice.id if invoice else each.id, account)
    return Finding("bad", cause, detail, (*pay, *_override(account)))


def oldest_open(account: Account, subscription_id: str) -> Invoice | None:
    """The invoice that the grace counts from."""
    own = [
        each
        for each in account.invoices
        if each.subscription_id == subscription_id and each.status == "open" and each.attempt_count > 0
    ]
    return min(own, key=lambda each: each.created or 0, default=None)


def in_grace(account: Account) -> Iterator[Finding]:
    for each in account.entitlements.subscriptions:
        if each.access.level == "grace":
            detail = (
                f"{each.id} is {each.status}: access ends {day(each.access.grace_ends_at)} unless it is paid."
            )
            yield Finding("warn", "In grace: a payment failed", detail, _open(each.id, account))
        elif each.access.reason == "renewal_awaited":
            ends = day(each.access.ends_at)
            since = day(each.expiry_date)
            detail = f"{each.id} is past its term since {since}; access ends {ends} without a renewal."
            yield Finding("warn", "The renewal is awaited", detail, _reread(each.id))


def usage_over_limit(account: Account) -> Iterator[Finding]:
    entitlements = account.entitlements
    for key, feature in entitlements.features.items():
        used = (entitlements.usage or {}).get(key, 0)
        if feature.kind not in METERED or feature.limit is None or used < feature.limit or not used:
            continue
        remedies = (
            *_override(account, key),
            Remedy(
                "Correct the usage", f"/action/usage?user={encoded(account.user_id)}&feature={encoded(key)}"
            ),
        )
        over = used > feature.limit
        cause = f"Over the limit of {key}" if over else f"The limit of {key} is reached"
        detail = f"{used:,} of {feature.limit:,} are used on plan {entitlements.plan or 'none'}."
        detail += (
            " A downgrade deletes nothing: more is denied until usage falls." if over else " More is denied."
        )
        detail += " The limit is soft: going over is allowed." if feature.soft else ""
        yield Finding("warn" if feature.soft or not over else "bad", cause, detail, remedies)


def ended_overrides(account: Account) -> Iterator[Finding]:
    for override in account.overrides:
        if override.expires_at is not None and override.expires_at <= account.now:
            detail = (
                f"“{override.op} {override.value}” of {override.feature} held until "
                f"{day(override.expires_at)}, by {override.actor or 'unknown'}: {override.reason or '–'}"
            )
            yield Finding(
                "warn",
                f"An override of {override.feature} has ended",
                detail,
                _override(account, override.feature),
            )


def _open(object_id: str | None, account: Account) -> tuple[Remedy, ...]:
    url = dashboard_url(object_id, account.livemode)
    return (Remedy(f"Open {object_id} in Stripe", url),) if url else ()


def _customer(account: Account) -> tuple[Remedy, ...]:
    return tuple(link for each in account.customers[:3] for link in _open(each.id, account))


def _override(account: Account, feature: str = "") -> tuple[Remedy, ...]:
    if account.user_id is None:
        return ()
    query = f"user={encoded(account.user_id)}" + (f"&feature={encoded(feature)}" if feature else "")
    return (Remedy("Set an override", f"/action/override?{query}"),)


def _reread(subscription_id: str | None) -> tuple[Remedy, ...]:
    path = f"/action/reread?subscription={encoded(subscription_id or '')}"
    return (Remedy("Fetch it again from Stripe", path),)


def _no_links(account: Account, ids: Sequence[str]) -> tuple[Remedy, ...]:
    return ()


def _link(account: Account, ids: Sequence[str]) -> tuple[Remedy, ...]:
    return tuple(
        Remedy("Link it to a user" if len(ids) == 1 else f"Link {id}", f"/action/link?customer={encoded(id)}")
        for id in ids
    )


def _replay(account: Account, ids: Sequence[str]) -> tuple[Remedy, ...]:
    return tuple(
        Remedy("Replay the event" if len(ids) == 1 else f"Replay {id}", f"/action/replay?event={encoded(id)}")
        for id in ids
    )


def _fetch(account: Account, ids: Sequence[str]) -> tuple[Remedy, ...]:
    """For thin events: their subscriptions can be marked to be fetched."""
    objects = dict.fromkeys(event.object_id for event in account.unfinished if event.id in ids)
    known = [id for id in objects if id is not None and account.record(id)]
    return tuple(link for id in known for link in _reread(id)) or _customer(account)


def _open_each(account: Account, ids: Sequence[str]) -> tuple[Remedy, ...]:
    return tuple(link for id in ids for link in _open(id, account))


def _open_live(account: Account, ids: Sequence[str]) -> tuple[Remedy, ...]:
    live = [each.id for each in account.subscriptions if each.status in LIVE]
    return _open_each(account, live[:MOST_LINKS])


def _override_or_open(account: Account, ids: Sequence[str]) -> tuple[Remedy, ...]:
    """For prices in no plan: an override helps at once."""
    return (*_override(account), *_open_each(account, ids))


LINKS: dict[str, Callable[[Account, Sequence[str]], tuple[Remedy, ...]]] = {
    "unlinked-customers": _link,
    "dead-events": _replay,
    "failing-events": _replay,
    "thin-events": _fetch,
    "needs-refresh": _open_each,
    "prices-in-use": _override_or_open,
    "bought-twice": _open_each,
    "two-subscriptions": _open_live,
}
"""What the screen offers beside the remedy of a check."""

CAUSES: tuple[Callable[[Account], Iterator[Finding]], ...] = (
    unknown_user,
    nothing_granted,
    usage_over_limit,
    ended_overrides,
    in_grace,
)
"""Why access is as it is, beside the catalogue: each needs what only an account knows."""
