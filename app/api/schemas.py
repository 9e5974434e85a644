"""What goes in and out of the internal API. Times are Unix seconds or null, amounts minor currency units."""

from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ..db.models import Customer, Invoice, Subscription, WebhookEvent
from ..entitlements import AccessLevel
from ..stripe.objects import MAX_ID_LENGTH, MAX_SECONDS, OBJECT_ID

T = TypeVar("T")


def _printable(value: str) -> str:
    if not value.isprintable() or not value.strip():
        raise ValueError("must be printable characters, and not blank")
    return value


Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_LENGTH), AfterValidator(_printable)]
StripeId = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_ID_LENGTH, pattern=f"^{OBJECT_ID.pattern}$")
]
Seconds = Annotated[int, Field(ge=0, le=MAX_SECONDS, description="Unix seconds")]
Amount = Annotated[int | None, Field(description="In the currency's minor unit")]
Time = Annotated[int | None, Field(description="Unix seconds")]
Status = Literal[
    "incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled", "unpaid", "paused"
]

JANUARY, FEBRUARY = 1_893_456_000, 1_896_134_400  # of 2030


class SubscriptionUpdate(BaseModel):
    """Sets plan, status and term of a subscription, until Stripe sends a newer snapshot."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "example": {
                "customer_id": "cus_XXX",
                "subscription_id": "sub_XXX",
                "plan_id": "price_XXX",
                "start_date": JANUARY,
                "expiry_date": FEBRUARY,
                "status": "active",
            }
        },
    )

    customer_id: StripeId
    subscription_id: StripeId
    plan_id: Id
    start_date: Seconds
    expiry_date: Seconds
    status: Status
    user_id: Id | None = None
    quantity: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    @model_validator(mode="after")
    def ends_after_it_starts(self) -> Self:
        if self.expiry_date < self.start_date:
            raise ValueError("expiry_date is before start_date")
        return self


class CustomerLink(BaseModel):
    """The user that a customer belongs to; null for none."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"example": {"user_id": "user_42"}}
    )

    user_id: Id | None


class ItemOut(BaseModel):
    price_id: str | None
    product_id: str | None
    quantity: int | None
    unit_amount: Amount
    currency: str | None
    interval: str | None


class SubscriptionOut(BaseModel):
    """A subscription as it stands."""

    subscription_id: str = Field(examples=["sub_XXX"])
    customer_id: str | None = Field(examples=["cus_XXX"])
    user_id: str | None = Field(examples=["user_42"], description="Its own user")
    link_source: str | None = Field(
        examples=["metadata"],
        description="Which claim names the user: internal, metadata, session; customer or checkout: the "
        "customer's user, the latter by a client_reference_id alone",
    )
    plan_id: str | None = Field(examples=["price_XXX"])
    quantity: int | None = Field(examples=[1])
    items: list[ItemOut]
    status: str | None = Field(examples=["active"], description="As Stripe spells it; null while unknown")
    access: AccessLevel
    start_date: Time = Field(examples=[JANUARY])
    expiry_date: Time = Field(examples=[FEBRUARY])
    paid_through: Time = Field(examples=[FEBRUARY])
    trial_end: Time
    cancel_at: Time
    cancel_at_period_end: bool
    canceled_at: Time
    ended_at: Time
    schedule_id: str | None = Field(description="The subscription schedule that manages it at Stripe")
    livemode: bool | None
    needs_refresh: bool = Field(description="The events alone do not determine the state")
    updated_at: Time = Field(examples=[JANUARY])

    @classmethod
    def of(
        cls, row: Subscription, customer: Customer | None, access: AccessLevel, own: Mapping[str, Any]
    ) -> Self:
        """`own`: the columns that today's main item gives in another way (`main_item_values`)."""
        shown = set(cls.model_fields)
        values = row.model_dump(include=shown) | {name: own[name] for name in shown & own.keys()}
        if row.links is None and customer is not None:  # an older release left the user to the customer
            values |= {"user_id": customer.user_id, "link_source": customer.link_source}
        return cls(**values, subscription_id=row.id, access=access)


class InvoiceOut(BaseModel):
    """An invoice as it stands."""

    invoice_id: str = Field(examples=["in_XXX"])
    subscription_id: str | None
    status: str | None = Field(examples=["open"])
    amount_due: Amount
    amount_paid: Amount
    amount_remaining: Amount
    currency: str | None = Field(examples=["eur"])
    attempt_count: int
    next_payment_attempt: Time
    hosted_invoice_url: str | None
    created: Time = Field(examples=[JANUARY])
    paid_at: Time

    @classmethod
    def of(cls, row: Invoice) -> Self:
        return cls(**row.model_dump(include=set(cls.model_fields)), invoice_id=row.id)


class CustomerSummary(BaseModel):
    customer_id: str = Field(examples=["cus_XXX"])
    user_id: str | None = Field(examples=["user_42"])
    email: str | None = Field(examples=["ada@example.com"])
    livemode: bool | None
    deleted: bool

    @classmethod
    def of(cls, row: Customer) -> Self:
        return cls(**row.model_dump(include=set(cls.model_fields)), customer_id=row.id)


class CustomerOut(CustomerSummary):
    """A customer with everything that belongs to it."""

    subscriptions: list[SubscriptionOut] = Field(description="Each with its own user")
    invoices: list[InvoiceOut]


class StayingSubscription(BaseModel):
    subscription_id: str = Field(examples=["sub_XXX"])
    user_id: str | None = Field(examples=["org_7"])


class LinkedCustomerOut(CustomerOut):
    """A customer that was linked."""

    stays: list[StayingSubscription] = Field(
        description="The subscriptions that name another user themselves, and stay with that one"
    )


class UserCustomer(BaseModel):
    customer_id: str = Field(examples=["cus_XXX"])
    email: str | None
    livemode: bool | None
    deleted: bool


class UserOut(BaseModel):
    """A user of the application, over all customers that are linked to it."""

    user_id: str = Field(examples=["user_42"])
    customers: list[UserCustomer]
    subscriptions: list[SubscriptionOut]
    invoices: list[InvoiceOut]


class EventOut(BaseModel):
    """An event in the inbox."""

    event_id: str = Field(examples=["evt_XXX"])
    type: str = Field(examples=["customer.subscription.updated"])
    object_id: str | None = Field(examples=["sub_XXX"])
    state: str = Field(examples=["processed"])
    source: str = Field(examples=["stripe"])
    attempts: int
    last_error: str | None
    created: Time = Field(examples=[JANUARY])
    received_at: Time = Field(examples=[JANUARY])
    processed_at: Time = Field(examples=[JANUARY])
    api_version: str | None
    livemode: bool | None
    account: str | None

    @classmethod
    def of(cls, row: Any) -> Self:
        return cls(event_id=row.id, **{name: getattr(row, name) for name in EVENT_COLUMNS})


EVENT_COLUMNS = tuple(name for name in EventOut.model_fields if name != "event_id")
assert set(EVENT_COLUMNS) <= set(WebhookEvent.model_fields)


class Page(BaseModel, Generic[T]):
    """One page of a list; `next_cursor` is null on the last one."""

    data: list[T]
    next_cursor: str | None
