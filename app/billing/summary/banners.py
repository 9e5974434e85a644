"""What to tell a user before they find out: a failed payment, an end that is near, a limit that is passed."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ...entitlements import Entitlements, JudgedSubscription
from .schemas import Banner, BannerKind, OpenInvoice, Severity, SummarySubscription, UsageBar

TRIAL_WARNING_SECONDS: Final = 3 * 86_400
"""As long before its end as Stripe's own `trial_will_end`."""

ORDER: Final[dict[Severity, int]] = {"error": 0, "warning": 1, "info": 2}
SAID: Final[dict[BannerKind, tuple[Severity, str]]] = {
    "action_required": ("error", "Your bank asks you to confirm a payment. Confirm it to keep your plan."),
    "payment_required": ("error", "Your plan is suspended. Pay the open invoice to restore it."),
    "past_due": ("warning", "Your last payment failed. Pay the open invoice to keep your plan."),
    "over_limit": (
        "warning",
        "You use more than your plan includes. Nothing is lost, but you cannot add more.",
    ),
    "paused": ("warning", "Your plan is paused. Resume it to use it again."),
    "trial_ending": ("info", "Your trial is about to end."),
    "canceling": ("info", "Your plan is canceled and ends soon. Until then nothing changes."),
}


def banners(
    entitlements: Entitlements,
    shown: Sequence[SummarySubscription],
    open_invoices: Sequence[OpenInvoice],
    usage: Iterable[UsageBar],
) -> list[Banner]:
    """The banners of all subscriptions, the most urgent first."""
    judged = {each.id: each for each in entitlements.subscriptions}
    found: list[Banner] = []
    for each in shown:
        theirs = [invoice for invoice in open_invoices if invoice.subscription_id == each.subscription_id]
        found += _of_payment(judged[each.subscription_id], theirs)
        found += _of_time(each, judged[each.subscription_id], entitlements.as_of)
    if over := [bar.feature for bar in usage if bar.level == "over" and not bar.soft]:
        found.append(_banner("over_limit", features=over))
    return sorted(found, key=lambda banner: ORDER[banner.severity])


def _of_payment(judged: JudgedSubscription, invoices: Sequence[OpenInvoice]) -> Iterator[Banner]:
    """One at most: whatever is wrong with a payment, the same page mends it."""
    granted = judged.access
    confirm = [invoice for invoice in invoices if invoice.action_required]
    attempted = [invoice for invoice in invoices if invoice.attempted]
    pay_url = next((each.pay_url for each in (*confirm, *attempted, *invoices) if each.pay_url), None)
    if confirm or judged.status == "incomplete":
        yield _banner("action_required", at=granted.grace_ends_at, pay_url=pay_url)
    elif granted.blocked_by == "payment_required":
        yield _banner("payment_required", pay_url=pay_url)
    elif judged.status in ("past_due", "unpaid"):
        yield _banner("past_due", at=granted.grace_ends_at, pay_url=pay_url)
    elif granted.blocked_by == "paused":
        yield _banner("paused")


def _of_time(each: SummarySubscription, judged: JudgedSubscription, now: int) -> Iterator[Banner]:
    if not judged.entitles:
        return
    if each.ends_at is not None:
        yield _banner("canceling", at=each.ends_at)
    elif each.trial_ends_at is not None and each.trial_ends_at - now <= TRIAL_WARNING_SECONDS:
        yield _banner("trial_ending", at=each.trial_ends_at)


def _banner(
    kind: BannerKind, *, at: int | None = None, features: Iterable[str] = (), pay_url: str | None = None
) -> Banner:
    severity, message = SAID[kind]
    return Banner(
        kind=kind, severity=severity, message=message, at=at, features=list(features), pay_url=pay_url
    )
