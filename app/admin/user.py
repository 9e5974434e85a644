"""The search box, and the page of a user: what they have and why, what is wrong, and the timeline."""

from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request
from starlette.responses import Response

from ..db.models import Subscription
from ..entitlements import Grant, JudgedSubscription
from ..errors import ServiceError
from ..limits import ClosedPeriod
from ..operations.accounts import Account, load_account
from ..operations.checks import check_account
from ..operations.moments import read_moment
from ..operations.past_limits import PastLimits, limits_at
from ..plans import Value
from . import search, timeline
from .actions import DONE
from .diagnosis import METERED, diagnose
from .formatting import number, size
from .page import Admin, not_found, parameter, see_other
from .stripe_links import dashboard_url
from .timeline import Place


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """A feature as a bar: how much of the limit is used, and why the limit is what it is."""

    key: str
    kind: str
    value: str
    used: int | None
    used_text: str
    share: float
    tone: str
    lines: tuple[str, ...]
    has_override: bool


CLOSED_PERIODS = 24
"""How many closed periods the page shows; the internal API lists all that are kept."""


@dataclass(frozen=True, slots=True)
class ClosedRow:
    """What was used of a consumable in a period that is over, in words."""

    feature: str
    period_start: int
    period_end: int
    used: str
    limit: str
    over: str


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant of the user's own, and what is left of it, in words."""

    id: str
    what: str
    source: str
    starts_at: int
    expires_at: int | None
    drawn: str
    left: str
    reason: str
    can_end: bool


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    record: Subscription
    judged: JudgedSubscription | None
    stripe: str | None


async def search_page(admin: Admin, request: Request) -> Response:
    """`/admin/search?q=…`."""
    words = parameter(request, "q")
    async with admin.service.database.reading() as session:
        found = await search.find(session, words)
    if len(found) == 1:
        return see_other(request, found[0].path)
    return admin.render(request, "search.html", words=words, found=found)


async def user_page(admin: Admin, request: Request) -> Response:
    """`/admin/user?id=…` and, for a customer without a user, `/admin/user?customer=cus_…`."""
    user_id, customer_id = parameter(request, "id"), parameter(request, "customer")
    if not (user_id or customer_id):
        raise not_found("Name a user or a customer: use the search box.")
    before = read_place(parameter(request, "before"))
    async with admin.service.database.reading() as session:
        account = await _load(admin, session, user_id, customer_id)
        if account.user_id is None and not account.customers:
            raise not_found("No customer with this id is known here.")
        if account.user_id is None and (owner := account.customers[0].user_id) is not None:
            return see_other(request, search.user_path(owner))
        entries, following = await timeline.read_page(session, account, before)
    owner_id = account.user_id
    past, past_problem = await _limits_at(admin, owner_id, parameter(request, "at"))
    history = await admin.service.limits.history(owner_id, count=CLOSED_PERIODS) if owner_id else []
    return admin.render(
        request,
        "user.html",
        account=account,
        findings=diagnose(account, await check_account(admin.service, account)),
        features=[feature_row(account, key) for key in account.entitlements.features],
        subscriptions=[subscription_row(account, each) for each in account.subscriptions],
        at=parameter(request, "at"),
        past=past,
        past_problem=past_problem,
        grants=[grant_row(each) for each in account.entitlements.grants],
        history=[closed_row(each) for each in history],
        entries=entries,
        following=None if following is None else f"{following[0]}.{following[1]}",
        first_page=before is None,
        done=DONE.get(parameter(request, "done")),
        stripe=dashboard_url,
    )


async def _limits_at(admin: Admin, user_id: str | None, at: str) -> tuple[PastLimits | None, str | None]:
    """What the user had at a moment that somebody typed; or why that cannot be said."""
    if user_id is None or not at:
        return None, None
    try:
        await admin.service.catalogues.store()
        return await limits_at(admin.service, user_id, read_moment(at)), None
    except ServiceError as error:
        return None, error.detail


async def _load(admin: Admin, session: AsyncSession, user_id: str, customer_id: str) -> Account:
    if user_id:
        return await load_account(admin.service, session, user_id=user_id)
    return await load_account(admin.service, session, customer_id=customer_id)


def read_place(text: str) -> Place | None:
    """Where a page of the timeline goes on: `<seconds>.<id>`."""
    seconds, mark, id = text.partition(".")
    return (
        (int(seconds), id) if mark and seconds.isascii() and seconds.isdigit() and len(seconds) < 13 else None
    )


def subscription_row(account: Account, record: Subscription) -> SubscriptionRow:
    return SubscriptionRow(record, account.judged(record.id), dashboard_url(record.id, record.livemode))


def closed_row(period: ClosedPeriod) -> ClosedRow:
    limit = (
        "unlimited or not known" if period.included is None else value_text(period.feature, period.included)
    )
    used, over = (value_text(period.feature, each) for each in (period.used, period.over))
    return ClosedRow(
        period.feature, period.period_start, period.period_end, used, limit, over if period.over else "–"
    )


def grant_row(grant: Grant) -> GrantRow:
    came = f"bought ({grant.offer})" if grant.source == "purchase" else f"by {grant.actor or grant.source}"
    can_end = grant.source != "purchase" and grant.in_force
    if grant.feature is None:
        what, drawn, left = f"plan {grant.plan}", "–", "–"
    else:
        what = f"{value_text(grant.feature, grant.amount)} of {grant.feature}"
        drawn, left = (value_text(grant.feature, each) for each in (grant.drawn.taken, grant.left))
    if grant.clawed_back and grant.feature is not None:
        what += f", {value_text(grant.feature, grant.clawed_back)} clawed back"
    return GrantRow(
        grant.id, what, came, grant.starts_at, grant.expires_at, drawn, left, grant.reason or "–", can_end
    )


def feature_row(account: Account, key: str) -> FeatureRow:
    entitlements = account.entitlements
    feature = entitlements.feature(key)
    metered = feature.kind in METERED
    used = (entitlements.usage or {}).get(key, 0) if metered else None
    share = 0.0 if not used else 100.0 if not feature.limit else min(100.0, 100 * used / feature.limit)
    if feature.limit is None:
        share = 0.0
    full = metered and feature.limit is not None and (used or 0) >= feature.limit and bool(used)
    tone = "bad" if full and not feature.soft else "warn" if share >= 80 else "good"
    value = value_text(key, feature.value)
    own = any(each.feature == key for each in account.overrides)
    return FeatureRow(
        key,
        feature.kind,
        value,
        used,
        value_text(key, used or 0),
        share,
        tone,
        entitlements.explain(key).lines,
        own,
    )


def value_text(key: str, value: Value) -> str:
    """A value for people. A key that ends with `bytes` says that it is a size."""
    if isinstance(value, bool):
        return "included" if value else "not included"
    if isinstance(value, int) and key.endswith("bytes"):
        return size(value)
    return value if isinstance(value, str) else number(value)
