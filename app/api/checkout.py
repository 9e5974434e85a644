"""`/internal/checkout-sessions`: buying, and coming back from it."""

from fastapi import APIRouter

from ..billing import checkout
from ..entitlements.state import entitlements_out
from ..service import Running, Service
from . import queries
from .auth import Actor, GuardedRoute
from .checkout_schemas import CheckoutIn, CheckoutOut, SyncIn, SyncOut
from .idempotency import HeaderKey, one_key
from .responses import NOT_FOUND, STRIPE, SUBSCRIBED
from .schemas import SubscriptionOut

router = APIRouter(prefix="/checkout-sessions", route_class=GuardedRoute)


@router.post("", responses=NOT_FOUND | SUBSCRIBED | STRIPE)
async def create_checkout_session(
    wanted: CheckoutIn, service: Running, actor: Actor, header_key: HeaderKey
) -> CheckoutOut:
    """Open a checkout session: send the user to its `url`, or give its `client_secret` to Stripe.js.

    409 for a user who subscribes already, with `portal_url`; for a second trial, with `reason`; and where the
    usage does not fit, with `over`.
    """
    order = wanted.order(one_key(wanted.key, header_key))
    session = await checkout.create_checkout_session(service, order, actor=actor)
    return CheckoutOut(
        session_id=session.id,
        url=session.url,
        customer_id=session.customer_id,
        expires_at=session.expires_at,
        client_secret=session.client_secret,
        trial_days=session.trial_days,
    )


@router.post("/{session_id}/sync", responses=NOT_FOUND | STRIPE)
async def sync_checkout_session(session_id: str, service: Running, wanted: SyncIn | None = None) -> SyncOut:
    """Ask Stripe what became of a session, and apply it at once, before its webhook comes."""
    expected = wanted.user_id if wanted else None
    done = await checkout.sync_checkout_session(service, session_id, user_id=expected)
    user_id = done.user_id
    entitlements = entitlements_out(await service.limits.load(user_id), user_id) if user_id else None
    return SyncOut(
        session_id=done.id,
        status=done.status,
        payment_status=done.payment_status,
        applied=done.applied,
        user_id=user_id,
        subscription=await _stored(service, done.subscription_id),
        entitlements=entitlements,
    )


async def _stored(service: Service, subscription_id: str | None) -> SubscriptionOut | None:
    if subscription_id is None:
        return None
    async with service.database.reading() as session:
        return await queries.subscription(session, service, subscription_id)
