"""The members of a summary. Times are Unix seconds or null, amounts minor currency units."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...entitlements import AccessLevel, Act
from ...plans import Value
from ..pricing import SoldPrice

JANUARY, FEBRUARY = 1_893_456_000, 1_896_134_400  # of 2030

Amount = Annotated[int | None, Field(description="In the currency's minor unit")]
Time = Annotated[int | None, Field(description="Unix seconds")]
BannerKind = Literal[
    "action_required",  # the bank wants the customer to confirm a payment
    "payment_required",  # nothing is granted until an invoice is paid
    "past_due",  # a payment failed; access ends at `at`
    "bought_twice",  # two checkouts were paid: one is to be canceled and refunded
    "over_limit",  # more is used than the plan has, as after a downgrade
    "paused",
    "trial_ending",
    "canceling",  # it ends at `at`
    "changing",  # it has another plan or quantity from `at` on
    "price_unmapped",  # the operator has to add the price to a plan
]
Severity = Literal["error", "warning", "info"]
UsageLevel = Literal["ok", "warn", "full", "over"]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True)


class Price(_Shape):
    """An item of a subscription."""

    price_id: str | None = Field(examples=["price_team"])
    product_id: str | None
    quantity: int | None = Field(examples=[3])
    unit_amount: Amount
    currency: str | None = Field(examples=["eur"])
    interval: str | None = Field(examples=["month"])
    interval_count: int | None = Field(default=None, examples=[1])
    name: str | None = Field(default=None, examples=["Team"], description="The plan or add-on that it buys")
    text: str = Field(
        default="", examples=["Team, 3 × 29.00 EUR a month"], description="Name, quantity and amount in words"
    )


class ScheduledItem(_Shape):
    price_id: str | None = Field(examples=["price_starter"])
    plan: str | None = Field(examples=["starter"], description="By the catalogue; null for an add-on's price")
    addon: str | None
    quantity: int | None = Field(examples=[1])


class ScheduledChange(_Shape):
    """A change that a subscription schedule makes at the period's end. Resuming takes it back."""

    at: Time = Field(examples=[FEBRUARY])
    plan: str | None = Field(examples=["starter"], description="The plan that it has then")
    items: list[ScheduledItem]


class SummarySubscription(_Shape):
    """A subscription that is not over. At most one of `renews_at` and `ends_at` is set."""

    subscription_id: str = Field(examples=["sub_XXX"])
    customer_id: str | None = Field(examples=["cus_XXX"])
    plan: str | None = Field(
        examples=["team"], description="By the catalogue; null for a price that it lacks"
    )
    plan_name: str | None = Field(default=None, examples=["Team"])
    status: str | None = Field(examples=["active"])
    access: AccessLevel
    trial_limits: bool = Field(default=False, description="On trial, with the limits of the plan's trial")
    prices: list[Price]
    renews_at: Time = Field(examples=[FEBRUARY])
    ends_at: Time
    trial_ends_at: Time
    scheduled_change: ScheduledChange | None = Field(default=None, description="null: nothing is planned")


class OpenInvoice(_Shape):
    invoice_id: str = Field(examples=["in_XXX"])
    subscription_id: str | None
    amount_remaining: Amount
    currency: str | None = Field(examples=["eur"])
    created: Time
    next_payment_attempt: Time
    attempted: bool = Field(description="False where it waits for its first attempt: nothing is wrong yet")
    action_required: bool = Field(description="The bank wants the customer to confirm the payment")
    pay_url: str | None = Field(description="Stripe's page to pay it; null where there is none")


class UsageBar(_Shape):
    """What is used of a counted feature. A limit of null is unlimited."""

    feature: str = Field(examples=["projects"])
    name: str = Field(default="", examples=["Projects"])
    text: str = Field(default="", examples=["8 of 10 projects"])
    used: int = Field(examples=[8])
    limit: int | None = Field(examples=[10])
    remaining: int | None = Field(examples=[2])
    granted: int = Field(
        default=0,
        examples=[0],
        description="What of the limit comes from grants: left, or drawn in the period",
    )
    share: float | None = Field(
        examples=[0.8], description="Of the limit, 0 to 1; null where it is unlimited"
    )
    level: UsageLevel
    soft: bool = Field(description="Going over is allowed")
    resets_at: Time


class Included(_Shape):
    """A boolean or static feature."""

    feature: str = Field(examples=["sso"])
    name: str = Field(default="", examples=["Single sign-on"])
    text: str = Field(default="", examples=["included"])
    value: Value = Field(examples=[True])


class FeatureChange(_Shape):
    """A limit now and after a change of plan; null is unlimited, 0 is none."""

    feature: str = Field(examples=["projects"])
    name: str = Field(default="", examples=["Projects"])
    text_now: str = Field(default="", examples=["3 projects"])
    text_then: str = Field(default="", examples=["10 projects"])
    limit_now: int | None = Field(examples=[3])
    limit_then: int | None = Field(examples=[10])
    over: int = Field(examples=[0], description="By how much what is used would be over")
    text_over: str = Field(default="", examples=["8 projects"])


class Choice(_Shape):
    """A plan of the catalogue that can be bought."""

    plan: str = Field(examples=["team"])
    name: str = Field(default="", examples=["Team"])
    description: str | None = None
    trial_days: int | None = Field(default=None, description="The trial that checkout offers")
    once: bool = Field(
        default=False, description="It is bought once, by a one-time session, and not subscribed to"
    )
    offers: list[SoldPrice] = Field(
        default=[], description="What it is sold at: of each interval and currency the first price"
    )
    prices: list[str] = Field(
        examples=[["price_team", "price_team_yearly"]],
        description="Those that the plans file lists by id; a plan is bought and changed to by its name, too",
    )
    upgrade: bool = Field(description="Nothing gets less, and something more")
    fits: bool = Field(description="What is used would be within its limits")
    changes: list[FeatureChange] = Field(description="Only what differs")


class Banner(_Shape):
    """Something to tell the user, the most urgent first."""

    kind: BannerKind
    severity: Severity
    message: str = Field(examples=["Your last payment failed. Pay the open invoice to keep your plan."])
    at: Time = Field(examples=[JANUARY])
    features: list[str]
    act: Act | None = Field(
        description="What the user can do: pay at `pay_url`, or open the billing portal, or resume"
    )
    pay_url: str | None


class Summary(_Shape):
    """What a billing page shows of a user, as of one moment."""

    user_id: str = Field(examples=["user_42"])
    as_of: Time = Field(examples=[JANUARY])
    plan: str | None = Field(examples=["team"], description="The plan in force")
    plan_name: str | None = Field(default=None, examples=["Team"])
    restorable_plan_name: str | None = None
    restorable_plan: str | None = Field(description="The plan that paying or resuming would bring back")
    status: str | None = Field(examples=["active"])
    access: AccessLevel
    subscriptions: list[SummarySubscription] = Field(
        description="Those that are not over, the main one first"
    )
    open_invoices: list[OpenInvoice] = Field(description="The oldest first")
    usage: list[UsageBar]
    included: list[Included]
    choices: list[Choice]
    banners: list[Banner]
