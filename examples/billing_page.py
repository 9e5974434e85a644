"""`GET /billing`: a billing page, rendered on the server from the user's summary, and what its buttons do.

Each button posts a form; the answer leads on (303) to Stripe's page or back here: a reload repeats nothing.
"""

from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Header, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.filters import do_filesizeformat

from app.billing import checkout, portal, subscription_changes
from app.billing.summary import Summary, read_summary
from app.errors import Conflict, NotFound, ServiceError
from app.formatting import shown_amount
from app.service import Running, Service

from .projects import User

HOME = "/billing"

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def from_our_own_page(sec_fetch_site: Annotated[str, Header()] = "same-origin") -> None:
    """Browsers say where a form stands: another site's must not press a button here."""
    if sec_fetch_site != "same-origin":
        raise HTTPException(403, "This form was not sent from the billing page.")


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
async def subscribe(request: Request, user: User, service: Running, price_id: Text) -> Response:
    return await lead_on(request, service, user, checkout_url(service, user, price_id))


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
    price_id: Annotated[str | None, Form()] = None,
    confirm: Annotated[bool, Form()] = False,
) -> Response:
    wanted = changed(service, user, action, subscription_id, price_id, confirm=confirm)
    return await lead_on(request, service, user, wanted)


router.include_router(pressed)


async def checkout_url(service: Service, user: str, price_id: str) -> str:
    home = origin(service) + HOME
    back = f"{home}/return?session={{CHECKOUT_SESSION_ID}}"
    order = checkout.Order(user, price_id=price_id, success_url=back, cancel_url=home)
    try:
        return (await checkout.create_checkout_session(service, order, actor=f"user:{user}")).url
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
    service: Service, user: str, action: str, subscription_id: str, price_id: str | None, *, confirm: bool
) -> str:
    # Anybody can write any id into a form.
    if subscription_id not in {
        each.subscription_id for each in (await read_summary(service, user)).subscriptions
    }:
        raise NotFound("You have no such subscription.")
    actor = f"user:{user}"
    if action == "change":
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
        again = dict(await request.form()) if "over" in error.facts else None
        return await page(service, user, error, again)


async def page(
    service: Service, user: str, error: ServiceError | None = None, again: dict[str, Any] | None = None
) -> HTMLResponse:
    html = render(await read_summary(service, user), missing=missing(service), error=error, again=again)
    return HTMLResponse(html, error.status if error else 200, headers(service))


def render(
    summary: Summary,
    *,
    missing: tuple[str, ...] = (),
    error: ServiceError | None = None,
    again: dict[str, Any] | None = None,
) -> str:
    own = next((each for each in summary.subscriptions if each.plan), None)
    return templates.get_template("billing.html").render(
        summary=summary,
        own=own,
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
