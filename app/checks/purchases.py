"""The check of what was bought by a payment link that does not say what it sells."""

from sqlmodel import col, select

from ..db.models import Purchase
from ..limits.grants import purchases_of
from .finding import MOST, Check, Context, Finding, Scope, counted, named


async def purchases_are_known(context: Context, scope: Scope | None) -> list[Finding]:
    assert context.catalogue is not None
    if not any(context.catalogue.offers_once()):
        return []
    query = select(Purchase.session_id).where(
        col(Purchase.session_id).is_not(None),
        col(Purchase.paid_at).is_not(None),
        col(Purchase.offer).is_(None),
        col(Purchase.gives).is_(None),
    )
    if scope is not None:
        if scope.user_id is None:
            return []
        query = query.where(purchases_of(scope.user_id))
    async with context.database.reading() as session:
        ids = [str(id) for id in await session.exec(query.order_by(col(Purchase.session_id)).limit(MOST))]
    if not ids:
        return []
    return [
        Finding(
            "error",
            f"{counted(len(ids), 'payment')} by a payment link granted nothing, since the link does not say "
            f"what it sells: {named(ids)}.",
            "POST /internal/one-time-sessions/{session_id}/sync looks up the price and grants what the plans "
            "file sells by it. For later payments add the metadata `grant` to the payment link in Stripe's "
            "Dashboard, such as credits.top_up_100, or none if it sells something else.",
            "A payment granted nothing" if len(ids) == 1 else "Payments granted nothing",
            ids,
        )
    ]


CHECKS = (
    Check(
        "purchases",
        "What was bought by a payment link is known.",
        purchases_are_known,
        of_account=True,
        slow=True,
    ),
)
