"""Banners for a user: a failed payment, an end that is near, a limit that is exceeded."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ...entitlements import Act, Entitlements, JudgedSubscription
from .schemas import Banner, BannerKind, OpenInvoice, Severity, SummarySubscription, UsageBar

TRIAL_WARNING_SECONDS: Final = 3 * 86_400
"""As long before its end as Stripe's own `trial_will_end`."""

ORDER: Final[dict[Severity, int]] = {"error": 0, "warning": 1, "info": 2}
SEVERITIES: Final[dict[BannerKind, Severity]] = {
    "action_required": "error",
    "payment_required": "error",
    "past_due": "warning",
    "bought_twice": "warning",
    "over_limit": "warning",
    "paused": "warning",
    "trial_ending": "info",
    "canceling": "info",
    "changing": "info",
    "price_unmapped": "info",
}
SAID: Final[dict[tuple[BannerKind, Act | None], str]] = {
    ("action_required", "pay"): "Your bank asks you to confirm a payment. Confirm it to keep your plan.",
    ("payment_required", "pay"): "Your plan is suspended. Pay the open invoice to restore it.",
    (
        "payment_required",
        "update_payment_method",
    ): "Your plan is suspended because a payment failed. Update your payment method to restore it.",
    ("past_due", "pay"): "Your last payment failed. Pay the open invoice to keep your plan.",
    (
        "past_due",
        "update_payment_method",
    ): "Your last payment failed. Update your payment method to keep your plan.",
    ("bought_twice", None): "You have bought the same twice, and pay for both. Contact us to cancel one.",
    ("over_limit", None): "You use more than your plan includes. Nothing is lost, but you cannot add more.",
    (
        "paused",
        "update_payment_method",
    ): "Your plan is paused: there is no payment method. Add one, then resume your plan.",
    ("paused", "resume"): "Your plan is paused. Resume it to use it again.",
    ("trial_ending", None): "Your trial is about to end.",
    (
        "price_unmapped",
        None,
    ): "Your new price is being set up. Until then you keep what you had; nothing is lost.",
    ("changing", None): "Your subscription changes soon, as you asked. Until then nothing changes.",
    ("canceling", None): "Your plan is canceled and ends soon. Until then nothing changes.",
}
"""What each banner says, by what the user can do."""


def banners(
    entitlements: Entitlements,
    shown: Sequence[SummarySubscription],
    open_invoices: Sequence[OpenInvoice],
    usage: Iterable[UsageBar],
    *,
    bought_twice: bool = False,
) -> list[Banner]:
    """The banners of all subscriptions, the most urgent first."""
    judged = {each.id: each for each in entitlements.subscriptions}
    found: list[Banner] = []
    for each in shown:
        theirs = [invoice for invoice in open_invoices if invoice.subscription_id == each.subscription_id]
        found += _of_payment(judged[each.subscription_id], theirs)
        found += _of_time(each, judged[each.subscription_id], entitlements.as_of)
    if bought_twice:
        found.append(_banner("bought_twice"))
    if any(each.unmapped_prices for each in entitlements.subscriptions if each.entitles):
        found.append(_banner("price_unmapped"))
    if over := [bar.feature for bar in usage if bar.level == "over" and not bar.soft]:
        found.append(_banner("over_limit", features=over))
    return sorted(found, key=lambda banner: ORDER[banner.severity])


def _of_payment(judged: JudgedSubscription, invoices: Sequence[OpenInvoice]) -> Iterator[Banner]:
    """One at most: the same page fixes any problem with a payment."""
    granted = judged.access
    confirm = [invoice for invoice in invoices if invoice.action_required]
    kind: BannerKind | None = None
    if confirm or (judged.status == "incomplete" and granted.act == "pay"):
        pay_url = next((each.pay_url for each in confirm if each.pay_url), granted.pay_url)
        yield _banner("action_required", at=granted.grace_ends_at, act="pay", pay_url=pay_url)
    elif granted.blocked_by is not None:
        kind = granted.blocked_by
    elif granted.act is not None:
        kind = "past_due"
    if kind is not None:
        yield _banner(kind, at=granted.grace_ends_at, act=granted.act, pay_url=granted.pay_url)


def _of_time(each: SummarySubscription, judged: JudgedSubscription, now: int) -> Iterator[Banner]:
    if not judged.entitles:
        return
    if each.ends_at is not None:
        yield _banner("canceling", at=each.ends_at)
    elif each.trial_ends_at is not None and each.trial_ends_at - now <= TRIAL_WARNING_SECONDS:
        yield _banner("trial_ending", at=each.trial_ends_at)
    if each.scheduled_change is not None:
        yield _banner("changing", at=each.scheduled_change.at)


def _banner(
    kind: BannerKind,
    *,
    at: int | None = None,
    features: Iterable[str] = (),
    act: Act | None = None,
    pay_url: str | None = None,
) -> Banner:
    return Banner(
        kind=kind,
        severity=SEVERITIES[kind],
        message=SAID[kind, act],
        at=at,
        features=list(features),
        act=act,
        pay_url=pay_url,
    )
