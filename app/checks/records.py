"""Checks of the records: users with two subscriptions or with none, and records that wait to be fetched."""

from typing import Any

from sqlalchemy import ColumnElement, text
from sqlmodel import and_, case, col, func, or_, select

from ..db.manual import MANUAL_CUSTOMER, MANUAL_SUBSCRIPTION
from ..db.models import Customer, Subscription
from ..db.outdated import RULED_MODELS, is_outdated
from ..db.ownership import unlinked_customers
from ..entitlements import WEAK
from .finding import LIVE, MOST, Check, Context, Finding, Scope, counted, named
from .jobs import load_job

UNLINKED_SECONDS = 600
"""How long a live subscription may be nobody's: the link may come with an event that is under way."""

REAPPLY = "rules"
OUTDATED_SECONDS = 900
"""A running service looks for outdated rows every five minutes: after so long nothing reapplies them."""


async def users_have_one_subscription(context: Context, scope: Scope | None) -> list[Finding]:
    """What only a `client_reference_id` links, beside something of the user's own, may be a stranger's."""
    if scope is not None and scope.user_id is None:
        return []
    older = col(Subscription.links).is_(None)
    user_id = case((older, col(Customer.user_id)), else_=col(Subscription.user_id))
    source = case((older, col(Customer.link_source)), else_=col(Subscription.link_source))
    own = func.sum(case((source == WEAK, 0), else_=1))
    query = (
        select(user_id, func.count())
        .select_from(Subscription)
        .join(Customer, col(Subscription.customer_id) == col(Customer.id), isouter=True)
        .where(col(Subscription.status).in_(LIVE), user_id.is_not(None))
        .group_by(user_id)
        .having(or_(own > 1, and_(own == 0, func.count() > 1)))
        .order_by(user_id)
        .limit(MOST)
    )
    if scope is not None:
        query = query.where(user_id == scope.user_id, col(Subscription.id).in_(scope.subscriptions))
    async with context.database.reading() as session:
        rows = [(str(user), int(count)) for user, count in await session.exec(query)]
    if not rows:
        return []
    users = [user for user, _ in rows]
    return [
        Finding(
            "warning",
            f"{counted(len(users), 'user')} with more than one live subscription, each of which is paid: "
            f"{named(users)}.",
            "See GET /internal/users/{user_id}; cancel in Stripe's Dashboard what was bought twice.",
            f"{rows[0][1]} subscriptions at the same time",
            users,
        )
    ]


def unlinked(before: int | None = None) -> Any:
    """The ids of the customers with a live subscription that is nobody's.

    `before`: only subscriptions that had started by then, in Unix seconds.
    """
    pays: list[ColumnElement[bool]] = [col(Subscription.status).in_(LIVE)]
    if before is not None:
        pays.append(func.coalesce(col(Subscription.start_date), 0) <= before)
    found = unlinked_customers(*pays).subquery()
    return (
        select(found.c.customer_id)
        .join(Customer, col(Customer.id) == found.c.customer_id, isouter=True)
        .where(found.c.customer_id.is_not(None), col(Customer.deleted).is_not(True))
    )


async def payers_are_linked(context: Context, scope: Scope | None) -> list[Finding]:
    query = unlinked(context.now - UNLINKED_SECONDS)
    place = query.selected_columns[0]
    query = query.order_by(place).limit(MOST)
    if scope is not None:
        query = query.where(place.in_(scope.customers))
    async with context.database.reading() as session:
        customers = [str(customer_id) for customer_id in await session.exec(query)]
    if not customers:
        return []
    return [
        Finding(
            "error",
            f"{counted(len(customers), 'customer')} with a live subscription that is linked to no user: "
            f"{named(customers)}. They pay and get nothing.",
            'PUT /internal/customers/{customer_id} with {"user_id": "…"}; for those to come, set '
            f"metadata.{context.link_metadata_key} of the subscription, or client_reference_id in the "
            "checkout session.",
            "This customer is linked to no user" if len(customers) == 1 else "Customers of no user",
            customers,
        )
    ]


async def records_are_fetched(context: Context, scope: Scope | None) -> list[Finding]:
    ids: list[str] = []
    kinds: tuple[tuple[Any, str, Any], ...] = (
        (Subscription, MANUAL_SUBSCRIPTION, scope.subscriptions if scope else ()),
        (Customer, MANUAL_CUSTOMER, scope.customers if scope else ()),
    )
    async with context.database.reading() as session:
        for model, manual, own in kinds:
            marked = model.needs_refresh, text(f"NOT ({manual})")
            query = select(model.id).where(*marked).order_by(model.id).limit(MOST)
            ids += await session.exec(query if scope is None else query.where(model.id.in_(own)))
    if not ids:
        return []
    remedy = "The running service fetches them; start it, or see its log for why it cannot."
    if not context.has_stripe_key:
        remedy = "Set STRIPE_API_KEY, with which the service fetches them."
    cut = [] if context.has_stripe_key else await _cut_records(context, scope)
    return [
        *cut,
        Finding(
            "warning",
            f"{counted(len(ids), 'record')} whose events do not determine what is true now (needs_refresh): "
            f"{named(ids)}.",
            remedy,
            "The record is to be fetched again from Stripe"
            if len(ids) == 1
            else "Records are to be fetched again",
            ids,
        ),
    ]


async def _cut_records(context: Context, scope: Scope | None) -> list[Finding]:
    """Subscriptions of which Stripe sent a part: only a key gets the rest."""
    query = select(Subscription).where(col(Subscription.needs_refresh)).order_by(col(Subscription.id))
    if scope is not None:
        query = query.where(col(Subscription.id).in_(scope.subscriptions))
    async with context.database.reading() as session:
        rows = await session.exec(query.limit(MOST))
        ids = [row.id for row in rows if row.cut_invoices or (row.item_history or {}).get("cut")]
    if not ids:
        return []
    return [
        Finding(
            "error",
            f"{counted(len(ids), 'subscription')} of which Stripe sent the first ten items or invoice lines "
            f"alone: {named(ids)}. What is not known of them is left as it was.",
            "Set STRIPE_API_KEY, with which the service fetches the rest.",
            "A subscription is known in part",
            ids,
        )
    ]


async def rows_follow_the_rules(context: Context, scope: Scope | None) -> list[Finding]:
    """Rows that a process of another release wrote, until the backfill has reapplied them."""
    ids, stale = [], 0
    job = await load_job(context, REAPPLY)
    is_running = job is not None and job.lease_until > context.now
    async with context.database.reading() as session:
        for model in RULED_MODELS:
            query = select(model.id, model.updated_at).where(is_outdated(model)).order_by(col(model.id))
            for id, updated_at in await session.exec(query.limit(MOST)):
                ids.append(str(id))
                stale += not is_running and updated_at <= context.now - OUTDATED_SECONDS
    if not ids:
        return []
    ids = ids[:MOST]
    return [
        Finding(
            "warning" if stale else "hint",
            f"{counted(len(ids), 'row')} that a process of another release wrote: {named(ids)}. "
            "Until they are reapplied, the rules of that release answer for them.",
            "The running service reapplies them: start one of this release, or see its log for why it cannot."
            if stale
            else "Nothing: the running service reapplies them within minutes.",
            "Rows by the rules of another release",
            ids,
        )
    ]


CHECKS = (
    Check(
        "two-subscriptions",
        "No user has two live subscriptions.",
        users_have_one_subscription,
        of_account=True,
        slow=True,
    ),
    Check(
        "unlinked-customers",
        "Everybody who pays is linked to a user.",
        payers_are_linked,
        of_account=True,
        slow=True,
    ),
    Check("needs-refresh", "The events determine every record.", records_are_fetched, of_account=True),
    Check("outdated-rows", "Every row follows today's rules.", rows_follow_the_rules, slow=True),
)
