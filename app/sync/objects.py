"""Fetches objects from Stripe and applies them through the inbox.

A fetched object becomes an event of source `re-read`, stamped by Stripe's clock less a second. It is fetched
without any lock or transaction, and applied only if the record has not changed meanwhile; else it is fetched
again.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import structlog

from ..db import Database
from ..db.models import AuditEntry, Customer, Subscription
from ..errors import NotFound, Stale, StripeRefused
from ..inbox.delivery import Delivery, receive
from ..inbox.handlers.past_due import DUE
from ..inbox.inbox import Inbox
from ..inbox.kinds import KINDS
from ..inbox.outcome import Outcome
from ..stripe.client import Answer, StripeApi
from ..stripe.events import StripeEvent
from ..stripe.objects import ENDED, named_user
from ..stripe.ordering import READING
from .claiming_sessions import claiming_sessions
from .due_invoices import unpaid_invoices

log = structlog.get_logger(__name__)

Json = dict[str, Any]

ATTEMPTS = 5
SESSION_COMPLETED = "checkout.session.completed"


class StripeObjects:
    """Fetches objects and applies them. `clock` gives Unix seconds."""

    def __init__(
        self, database: Database, inbox: Inbox, api: StripeApi, *, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._api = api
        self._clock = clock

    @property
    def link_keys(self) -> Sequence[str]:
        """The metadata keys that name a user."""
        return self._inbox.transactions.link_keys

    async def refresh(self, kind: str, object_id: str, *, stated: tuple[int, str] | None = None) -> Outcome:
        """Fetch a subscription or a customer, and make its record what Stripe says.

        `stated`: the `created` (Unix seconds) and id of the thin event that it is fetched for.

        Raises:
            NotFound: when Stripe does not have it.
            Stale: when the record changed during every one of some attempts.
            StripeRefused, StripeUnavailable, Unavailable: when Stripe or the database cannot do it now.
        """
        for _ in range(ATTEMPTS):
            version = await self.version(kind, object_id)
            answer = await self._api.read(kind, object_id)
            try:
                return await self.apply(kind, answer.content, answer.at, version, stated=stated)
            except Stale:
                log.info("reading_stale", kind=kind, object_id=object_id)
        raise Stale(f"The {kind} {object_id} changes faster than it can be read.")

    async def apply(
        self,
        kind: str,
        content: Json,
        at: int,
        version: int,
        audit: AuditEntry | None = None,
        *,
        stated: tuple[int, str] | None = None,
    ) -> Outcome:
        """Apply a subscription or customer that was fetched when the record had this version (0: none).

        `at` in Unix seconds, by Stripe's clock. `audit` goes into the trail in the same transaction, for
        what Stripe answered to a change.

        Raises:
            Stale: when the record has changed since.
            StripeRefused, StripeUnavailable: when Stripe sent a part and does not give the rest now.
            Unavailable: when the database cannot take it now.
        """
        content = (await self._api.complete(kind, Answer(content, at))).content
        # Of two fetched with one stamp, that of the greater version is the later one, and so is its id.
        name = f"{content['id']}_{at}_{version:012}"
        if audit is not None:
            name += f"_{audit.id}"  # not taken for a mere fetch of the same version
        delivery = self._delivery(name, _type_of(kind, content), content, at)
        delivery.read_at_version, delivery.audit, delivery.stated = version, audit, stated
        # In one batch where possible, this one first: it may be applied only to the record as it was.
        told_beside = await self._told_beside(kind, content, at, version)
        outcome, *others = await asyncio.gather(
            *(self._inbox.accept(each) for each in (delivery, *told_beside)), return_exceptions=True
        )
        for each in (outcome, *others):
            if isinstance(each, BaseException):
                raise each
        assert not isinstance(outcome, BaseException)
        return outcome

    async def _told_beside(self, kind: str, content: Json, at: int, version: int) -> list[Delivery]:
        """What must be read with an object of which there is no record, or too little, to know what it means:
        the checkout session that claims it; the invoices of a subscription that is past due."""
        found: list[Delivery] = []
        is_named = named_user(content, self.link_keys) is not None
        is_living = content.get("deleted") is not True
        if not is_named and is_living and await self._is_unclaimed(kind, str(content["id"]), version):
            for session, completed_at in await claiming_sessions(self._api, kind, content, at):
                found.append(self._claim(session, completed_at, at))
        if kind == "subscription" and content.get("status") in DUE:
            found += await self._invoices_of_import(str(content["id"]))
        return found

    async def _is_unclaimed(self, kind: str, object_id: str, version: int) -> bool:
        """Whether an object has no record, or only one that was made because another object names it."""
        if version == 0:
            return True
        async with self._database.reading() as session:
            row = await session.get(KINDS[kind], object_id)
        assert row is None or isinstance(row, Subscription | Customer)
        return row is None or (row.snapshot_rank is None and row.user_id is None)

    async def _invoices_of_import(self, subscription_id: str) -> list[Delivery]:
        """The invoices that show since when a subscription is past due that was never seen running here.

        None where Stripe does not give them: then that is when it was first read.
        """
        async with self._database.reading() as session:
            row = await session.get(Subscription, subscription_id)
        if row is not None and (row.running_at is not None or row.due_invoices is not None):
            return []
        try:
            found = [invoice async for invoice in unpaid_invoices(self._api, subscription_id)]
        except (NotFound, StripeRefused) as error:
            log.warning("invoices_not_read", subscription_id=subscription_id, error=error.detail)
            return []
        return [self._delivery(_name_of(each), "invoice.finalized", each.content, each.at) for each in found]

    def _claim(self, session: Json, completed_at: int, at: int) -> Delivery:
        # Under a name of its own: it may have been applied before the record was lost.
        fetched = self._delivery(f"{session['id']}_{at}", SESSION_COMPLETED, session, completed_at)
        fetched.stated = completed_at, fetched.event.id
        return fetched

    async def apply_claim(self, session: Json, completed_at: int, at: int) -> Outcome:
        """Apply the checkout session that claims an object, again where that was lost. Times in Unix seconds.

        Raises:
            Unavailable: when the database cannot take it now.
        """
        return await self._inbox.accept(self._claim(session, completed_at, at))

    async def apply_checkout(self, content: Json, completed_at: int) -> Outcome:
        """Apply a completed checkout session that was fetched: the link of its customer.

        `completed_at` in Unix seconds: what a session says of the user is as old as that, however late it is
        fetched, and undoes nothing that was said since.

        Raises:
            Unavailable: when the database cannot take it now.
        """
        name = f"{content['id']}_{completed_at}"
        delivery = self._delivery(name, SESSION_COMPLETED, content, completed_at)
        delivery.stated = completed_at, delivery.event.id
        return await self._inbox.accept(delivery)

    async def apply_object(self, event_type: str, answer: Answer) -> Outcome:
        """Apply an object that was fetched as an event of this type, by the receivers of that type.

        Raises:
            Unavailable: when the database cannot take it now.
        """
        name = _name_of(answer)
        return await self._inbox.accept(self._delivery(name, event_type, answer.content, answer.at))

    async def tell(self, event: StripeEvent, event_type: str, answer: Answer) -> Outcome:
        """Call the receivers of this type with what was read for a thin event. Doing it again does nothing.

        Raises:
            Unavailable: when the database cannot take it now.
        """
        name = event.id if event_type != event.type else f"{event.id}_{event_type}"
        return await self._inbox.accept(
            self._delivery(name, event_type, answer.content, answer.at, read_for=event)
        )

    async def refresh_cut_invoices(self, subscription_id: str) -> None:
        """Fetch the subscription's paid invoices of which Stripe has sent no more than the first lines.

        Raises:
            NotFound, StripeRefused, StripeUnavailable, Unavailable: when it cannot be done now.
        """
        async with self._database.reading() as session:
            row = await session.get(Subscription, subscription_id)
            invoices = list(row.cut_invoices or ()) if row else []
        for invoice_id in invoices:
            answer = await self._api.read("invoice", invoice_id)
            name = _name_of(answer)
            await self._inbox.accept(self._delivery(name, "invoice.paid", answer.content, answer.at))

    def _delivery(
        self, name: str, event_type: str, content: Json, at: int, *, read_for: StripeEvent | None = None
    ) -> Delivery:
        """An event about what was fetched; `read_for`: the thin event that it was fetched for."""
        envelope: Json = {
            "id": f"{READING}{name}",
            "object": "event",
            "type": event_type,
            "created": at,
            # A deleted customer says nothing of its mode.
            "livemode": content.get("livemode", self._api.livemode),
            "data": {"object": content},
        }
        if read_for is not None:
            envelope["read_for"] = {"created": read_for.created, "id": read_for.id}
            envelope["snapshot_event"] = read_for.snapshot_event
            envelope["changes"] = read_for.changes
        received_at = int(self._clock())
        return receive(orjson.dumps(envelope), signature=None, received_at=received_at, source="re-read")

    async def version(self, kind: str, object_id: str) -> int:
        """The version of the record; 0 when there is none."""
        async with self._database.reading() as session:
            row = await session.get(KINDS[kind], object_id)
            assert row is None or isinstance(row, Subscription | Customer)
            return row.version if row else 0


def _type_of(kind: str, content: Json) -> str:
    """The event type that a snapshot of this state would come with; an end is final."""
    if kind == "customer":
        return "customer.deleted" if content.get("deleted") is True else "customer.updated"
    ended = content.get("status") in ENDED
    return "customer.subscription.deleted" if ended else "customer.subscription.updated"


def _name_of(answer: Answer) -> str:
    """A name for what was fetched. It depends on the content, which may change within one second."""
    content = orjson.dumps(answer.content, option=orjson.OPT_SORT_KEYS)
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    return f"{answer.content['id']}_{answer.at}_{digest}"
