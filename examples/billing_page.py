"""`GET /billing`: a billing page, rendered on the server from the user's summary, and what its buttons do.

Each button posts a form; the answer leads on (303) to Stripe's page or back here: a reload repeats nothing.
"""

import hmac
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.billing import checkout, portal, subscription_changes
from app.billing.change_previews import ChangePreview, preview_change
from app.billing.pricing import SoldPrice
from app.billing.summary import Choice, Summary, SummarySubscription, read_summary
from app.errors import Conflict, NotFound, ServiceError
from app.formatting import shown_amount
from app.plans import Feature
from app.plans.shown import shown_number
from app.service import Running, Service

from .projects import User

HOME = "/billing"
DAY = 86_400

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def token_of(service: Service, user: str, day: int | None = None) -> str:
    """What the forms of a user's page carry for a day, and no other site can know: the proof that they were
    sent from there. Whatever the browser says of a form's origin is not needed."""
    day = int(service.clock()) // DAY if day is None else day
    secret = service.settings.signing_secrets[0].encode()
    return hmac.new(secret, f"billing-page:{day}:{user}".encode(), "sha256").hexdigest()


def from_our_own_page(user: User, service: Running, token: Annotated[str, Form()] = "") -> None:
    """Another site must not press a button here."""
    today = int(service.clock()) // DAY
    known = [token_of(service, user, day) for day in (today, today - 1)]
    if not any(hmac.compare_digest(token.encode(), each.encode()) for each in known):
        raise HTTPException(403, "This form was not sent from the billing page. Load the page again.")


router = APIRouter()
pressed = APIRouter(dependencies=[Depends(from_our_own_page)])
Text = Annotated[str, Form()]


@router.get(HOME, response_class=HTMLResponse)
async def billing(user: User, service: Running) -> HTMLResponse:
    return await page(service, user)


@router.get(f"{HOME}/return")
async def return_from_checkout(request: Request, user: User, service: Running, session: str) -> Response:
    """Ask Stripe at once: the webhook may still be on its way."""
    return await lead_on(request, service, user, sync(service, user, session))


@pressed.post(f"{HOME}/checkout")
async def subscribe(
    request: Request,
    user: User,
    service: Running,
    plan: Text,
    interval: Text = "",
    currency: Text = "",
    promotion_code: Text = "",
    confirm: Annotated[bool, Form()] = False,
) -> Response:
    home = origin(service) + HOME
    order = checkout.Order(
        user,
        plan=plan,  # never a price: anybody can write anything into a form
        interval=interval or None,
        currency=currency or None,
        promotion_code=promotion_code.strip() or None,
        success_url=f"{home}/return?session={{CHECKOUT_SESSION_ID}}",
        cancel_url=home,
        confirm=confirm,
    )
    return await lead_on(request, service, user, checkout_url(service, order))


@pressed.post(f"{HOME}/portal")
async def open_portal(request: Request, user: User, service: Running) -> Response:
    return await lead_on(request, service, user, portal_url(service, user))


@pressed.post(f"{HOME}/preview")
async def ask(
    request: Request, user: User, service: Running, subscription_id: Text, plan: Text, interval: Text = ""
) -> Response:
    """What the change would cost, with the button that makes it."""
    try:
        await check_own(service, user, subscription_id)
        preview = await preview_change(service, subscription_id, plan=plan, interval=interval or None)
    except ServiceError as error:
        return await page(service, user, error)
    fields = {"action": "change", "subscription_id": subscription_id, "plan": plan, "interval": interval}
    if preview.proration_date is not None:
        fields["proration_date"] = str(preview.proration_date)
    return await page(service, user, preview=preview, again=fields | {"confirm": "true"})


@pressed.post(f"{HOME}/subscription")
async def change(
    request: Request,
    user: User,
    service: Running,
    subscription_id: Text,
    action: Annotated[Literal["change", "cancel", "resume"], Form()],
    plan: Text = "",
    interval: Text = "",
    proration_date: Annotated[int | None, Form()] = None,
    confirm: Annotated[bool, Form()] = False,
) -> Response:
    wanted = Wanted(subscription_id, action, plan, interval, proration_date, confirm)
    return await lead_on(request, service, user, changed(service, user, wanted))


router.include_router(pressed)


class Wanted(NamedTuple):
    """What a button of a subscription asks for."""

    subscription_id: str
    action: Literal["change", "cancel", "resume"]
    plan: str
    interval: str
    proration_date: int | None
    confirm: bool


async def checkout_url(service: Service, order: checkout.Order) -> str:
    try:
        session = await checkout.create_checkout_session(service, order, actor=f"user:{order.user_id}")
        return session.url or HOME  # an embedded page has none
    except Conflict as error:
        if url := error.facts.get("portal_url"):  # whoever subscribes already changes that one
            return str(url)
        raise


async def portal_url(service: Service, user: str) -> str:
    return (await portal.create_portal_session(service, user, origin(service) + HOME)).url


async def sync(service: Service, user: str, session_id: str) -> str:
    if not (await checkout.sync_checkout_session(service, session_id, user_id=user)).applied:
        raise Conflict("Your payment is not confirmed yet. Your plan changes here as soon as it is.")
    return HOME


async def check_own(service: Service, user: str, subscription_id: str) -> None:
    """Anybody can write any id into a form."""
    summary = await read_summary(service, user)
    if all(each.subscription_id != subscription_id for each in summary.subscriptions):
        raise NotFound("You have no such subscription.")


async def changed(service: Service, user: str, wanted: Wanted) -> str:
    await check_own(service, user, wanted.subscription_id)
    id, actor = wanted.subscription_id, f"user:{user}"
    if wanted.action == "change":
        await subscription_changes.change_subscription(
            service,
            id,
            actor=actor,
            plan=wanted.plan,
            interval=wanted.interval or None,
            proration_date=wanted.proration_date,
            confirm=wanted.confirm,
        )
    elif wanted.action == "cancel":
        await subscription_changes.cancel_subscription(service, id, actor=actor, confirm=wanted.confirm)
    else:  # takes a planned end back, and a planned change
        await subscription_changes.resume_subscription(service, id, actor=actor)
    return HOME


async def lead_on(request: Request, service: Service, user: str, address: Awaitable[str]) -> Response:
    """Go where it leads; else the page with what is in the way, and with "all the same" where that helps."""
    try:
        return RedirectResponse(await address, 303)
    except ServiceError as error:
        form = {name: value for name, value in (await request.form()).items() if name != "token"}
        again = form if "over" in error.facts else None
        return await page(service, user, error, again)


async def page(
    service: Service,
    user: str,
    error: ServiceError | None = None,
    again: dict[str, Any] | None = None,
    preview: ChangePreview | None = None,
) -> HTMLResponse:
    summary = await read_summary(service, user)
    html = render(
        summary,
        token=token_of(service, user),
        missing=missing(service),
        error=error,
        again=again,
        preview=preview,
        features=service.limits.catalogue.features,
    )
    return HTMLResponse(html, error.status if error else 200, headers(service))


def own_of(summary: Summary) -> SummarySubscription | None:
    """The subscription that the page's buttons change."""
    return next((each for each in summary.subscriptions if each.plan), None)


def offers_of(summary: Summary, choice: Choice) -> list[SoldPrice]:
    """At what the plan is offered: a subscription keeps its currency."""
    own = own_of(summary)
    currency = next((price.currency for price in own.prices if price.currency), None) if own else None
    return [offer for offer in choice.offers if currency in (None, offer.currency)]


def render(
    summary: Summary,
    *,
    token: str = "",
    missing: tuple[str, ...] = (),
    error: ServiceError | None = None,
    again: dict[str, Any] | None = None,
    preview: ChangePreview | None = None,
    features: Mapping[str, Feature] = MappingProxyType({}),
) -> str:
    names = {choice.plan: choice.name for choice in summary.choices} | {summary.plan: summary.plan_name}
    return templates.get_template("billing.html").render(
        summary=summary,
        own=own_of(summary),
        token=token,
        offers={choice.plan: offers_of(summary, choice) for choice in summary.choices},
        names=names,
        features=features,
        paused=any(banner.kind == "paused" for banner in summary.banners),
        missing=missing,
        error=error,
        again=again,
        preview=preview,
    )


def missing(service: Service) -> tuple[str, ...]:
    """The settings without which no button works."""
    needed = {"STRIPE_API_KEY": service.stripe, "ALLOWED_RETURN_ORIGINS": origin(service)}
    return tuple(name for name, value in needed.items() if not value)


def origin(service: Service) -> str:
    """Where this page is, as the setting says it: the header Host is whatever a visitor writes."""
    return next(iter(service.settings.allowed_return_origins), "")


def headers(service: Service) -> dict[str, str]:
    # A browser follows a form's redirect only to what `form-action` names; the simulator is not at https.
    stripe = service.settings.stripe_api_base or ""
    return {
        # Text is escaped; should that ever be forgotten, no script runs on the page all the same.
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'unsafe-inline'; form-action 'self' https: {stripe}; "
            "base-uri 'none'; frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %B %Y")


def _words(key: str) -> str:
    """A word of Stripe's as the beginning of a sentence: `past_due` as "Past due"."""
    return key.replace("_", " ").capitalize()


def _merged(fields: dict[str, str], **more: str) -> dict[str, str]:
    return fields | more


templates.filters |= {"date": _date, "words": _words, "merged": _merged}
templates.globals |= {"amount": shown_amount, "number": shown_number}
