"""`/internal/subscriptions/{subscription_id}/change`, `…/cancel`, `…/resume`: made at Stripe."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from ..billing import change_previews, subscription_changes
from ..billing.change_previews import ChangePreview
from ..billing.over_usage import shown_preview
from ..billing.summary import ScheduledChange, read_scheduled_change
from ..plans import When
from ..service import Running
from .auth import Actor, GuardedRoute
from .checkout_schemas import MAX_QUANTITY
from .limits import PreviewOut
from .responses import NOT_FOUND, OVER, PAYMENT_REQUIRED, STRIPE
from .schemas import FEBRUARY, JANUARY, Id, Seconds, SubscriptionOut, Time
from .subscriptions import stored_subscription

router = APIRouter(prefix="/subscriptions/{subscription_id}", route_class=GuardedRoute)

Confirm = Annotated[bool, Field(description="Do it, even if something would then be over its limit")]
Quantity = Annotated[int, Field(ge=0, le=MAX_QUANTITY)]
Money = Annotated[int, Field(description="In the currency's minor unit")]
Direction = Literal["upgrade", "downgrade", "none"]


class WantedIn(BaseModel):
    """Another plan (its price of the same interval and currency) or price, another interval, quantity or
    add-ons."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"example": {"plan": "team", "quantity": 5}}
    )

    plan: Id | None = None
    price_id: Id | None = None
    interval: Id | None = Field(default=None, description="month, year, 3 months", examples=["year"])
    quantity: Quantity | None = None
    addons: dict[Id, Quantity] = Field(
        default_factory=dict,
        max_length=20,
        description="The quantity of each add-on by its id in the plans file; 0 takes it away",
    )
    when: When | None = Field(
        default=None,
        description="now, or period_end; null: as [changes] of the plans file says, an upgrade at once and a "
        "downgrade at the period's end",
    )
    proration_date: Seconds | None = Field(
        default=None, description="Of the preview: then the amount is the same"
    )


class ChangeIn(WantedIn):
    """What is to change."""

    confirm: Confirm = False


class ChangeOut(SubscriptionOut):
    """The subscription after the change, and when the change holds."""

    outcome: Literal["changed", "scheduled", "unchanged"]
    direction: Direction
    scheduled_change: ScheduledChange | None = Field(description="What is planned for the period's end")


class PreviewLineOut(BaseModel):
    description: str | None = Field(examples=["Remaining time on 5 × Team"])
    amount: Money = Field(examples=[1933])
    price_id: str | None
    quantity: int | None
    starts_at: Time
    ends_at: Time
    proration: bool


class ChangePreviewOut(BaseModel):
    """What a change would charge, by Stripe."""

    direction: Direction
    when: When
    at: Time = Field(examples=[JANUARY], description="When the change would hold")
    plan: str | None = Field(examples=["team"])
    quantity: int | None
    currency: str | None = Field(examples=["eur"])
    amount_due: Money = Field(description="What Stripe would charge at charged_at")
    subtotal: Money
    total: Money
    charged_at: Time = Field(examples=[FEBRUARY])
    proration_date: Time = Field(description="Send it with the change, so that the amount is the same")
    lines: list[PreviewLineOut]
    over: dict[str, PreviewOut] = Field(
        description="What would be over its limit: the change then needs `confirm`"
    )


class CancelIn(BaseModel):
    """When it is to end."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"example": {"at_period_end": True}}
    )

    at_period_end: bool = Field(default=True, description="false: now; nothing is paid back")
    confirm: Confirm = False


@router.post("/change", responses=NOT_FOUND | OVER | PAYMENT_REQUIRED | STRIPE)
async def change_subscription(
    subscription_id: str, wanted: ChangeIn, service: Running, actor: Actor
) -> ChangeOut:
    """Change plan, price, interval, quantity or add-ons at Stripe: at once, or at the period's end.

    402 with `pay_url` where the payment did not go through: the subscription stays as it is until the invoice
    is paid. 409 with `over` lists what would exceed its limit, with `choices` the prices of a plan that has
    none of the same interval and currency.
    """
    changed = await subscription_changes.change_subscription(
        service, subscription_id, actor=actor, **wanted.model_dump()
    )
    stored = await stored_subscription(service, subscription_id)
    planned = await read_scheduled_change(service, subscription_id)
    return ChangeOut(
        **stored.model_dump(),
        outcome=changed.outcome,
        direction=changed.direction,
        scheduled_change=planned,
    )


@router.post("/change/preview", responses=NOT_FOUND | OVER | STRIPE)
async def preview_change(subscription_id: str, wanted: WantedIn, service: Running) -> ChangePreviewOut:
    """What the same change would charge, and when. Nothing is changed."""
    preview = await change_previews.preview_change(service, subscription_id, **wanted.model_dump())
    return ChangePreviewOut(**_shown(preview))


def _shown(preview: ChangePreview) -> dict[str, Any]:
    names = [name for name in ChangePreviewOut.model_fields if name not in ("lines", "over")]
    lines = [{name: getattr(line, name) for name in PreviewLineOut.model_fields} for line in preview.lines]
    over = {key: shown_preview(each) for key, each in preview.over.items()}
    return {name: getattr(preview, name) for name in names} | {"lines": lines, "over": over}


@router.post("/cancel", responses=NOT_FOUND | OVER | STRIPE)
async def cancel_subscription(
    subscription_id: str, service: Running, actor: Actor, wanted: CancelIn | None = None
) -> SubscriptionOut:
    """End it with its period, or now; what was planned is dropped. 409 with `over` lists what would exceed
    the limits that remain."""
    chosen = wanted or CancelIn()
    await subscription_changes.cancel_subscription(
        service, subscription_id, actor=actor, **chosen.model_dump()
    )
    return await stored_subscription(service, subscription_id)


@router.post("/resume", responses=NOT_FOUND | OVER | STRIPE)
async def resume_subscription(subscription_id: str, service: Running, actor: Actor) -> SubscriptionOut:
    """Take back a planned end, a planned change, and a pause of collection."""
    await subscription_changes.resume_subscription(service, subscription_id, actor=actor)
    return await stored_subscription(service, subscription_id)
