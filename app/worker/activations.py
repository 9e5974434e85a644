"""Announces the activations whose user did not become known in time: `subscription_activated` without a user.

An activation without a user waits in its subscription (`activation`), so a process that is killed loses none.
The event that names the user announces it; what is left after some seconds is announced here.
"""

from collections.abc import Callable

from sqlmodel import col, select

from ..backoff import has_come
from ..db import Database
from ..db.keyset import in_key_order
from ..db.models import Subscription
from ..db.skipping import skipped_on_error
from ..inbox.handlers.announcements import announce_activation
from ..inbox.transaction import Transactions
from ..inbox.unit_of_work import UnitOfWork

HOLD_SECONDS = 30
"""How long an activation waits for its user: Stripe sends the checkout session within seconds."""
CHECK_EVERY_SECONDS = 5
PAGE = 200


class Activations:
    """`clock` gives Unix seconds."""

    def __init__(self, database: Database, transactions: Transactions, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._transactions = transactions
        self._clock = clock
        self._check_at = clock()

    async def announce_when_due(self) -> None:
        """Announce, unless it has been done within the last seconds."""
        if has_come(self._check_at, self._clock(), within=CHECK_EVERY_SECONDS):
            self._check_at = self._clock() + CHECK_EVERY_SECONDS
            await self.announce_due()

    async def announce_due(self) -> int:
        """Announce what has waited long enough; how many were looked at."""
        before, done, last = int(self._clock()) - HOLD_SECONDS, 0, ""
        while True:
            waiting = select(Subscription.id, Subscription.customer_id, Subscription.activation)
            waiting = waiting.where(col(Subscription.activation).is_not(None))
            page = in_key_order(waiting, [col(Subscription.id)], [last]).limit(PAGE)
            async with self._database.reading() as session:
                found = list(await session.exec(page))
            for id, customer_id, activation in found:
                if (activation or {}).get("at", 0) <= before:
                    with skipped_on_error("activation_not_announced", self._database, subscription_id=id):
                        await self._announce(id, customer_id)
                    done += 1
            if len(found) < PAGE:
                return done
            last = found[-1][0]

    async def _announce(self, subscription_id: str, customer_id: str | None) -> None:
        def change(unit_of_work: UnitOfWork) -> None:
            row = unit_of_work.find(Subscription, subscription_id)
            if row is not None:
                announce_activation(unit_of_work, row)

        customers = {customer_id} if customer_id is not None else set()
        await self._transactions.change({"subscription": {subscription_id}, "customer": customers}, change)
