"""What goes into and out of `/internal/checkout-sessions`."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ..billing.checkout_order import (
    MAX_ITEMS,
    MAX_METADATA,
    MAX_TRIAL_DAYS,
    Order,
    OrderItem,
    TrialWithoutCard,
    UiMode,
)
from ..entitlements.state import EntitlementsOut
from .schemas import JANUARY, Id, SubscriptionOut, Time

Address = Annotated[str, Field(description="On one of ALLOWED_RETURN_ORIGINS")]
MAX_QUANTITY = 999_999
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$")]
Locale = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,4}(-[A-Za-z0-9]{2,4})?$")]
MAX_PARAMS = 40


class ItemIn(BaseModel):
    """One line of an order: a plan or an add-on by its name, or one of their prices."""

    model_config = ConfigDict(extra="forbid", strict=True)

    plan: Id | None = None
    addon: Id | None = None
    price_id: Id | None = None
    quantity: Quantity | None = Field(default=1, description="null for a metered price")


class CheckoutIn(BaseModel):
    """What a user is to buy. Stripe puts the session's id in the place of `{CHECKOUT_SESSION_ID}`."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {
                "user_id": "user_42",
                "plan": "team",
                "quantity": 3,
                "success_url": "https://app.example.com/welcome?session={CHECKOUT_SESSION_ID}",
                "cancel_url": "https://app.example.com/plans",
                "key": "order-7",
            }
        },
    )

    user_id: Id
    plan: Id | None = Field(default=None, description="Its first price is sold")
    price_id: Id | None = None
    quantity: Quantity | None = Field(default=1, description="null for a metered price")
    items: Annotated[list[ItemIn], Field(max_length=MAX_ITEMS)] = Field(
        default=[], description="Instead of plan, price_id and quantity: a plan and what is sold beside it"
    )
    interval: Id | None = Field(
        default=None, description="Of a plan by its name: `month`, `year`, `3 months`", examples=["year"]
    )
    currency: Currency | None = Field(default=None, examples=["eur"])
    success_url: Address | None = Field(default=None, description="Needed for a hosted page")
    cancel_url: Address | None = None
    ui_mode: UiMode = "hosted"
    return_url: Address | None = Field(default=None, description="Of an embedded page")
    trial_days: Annotated[int, Field(ge=0, le=MAX_TRIAL_DAYS)] | None = Field(
        default=None, description="Once for each user; 0: no trial"
    )
    trial_without_card: TrialWithoutCard | None = Field(
        default=None, description="No card is asked for, and so the trial ends without one"
    )
    email: Id | None = None
    allow_promotion_codes: bool = Field(default=False, description="The buyer may type one")
    promotion_code: Id | None = Field(default=None, description="Its id, or what a buyer would type")
    coupon: Id | None = None
    automatic_tax: bool = False
    tax_id_collection: bool = False
    billing_address_collection: Literal["auto", "required"] | None = None
    locale: Locale | None = Field(default=None, examples=["de"])
    metadata: Annotated[dict[str, str], Field(max_length=MAX_METADATA)] = Field(
        default={}, description="Of the session and of the subscription"
    )
    stripe_params: Annotated[dict[str, Any], Field(max_length=MAX_PARAMS)] = Field(
        default={},
        description="Other parameters of Stripe's, which override none of these",
        json_schema_extra={"additionalProperties": {"description": "As Stripe nests it"}},
    )
    key: Id | None = Field(
        default=None, description="The same request with it is the same session, for a day"
    )
    allow_second: bool = Field(default=False, description="Also for a user who subscribes already")
    confirm: bool = Field(default=False, description="Also where the usage does not fit")

    @model_validator(mode="after")
    def sells_something(self) -> Self:
        if not self.items and (self.plan is None) == (self.price_id is None):
            raise ValueError("give either a plan or a price_id, or items")
        return self

    def order(self, key: str | None) -> Order:
        """What the service is asked for. `key`: the one of the body, or of the header."""
        items = tuple(OrderItem(**item.model_dump()) for item in self.items)
        return Order(**self.model_dump(exclude={"items", "key"}), items=items, key=key)


class CheckoutOut(BaseModel):
    session_id: str = Field(examples=["cs_test_XXX"])
    url: str | None = Field(
        examples=["https://checkout.stripe.com/c/pay/cs_test_XXX"], description="null for an embedded page"
    )
    customer_id: str = Field(examples=["cus_XXX"])
    expires_at: Time = Field(examples=[JANUARY])
    client_secret: str | None = Field(description="Of an embedded page, for Stripe.js")
    trial_days: int | None = Field(description="null: without a trial")


class SyncIn(BaseModel):
    """Whose session it must be: a session of somebody else is then not found."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"example": {"user_id": "user_42"}}
    )

    user_id: Id | None = None


class SyncOut(BaseModel):
    """What became of a session. `applied`: it is paid, and what was bought holds."""

    session_id: str = Field(examples=["cs_test_XXX"])
    status: str | None = Field(examples=["complete"])
    payment_status: str | None = Field(examples=["paid"])
    applied: bool
    user_id: str | None = Field(examples=["user_42"])
    subscription: SubscriptionOut | None
    entitlements: EntitlementsOut | None = Field(description="null while no user is linked")
