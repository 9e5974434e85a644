"""Reconcile: every subscription and customer is compared with Stripe's, and repaired where it differs.

Also the first import for a team that already has subscribers: what is missing here is a difference like any
other. Repairs go through the inbox as re-read events; nothing is ever deleted.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from sqlmodel import col, select

from ..concurrency import run_all
from ..db import Database
from ..db.keyset import in_key_order
from ..db.models import Customer, EventState, Invoice, Subscription
from ..errors import NotFound, NotStorable, ServiceError, Stale, StripeRefused
from ..inbox.handlers.internal import OWN_COLUMNS
from ..inbox.handlers.snapshots import current_position
from ..inbox.handlers.subscription_columns import subscription_columns
from ..inbox.outcome import Outcome
from ..limits.prices import read_prices
from ..plans import Catalogue, KnownPrice, PriceList
from ..stripe.client import Answer, StripeApi
from ..stripe.objects import customer_values, invoice_values, seen_prices
from ..stripe.ordering import overlay_applies
from . import leases
from .claiming_sessions import LostClaims
from .objects import StripeObjects

log = structlog.get_logger(__name__)

Json = dict[str, Any]
Row = Subscription | Customer | Invoice
Model = type[Subscription] | type[Customer] | type[Invoice]

JOB = "reconcile"
PAGE = 100
MAX_LISTED = 1000
"""Differences that the report names one by one; beyond that it counts."""
LISTS: dict[str, tuple[Model, str, Json]] = {
    "customer": (Customer, "/v1/customers", {}),
    "subscription": (Subscription, "/v1/subscriptions", {"status": "all"}),
    "invoice": (Invoice, "/v1/invoices", {"status": "open"}),
}
"""What is compared. Of invoices those that are open, at Stripe or here: what is left to pay, and when."""
OPEN = "open"
INVOICE_COLUMNS = (
    "status",
    "amount_due",
    "amount_paid",
    "amount_remaining",
    "attempt_count",
    "next_payment_attempt",
    "due_date",
)
PERSONAL = frozenset({"email", "stripe_metadata"})
"""The columns that an erased record has not, whatever Stripe still has."""
PERIODS = ("current_period_start", "current_period_end")

OnProgress = Callable[[str, int, int], None]
"""Called after each page with the kind, how many were compared and how many differ."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One column in which a record differs from Stripe's object; `*` for a whole one that only one has."""

    kind: str
    id: str
    column: str
    here: Any
    at_stripe: Any


@dataclass(slots=True)
class Report:
    """What was found. `differing` counts objects, `differences` lists the first of their columns."""

    compared: int = 0
    differing: int = 0
    repaired: int = 0
    not_repaired: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    """The kinds that the key may not read."""
    differences: list[Difference] = field(default_factory=list)

    def add(self, found: Sequence[Difference]) -> None:
        self.differing += bool(found)
        self.differences += found[: MAX_LISTED - len(self.differences)]

    def as_json(self) -> Json:
        return {
            "compared": self.compared,
            "differing": self.differing,
            "repaired": self.repaired,
            "not_repaired": self.not_repaired,
            "not_compared": self.not_compared,
            "differences": [
                {name: getattr(each, name) for name in Difference.__slots__} for each in self.differences
            ],
        }


class Reconcile:
    """Compares the records with Stripe. `clock` gives Unix seconds."""

    def __init__(
        self,
        database: Database,
        objects: StripeObjects,
        api: StripeApi,
        *,
        catalogue: Catalogue,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._objects = objects
        self._api = api
        self._catalogue = catalogue
        self._clock = clock
        self._claims = LostClaims(database, api, objects.link_keys)

    async def run(
        self, *, repair: bool, on_progress: OnProgress = lambda kind, compared, differing: None
    ) -> Report | None:
        """Compare everything, and repair it if wanted. None when another process is doing it.

        Raises:
            StripeRefused, StripeUnavailable, Unavailable: when it cannot be finished now.
        """
        if not await leases.acquire(self._database, JOB, int(self._clock())):
            return None
        async with leases.released_after(self._database, JOB):
            return await self._compare(repair, on_progress)

    async def _compare(self, repair: bool, on_progress: OnProgress) -> Report:
        await leases.update_job(self._database, JOB, started_at=int(self._clock()))
        report = Report()
        for kind in LISTS:
            try:
                seen = await self._compare_with_list(kind, report, repair, on_progress)
                await self._compare_the_rest(kind, seen, report, repair, on_progress)
            except StripeRefused as error:
                if kind != "invoice":
                    raise
                # A restricted key may read what access depends on, and no invoices.
                log.warning("invoices_not_compared", error=error.detail)
                report.not_compared.append(kind)
        result = report.as_json() | {"differences": len(report.differences), "repair": repair}
        await leases.update_job(self._database, JOB, finished_at=int(self._clock()), result=result)
        return report

    async def _compare_with_list(
        self, kind: str, report: Report, repair: bool, on_progress: OnProgress
    ) -> set[bytes]:
        """Compare what Stripe lists; the digests of the ids that it does."""
        model, path, params = LISTS[kind]
        seen: set[bytes] = set()
        async for page in self._api.pages(path, **params):
            contents = [await self._whole(kind, content, page.at) for content in page.content["data"]]
            rows = await self._rows(model, [content["id"] for content in contents])
            prices = await self._prices(rows.values(), contents)
            lost = await self._claims.find(contents, rows, page.at)
            differing = []
            for content in contents:
                seen.add(_digest(content["id"]))
                row = rows.get(content["id"])
                found = list(self._differences(kind, row, content, page.at, prices))
                if (claim := lost.get(content["id"])) is not None:
                    found.append(Difference(kind, content["id"], "user_id", None, claim.user_id))
                if found:
                    report.add(found)
                    # A row that was read after the page may be newer than it: then the object is read again.
                    differing.append((content, None if row else 0))
            report.compared += len(contents)
            if repair:
                await run_all(
                    self._repair(kind, content, page.at, version, report) for content, version in differing
                )
                await run_all(
                    self._objects.apply_claim(each.session, each.completed_at, page.at)
                    for each in lost.values()
                )
            await leases.renew(self._database, JOB, int(self._clock()))
            on_progress(kind, report.compared, report.differing)
        return seen

    async def _compare_the_rest(
        self, kind: str, seen: set[bytes], report: Report, repair: bool, on_progress: OnProgress
    ) -> None:
        """Look at each record that Stripe does not list: deleted there, or not there at all."""
        async for row in self._all_rows(kind):
            if _digest(row.id) in seen or (isinstance(row, Customer) and row.deleted):
                continue
            if row.livemode is not None and row.livemode != self._api.livemode:
                continue
            report.compared += 1
            await leases.renew(self._database, JOB, int(self._clock()))
            try:
                answer = await self._api.read(kind, row.id)
            except NotFound:
                report.add([Difference(kind, row.id, "*", "a record", None)])
                report.not_repaired.append(row.id)
            else:
                prices = await self._prices([row], [answer.content])
                if found := list(self._differences(kind, row, answer.content, answer.at, prices)):
                    report.add(found)
                    if repair:
                        await self._repair(kind, answer.content, answer.at, row.version, report)
            on_progress(kind, report.compared, report.differing)

    async def _repair(self, kind: str, content: Json, at: int, version: int | None, report: Report) -> None:
        try:
            outcome = await self._take_over(kind, content, at, version)
        except (NotFound, NotStorable, Stale) as error:
            why = type(error).__name__
        else:
            why = outcome.state
        if why == EventState.PROCESSED:
            report.repaired += 1
        else:
            log.warning("not_repaired", kind=kind, object_id=content["id"], error=why)
            report.not_repaired.append(content["id"])

    async def _take_over(self, kind: str, content: Json, at: int, version: int | None) -> Outcome:
        """Apply what was read when the record had this version; read it again where that is not known."""
        if kind == "invoice":  # merged from what is newest, whatever its version
            return await self._objects.apply_object("invoice.updated", Answer(content, at))
        if version is not None:
            with suppress(Stale):
                return await self._objects.apply(kind, content, at, version)
        return await self._objects.refresh(kind, content["id"])

    def _differences(
        self, kind: str, row: Row | None, content: Json, at: int, prices: PriceList
    ) -> Iterator[Difference]:
        if row is None:
            yield Difference(kind, content["id"], "*", None, "an object")
            return
        try:
            expected = self._expected(row, content, at, prices)
        except ServiceError as error:
            log.warning("not_comparable", kind=kind, object_id=content["id"], error=error.detail)
            return
        if not isinstance(row, Invoice) and row.erased_at is not None:
            expected = {name: value for name, value in expected.items() if name not in PERSONAL}
        for column, value in expected.items():
            here = getattr(row, column)
            if _comparable(column, here) != _comparable(column, value):
                yield Difference(kind, row.id, column, here, value)

    def _expected(self, row: Row, content: Json, at: int, prices: PriceList) -> Json:
        """The columns as Stripe's object has them, except those that an internal update overrides."""
        if isinstance(row, Invoice):
            told = invoice_values(content)
            return {column: told[column] for column in INVOICE_COLUMNS}
        if isinstance(row, Customer):
            values = customer_values(content)
            # Of a deleted customer Stripe's API returns only the id.
            return {"deleted": True} if values["deleted"] else values
        values, _ = subscription_columns(content, at, row, prices)
        if overlay_applies(row.overlay, current_position(row)):
            return {column: value for column, value in values.items() if column not in OWN_COLUMNS}
        return values

    async def _rows(self, model: Model, ids: Sequence[str]) -> dict[str, Row]:
        async with self._database.reading() as session:
            found = await session.exec(select(model).where(col(model.id).in_(ids)))
            return {row.id: cast(Row, row) for row in found}

    async def _whole(self, kind: str, content: Json, at: int) -> Json:
        """The object with all of its nested list, of which a list of objects shows the beginning too."""
        return (await self._api.complete(kind, Answer(content, at))).content

    async def _prices(self, rows: Iterable[Row], contents: Iterable[Json]) -> PriceList:
        """The catalogue with what was seen of the prices here, and with what Stripe shows of them now."""
        subscriptions = [row for row in rows if isinstance(row, Subscription)]
        async with self._database.reading() as session:
            stored = await read_prices(await session.connection(), subscriptions)
        shown = {
            price.id: KnownPrice(price.product_id, (price.lookup_key,) if price.lookup_key else ())
            for content in contents
            for price in seen_prices(content)
        }
        return PriceList(self._catalogue, shown | stored)

    async def _all_rows(self, kind: str) -> AsyncIterator[Row]:
        model, last = LISTS[kind][0], None
        while True:
            rows_of = select(model).where(col(Invoice.status) == OPEN) if model is Invoice else select(model)
            query = in_key_order(rows_of, [col(model.id)], last).limit(PAGE)
            async with self._database.reading() as session:
                rows = list(await session.exec(query))
            for row in rows:
                yield cast(Row, row)
            if len(rows) < PAGE:
                return
            last = [rows[-1].id]


def _comparable(column: str, value: Any) -> Any:
    """Periods moved to the items in 2025-03-31.basil: they are compared where all shapes have them."""
    if column != "items":
        return value
    return [{name: each for name, each in item.items() if name not in PERIODS} for item in value]


def _digest(id: str) -> bytes:
    """A hundred thousand ids should not fill the memory."""
    return hashlib.blake2b(id.encode(), digest_size=8).digest()
