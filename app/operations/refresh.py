"""Re-read: marks a record to be fetched from Stripe again, whose answer then replaces it."""

from ..db.audit import audit_entry
from ..db.models import Subscription
from ..errors import NotFound
from ..service import Service


async def mark_subscription(service: Service, subscription_id: str, *, actor: str) -> None:
    """Mark a subscription to be fetched from Stripe; the process that runs the job `refresh` does it.

    Raises:
        NotFound: when it is not known.
    """
    async with service.database.session() as session:
        row = await session.get(Subscription, subscription_id, with_for_update=True)
        if row is None:
            raise NotFound("No subscription with this id is known here. Nothing was changed.")
        before, row.needs_refresh = {"needs_refresh": row.needs_refresh}, True
        session.add(
            audit_entry(
                at=int(service.clock()),
                actor=actor,
                action="subscription.reread",
                subject=row.id,
                before=before,
                after={"needs_refresh": True},
            )
        )
