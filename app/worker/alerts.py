"""Periodic alerts: unlinked customers, prices in no plan, expiring grace, backlog, webhooks that do not come.

Each is announced once across all processes.
"""

from collections.abc import AsyncIterator, Callable, Sequence

import structlog
from blinker import NamedSignal
from sqlalchemy import ColumnElement, literal_column
from sqlmodel import col, delete, exists, func, select

from ..backoff import has_come
from ..checks import Finding
from ..checks.duplicates import bought_twice as find_bought_twice
from ..checks.duplicates import recent_buyers
from ..checks.events import FAILING_SECONDS, failing_since
from ..checks.prices import UnmappedPrice, unmapped_in_use
from ..checks.records import UNLINKED_SECONDS, unlinked
from ..checks.webhooks import last_webhook, missed_webhooks, refused_webhooks
from ..db import Database, Row
from ..db.keyset import in_key_order
from ..db.models import (
    Customer,
    Invoice,
    OpenedSession,
    OutboxEntry,
    OutboxState,
    Subscription,
    table_of,
)
from ..db.ownership import user_of
from ..entitlements import access, ended_with, owed_by_subscription
from ..inbox.spool import Spool
from ..plans import AccessPolicy, Catalogue
from ..reactions.outbox import Outbox, entry_of
from ..signals import (
    Reaction,
    backlog_old,
    bought_twice,
    customer_unlinked,
    grace_ending,
    price_unmapped,
    webhooks_missed,
    webhooks_refused,
    webhooks_silent,
)

log = structlog.get_logger(__name__)

CHECK_EVERY_SECONDS = 60
PRICES_EVERY_SECONDS = 3600
"""How often the prices in use are compared with the catalogue: that reads every live subscription."""
GRACE_WARNING_SECONDS = 86_400
PAGE = 200
MARK_PRICE = (
    "INSERT INTO billing_price (id, lookup_keys, unmapped_at, version, updated_at) VALUES (?, '{}', ?, 0, ?) "
    "ON CONFLICT (id) DO UPDATE SET unmapped_at = excluded.unmapped_at "
    "WHERE billing_price.unmapped_at IS NULL RETURNING id"
)


class Alerts:
    """Checks once a minute. `silence_hours` 0: silence is never announced. `clock` gives Unix seconds."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        spool: Spool,
        *,
        catalogue: Catalogue,
        silence_hours: float,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._spool = spool
        self._catalogue = catalogue
        self._silence_seconds = silence_hours * 3600
        self._clock = clock
        self._started_at = clock()
        self._check_at = clock() + CHECK_EVERY_SECONDS
        self._check_prices_at = clock()

    async def check_when_due(self) -> None:
        """Check, unless it has been done within the last minute."""
        if has_come(self._check_at, self._clock(), within=CHECK_EVERY_SECONDS):
            self._check_at = self._clock() + CHECK_EVERY_SECONDS
            await self.check()

    async def check(self) -> None:
        """Check everything, and announce what has not been announced yet. One that fails stops no other."""
        for look in (
            self._check_unlinked_customers,
            self._check_bought_twice,
            self._check_prices,
            self._check_ending_grace,
            self._check_backlog,
            self._check_webhooks,
            self._check_silence,
        ):
            try:
                await look()
            except Exception as error:
                log.warning("alert_not_checked", work=look.__name__, error=type(error).__name__)

    async def _check_unlinked_customers(self) -> None:
        before = int(self._clock()) - UNLINKED_SECONDS
        query = unlinked(before)
        customer_id = query.selected_columns[0]
        announced = exists().where(col(OutboxEntry.id) == customer_unlinked.name + ":" + customer_id + ":")
        query = query.where(func.coalesce(col(Customer.updated_at), 0) <= before, ~announced).limit(PAGE)
        async with self._database.reading() as session:
            customers = [str(found) for found in await session.exec(query)]
        for customer in customers:
            await self._announce_once(customer_unlinked, customer, customer_id=customer)

    async def _check_bought_twice(self) -> None:
        """Announce what somebody bought twice who has opened a checkout session lately."""
        last: list[str] | None = None
        while True:
            query = recent_buyers(int(self._clock()))
            page = in_key_order(query, [col(OpenedSession.user_id)], last).limit(PAGE)
            async with self._database.reading() as session:
                users = [str(user_id) for user_id in await session.exec(page)]
            for each in await find_bought_twice(self._database, users):
                await self._announce_once(
                    bought_twice,
                    each.duplicate.subscription_id,
                    user_id=each.user_id,
                    customer_id=each.customer_id,
                    subscription_id=each.duplicate.subscription_id,
                    facts={"why": each.duplicate.why, "earlier_subscription_id": each.duplicate.earlier_id},
                )
            if len(users) < PAGE:
                return
            last = users[-1:]

    async def _check_prices(self) -> None:
        """Announce the unmapped prices that no event has announced: the plans file no longer lists them."""
        now = self._clock()
        if not has_come(self._check_prices_at, now, within=PRICES_EVERY_SECONDS):
            return
        self._check_prices_at = now + PRICES_EVERY_SECONDS
        for each in await unmapped_in_use(self._database, self._catalogue):
            await self._announce_price(each, int(now))

    async def _announce_price(self, price: UnmappedPrice, now: int) -> None:
        """Announce it and mark it as announced, in one transaction; not if it was marked before."""
        reaction = Reaction(
            id=f"{price_unmapped.name}:{price.id}",
            signal=price_unmapped.name,
            at=now,
            subscription_id=price.subscriptions[0],
            facts={"price_id": price.id, "gives": price.gives, "remedy": price.remedy},
        )
        async with self._database.batch() as batch:
            await batch.begin([])
            if not await batch.fetch(MARK_PRICE, price.id, now, now):
                return
            await batch.write({table_of(OutboxEntry): self._outbox.entries([reaction])}, ())
        self._outbox.announce([reaction])

    async def _check_ending_grace(self) -> None:
        now = int(self._clock())
        async for subscription, customer, invoices in self._in_grace():
            owed = owed_by_subscription(invoices).get(subscription.id)
            deleted = ended_with(customer, subscription)
            granted = access(subscription, deleted, owed, self._catalogue.access, now)
            ends_at = granted.grace_ends_at
            if granted.level == "grace" and ends_at is not None and ends_at - now <= GRACE_WARNING_SECONDS:
                await self._announce_once(
                    grace_ending,
                    f"{subscription.id}:{ends_at}",
                    customer_id=subscription.customer_id,
                    subscription_id=subscription.id,
                    user_id=user_of(subscription, customer),
                    facts={"grace_ends_at": ends_at, "plan_id": subscription.plan_id},
                )

    async def _in_grace(self) -> AsyncIterator[tuple[Subscription, Customer | None, list[Invoice]]]:
        """Every subscription that may be in a grace for a payment, with its customer and open invoices."""
        for condition in _grace_conditions(self._catalogue.access):
            query = (
                select(Subscription, Customer)
                .join(Customer, col(Customer.id) == col(Subscription.customer_id), isouter=True)
                .where(condition)
            )
            last: list[str] | None = None
            while True:
                page = in_key_order(query, [col(Subscription.id)], last).limit(PAGE)
                async with self._database.reading() as session:
                    found = list(await session.exec(page))
                    theirs = col(Invoice.subscription_id).in_([subscription.id for subscription, _ in found])
                    rows = await session.exec(select(Invoice).where(theirs, col(Invoice.status) == "open"))
                    invoices = list(rows)
                for subscription, customer in found:
                    own = [each for each in invoices if each.subscription_id == subscription.id]
                    yield subscription, customer, own
                if len(found) < PAGE:
                    break
                last = [found[-1][0].id]

    async def _check_backlog(self) -> None:
        waiting_since = await self._backlog_since()
        age = int(self._clock()) - waiting_since if waiting_since is not None else 0
        if age > FAILING_SECONDS:
            await self._announce_until_over(backlog_old, facts={"age": age, "waiting_since": waiting_since})
        else:
            await self._is_over(backlog_old)

    async def _backlog_since(self) -> int | None:
        """When the oldest event came that waits to be applied, in the inbox or on disk. Unix seconds.

        A thin event that waits for Stripe's API to be configured is no backlog.
        """
        async with self._database.reading() as session:
            in_inbox = await failing_since(session)
        ages = [] if in_inbox is None else [in_inbox]
        if (on_disk := await self._spool.waiting_since()) is not None:
            ages.append(on_disk)
        return min(ages, default=None)

    async def _check_webhooks(self) -> None:
        now = int(self._clock())
        async with self._database.reading() as session:
            refused = [each for each in await refused_webhooks(session, now) if each.level == "error"]
            missed = await missed_webhooks(session, now)
        await self._announce_finding(webhooks_refused, refused)
        await self._announce_finding(webhooks_missed, missed)

    async def _announce_finding(self, signal: NamedSignal, found: Sequence[Finding]) -> None:
        if not found:
            await self._is_over(signal)
            return
        facts = {"what": found[0].what, "remedy": found[0].remedy}
        await self._announce_until_over(signal, facts=facts)

    async def _check_silence(self) -> None:
        if not self._silence_seconds:
            return
        async with self._database.reading() as session:
            last = await last_webhook(session)
        silent_for = self._clock() - (last if last is not None else self._started_at)
        if silent_for > self._silence_seconds:
            await self._announce_until_over(webhooks_silent, facts={"age": int(silent_for), "last": last})
        else:
            await self._is_over(webhooks_silent)

    async def _announce_until_over(self, signal: NamedSignal, facts: Row) -> None:
        await self._announce_once(signal, "now", facts=facts, part=str(int(self._clock())))

    async def _is_over(self, signal: NamedSignal) -> None:
        note = col(OutboxEntry.id) == f"{signal.name}:now:"
        async with self._database.reading() as session:
            there = (await session.exec(select(OutboxEntry.id).where(note))).first()
        if there is not None:
            async with self._database.session() as session:
                await session.exec(delete(OutboxEntry).where(note))

    async def _announce_once(
        self, signal: NamedSignal, key: str, *, facts: Row | None = None, part: str = "", **ids: str | None
    ) -> None:
        """Announce, unless a note says that this was done. `part` distinguishes one occasion from another."""
        now = int(self._clock())
        cause = f"{signal.name}:{key}"
        reaction = Reaction(id=cause + part, signal=signal.name, at=now, facts=facts or {}, **ids)
        note = entry_of(reaction, "", now) | {
            "id": f"{cause}:",
            "state": OutboxState.DONE,
            "done_at": now,
        }
        table = table_of(OutboxEntry)
        async with self._database.batch() as batch:
            await batch.begin([f"reaction:{cause}"])
            if await batch.fetch(f"SELECT id FROM {table.name} WHERE id = ?", note["id"]):  # noqa: S608
                return
            await batch.write({table: [note, *self._outbox.entries([reaction])]}, ())
        self._outbox.announce([reaction])


def _grace_conditions(policy: AccessPolicy) -> list[ColumnElement[bool]]:
    """The conditions on subscriptions to which the [access] policy gives a grace; each has an index."""
    rules = {status: policy.of_status(status) for status in ("past_due", "unpaid")}
    found: list[ColumnElement[bool]] = [
        col(Subscription.status) == literal_column(f"'{status}'")  # as the index has it
        for status, rule in rules.items()
        if rule is not None and rule.level == "grace"
    ]
    if policy.never_paid.level == "grace":
        found.append(col(Subscription.first_payment_failed_at).is_not(None))
    return found
