"""`GET /billing`: a billing page, rendered on the server from the user's summary, and what its buttons do.

Each button posts a form; the answer leads on (303) to Stripe's page or back here: a reload repeats nothing.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.filters import do_filesizeformat

from app.billing import checkout, portal, subscription_changes
from app.billing.price_choice import OfferedPrice, offered_price, offered_prices
from app.billing.summary import Summary, SummarySubscription, read_summary
from app.errors import Conflict, NotFound, ServiceError
from app.formatting import shown_amount
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
    confirm: Annotated[bool, Form()] = False,
) -> Response:
    return await lead_on(request, service, user, checkout_url(service, user, plan, interval, confirm=confirm))


@pressed.post(f"{HOME}/portal")
async def open_portal(request: Request, user: User, service: Running) -> Response:
    return await lead_on(request, service, user, portal_url(service, user))


@pressed.post(f"{HOME}/subscription")
async def change(
    request: Request,
    user: User,
    service: Running,
    subscription_id: Text,
    action: Annotated[Literal["change", "cancel", "resume"], Form()],
    plan: Text = "",
    interval: Text = "",
    confirm: Annotated[bool, Form()] = False,
) -> Response:
    wanted = changed(service, user, action, subscription_id, plan, interval, confirm=confirm)
    return await lead_on(request, service, user, wanted)


router.include_router(pressed)


async def checkout_url(service: Service, user: str, plan: str, interval: str, *, confirm: bool) -> str:
    price_id = await offered_price(service, plan, interval)  # anybody can write any plan into a form
    home = origin(service) + HOME
    back = f"{home}/return?session={{CHECKOUT_SESSION_ID}}"
    order = checkout.Order(user, price_id=price_id, success_url=back, cancel_url=home, confirm=confirm)
    try:
        session = await checkout.create_checkout_session(service, order, actor=f"user:{user}")
        return session.url or home  # an embedded page has none
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


async def changed(
    service: Service,
    user: str,
    action: str,
    subscription_id: str,
    plan: str,
    interval: str,
    *,
    confirm: bool,
) -> str:
    summary = await read_summary(service, user)
    # Anybody can write any id into a form.
    own = next((each for each in summary.subscriptions if each.subscription_id == subscription_id), None)
    if own is None:
        raise NotFound("You have no such subscription.")
    actor = f"user:{user}"
    if action == "change":
        price_id = await offered_price(service, plan, interval, currency_of(own))
        await subscription_changes.change_subscription(
            service, subscription_id, actor=actor, price_id=price_id, confirm=confirm
        )
    elif action == "cancel":
        await subscription_changes.cancel_subscription(service, subscription_id, actor=actor, confirm=confirm)
    else:
        await subscription_changes.resume_subscription(service, subscription_id, actor=actor)
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
    service: Service, user: str, error: ServiceError | None = None, again: dict[str, Any] | None = None
) -> HTMLResponse:
    summary = await read_summary(service, user)
    html = render(
        summary,
        token=token_of(service, user),
        offers=await offers_of(service, summary),
        missing=missing(service),
        error=error,
        again=again,
    )
    return HTMLResponse(html, error.status if error else 200, headers(service))


async def offers_of(service: Service, summary: Summary) -> dict[str, list[OfferedPrice]]:
    """At what each plan is offered, as Stripe says now: keep that for some minutes where many look."""
    own = own_of(summary)
    currency = currency_of(own) if own else None
    plans = [choice.plan for choice in summary.choices]
    found = await asyncio.gather(
        *(offered_prices(service, plan, currency) for plan in plans), return_exceptions=True
    )
    offers: dict[str, list[OfferedPrice]] = {}
    for plan, prices in zip(plans, found, strict=True):
        if isinstance(prices, BaseException) and not isinstance(prices, ServiceError):
            raise prices
        # Without an answer nothing is offered: nobody buys at a price that was not shown.
        offers[plan] = [] if isinstance(prices, BaseException) else prices
    return offers


def own_of(summary: Summary) -> SummarySubscription | None:
    """The subscription that the page's buttons change."""
    return next((each for each in summary.subscriptions if each.plan), None)


def currency_of(subscription: SummarySubscription) -> str | None:
    """What it is paid in: a subscription keeps its currency."""
    return next((price.currency for price in subscription.prices if price.currency), None)


def render(
    summary: Summary,
    *,
    token: str = "",
    offers: Mapping[str, Sequence[OfferedPrice]] = MappingProxyType({}),
    missing: tuple[str, ...] = (),
    error: ServiceError | None = None,
    again: dict[str, Any] | None = None,
) -> str:
    return templates.get_template("billing.html").render(
        summary=summary,
        own=own_of(summary),
        token=token,
        offers=offers,
        paused=any(banner.kind == "paused" for banner in summary.banners),
        switches={each.feature for each in summary.included if isinstance(each.value, bool)},
        missing=missing,
        error=error,
        again=again,
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
    """A key of the catalogue as a heading: `storage_bytes` as "Storage bytes"."""
    return key.replace("_", " ").capitalize()


def _number(number: int | None, feature: str) -> str:
    if number is None:
        return "unlimited"
    return do_filesizeformat(number, binary=True) if feature.endswith("_bytes") else f"{number:,}"


def _merged(fields: dict[str, str], **more: str) -> dict[str, str]:
    return fields | more


templates.filters |= {"date": _date, "words": _words, "number": _number, "merged": _merged}
templates.globals["amount"] = shown_amount
