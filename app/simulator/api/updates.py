"""What an update of a subscription asks for besides its items."""

from dataclasses import dataclass

from ..changes import Proration
from ..model import Discount, Subscription
from ..shapes import Json
from . import coupons, forms, payment_methods
from .call import Call
from .errors import invalid
from .items import proration_of

BEHAVIORS = ("keep_as_draft", "mark_uncollectible", "void")


@dataclass(frozen=True)
class Changes:
    """What an update asks for, checked before anything is changed; None leaves a thing as it is."""

    metadata: dict[str, str]
    at_period_end: bool | None
    cancel_at: int | None
    clears_cancel_at: bool
    pause: dict[str, object] | None
    unpauses: bool
    proration: Proration
    payment_method: str | None
    discounts: list[Discount] | None
    trial_end: int | None
    cancellation: dict[str, str | None]
    kept: Json

    @classmethod
    def read(cls, call: Call, subscription: Subscription, kept: Json) -> "Changes":
        """
        Raises:
            ApiError: 400 for what Stripe refuses.
        """
        params = call.params
        details = forms.hashed(params, "cancellation_details")
        return cls(
            forms.merged_metadata(params, subscription.metadata),
            forms.boolean(params, "cancel_at_period_end"),
            _cancel_at(call, subscription),
            params.get("cancel_at") == "",
            _pause(params),
            params.get("pause_collection") == "",
            proration_of(call),
            _payment_method(call, subscription),
            _discounts(call, subscription),
            _trial_end(call),
            {name: forms.text(details, name) for name in details},
            kept,
        )

    def make(self, subscription: Subscription, now: int) -> None:
        """`now` in Unix seconds."""
        subscription.metadata = self.metadata
        subscription.details |= self.kept
        subscription.cancellation |= self.cancellation
        self._plan_end(subscription, now)
        if self.unpauses or self.pause is not None:
            subscription.pause_collection = self.pause
        if self.payment_method is not None:
            subscription.default_payment_method = self.payment_method
        if self.discounts is not None:
            subscription.discounts = self.discounts
        if self.trial_end is not None:
            self._move_trial(subscription, now)

    def _plan_end(self, subscription: Subscription, now: int) -> None:
        if self.at_period_end and not subscription.cancel_at_period_end:
            subscription.end_with_period(now)
        elif self.at_period_end is False or self.clears_cancel_at:
            subscription.go_on()
        if self.cancel_at is not None:
            subscription.end_at(self.cancel_at, now)

    def _move_trial(self, subscription: Subscription, now: int) -> None:
        """A trial that is moved, or, where it ends now, is over with the period."""
        assert self.trial_end is not None
        subscription.trial_start = subscription.trial_start or now
        subscription.trial_end = self.trial_end
        if self.trial_end > now:
            subscription.status = "trialing"
        for item in subscription.items:
            item.current_period_end = max(self.trial_end, now + 1)


def _cancel_at(call: Call, subscription: Subscription) -> int | None:
    """A time, or the end of the earliest or the latest item's period."""
    ends = [item.current_period_end for item in subscription.items]
    words = {"min_period_end": min(ends), "max_period_end": max(ends)}
    wanted = forms.text(call.params, "cancel_at")
    return words[wanted] if wanted in words else forms.integer(call.params, "cancel_at")


def _pause(params: forms.Params) -> dict[str, object] | None:
    if not params.get("pause_collection"):
        return None
    pause: dict[str, object] = {**forms.hashed(params, "pause_collection")}
    forms.known(pause, ("behavior", "resumes_at"), "pause_collection")
    if pause.get("behavior") not in BEHAVIORS:
        raise invalid(
            f"Invalid pause_collection[behavior]: must be one of {', '.join(BEHAVIORS)}",
            "pause_collection[behavior]",
        )
    pause["resumes_at"] = forms.integer(pause, "resumes_at")
    return pause


def _payment_method(call: Call, subscription: Subscription) -> str | None:
    wanted, param = forms.text(call.params, "default_payment_method"), "default_payment_method"
    return payment_methods.usable(call, wanted, subscription.customer, param)


def _discounts(call: Call, subscription: Subscription) -> list[Discount] | None:
    """None without the parameter; an empty text takes them away, `discount` keeps one that is there."""
    if "discounts" not in call.params:
        return None
    kept = {discount.id: discount for discount in subscription.discounts}
    made: list[Discount] = []
    for number, entry in enumerate(forms.listed(call.params, "discounts")):
        named = entry.get("discount") if isinstance(entry, dict) else None
        if named in kept:
            made.append(kept[named])
        else:
            new = coupons.discounts(call, [entry], f"discounts[{number}]", subscription.customer)
            coupons.redeem(call, new)
            made += new
    for discount in made:
        discount.subscription = subscription.id
    return made


def _trial_end(call: Call) -> int | None:
    wanted = forms.text(call.params, "trial_end")
    if wanted == "now":
        return call.account.now
    at = forms.integer(call.params, "trial_end")
    if at is not None and at <= call.account.now:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", "trial_end")
    return at
