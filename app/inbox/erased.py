"""Keeps erased people forgotten: what a batch writes about them says no more who they are.

The rows of the customer and the subscription say that they were erased. They are loaded with every event
that names them, so this costs no query, and it does not matter how the event came: late, from the spool, by
a retry, a catch-up or a repair.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..db import Row
from ..db.models import Customer, Invoice, Record, Subscription
from ..stripe.events import StripeEvent
from ..stripe.reduction import reduced, reduced_value
from .unit_of_work import Payer, UnitOfWork


def impersonal_columns(row: Record, link_keys: Sequence[str]) -> dict[str, Any]:
    """The columns of a record that may say who somebody is, as they are after an erasure."""
    if isinstance(row, Customer):
        return {"email": None}
    if isinstance(row, Invoice):
        return {"hosted_invoice_url": None}
    if isinstance(row, Subscription):
        known = row.stripe_metadata
        return {"stripe_metadata": {key: known[key] for key in link_keys if key in known}}
    return {}


class Erased:
    """The erased customers and subscriptions among the loaded rows of a batch."""

    def __init__(self, unit_of_work: UnitOfWork) -> None:
        self._unit_of_work = unit_of_work
        self._customers = _erased(unit_of_work.loaded(Customer))
        self._subscriptions = _erased(unit_of_work.loaded(Subscription))

    def forget(self) -> None:
        """Take out of the changed rows and of the reactions what says who an erased person is."""
        if not self._customers and not self._subscriptions:
            return
        unit_of_work = self._unit_of_work
        for row in [row for row, _ in unit_of_work.changed() if self._is_about(row)]:
            unit_of_work.change(row, **impersonal_columns(row, unit_of_work.link_keys))
            if isinstance(row, Subscription) and row.erased_at is None:
                unit_of_work.change(row, erased_at=unit_of_work.now)  # a new one of an erased customer
        unit_of_work.reactions[:] = [
            replace(each, facts=reduced_value(each.facts, unit_of_work.link_keys))
            if self._has(each.customer_id, each.subscription_id)
            else each
            for each in unit_of_work.reactions
        ]

    def reduce(self, event: StripeEvent, row: Row) -> Row:
        """The inbox's row of an event, without what says who an erased person is."""
        if not self._names(event):
            return row
        return row | {"body": reduced(row["body"], self._unit_of_work.link_keys), "signature": None}

    def _names(self, event: StripeEvent) -> bool:
        if not self._customers and not self._subscriptions:
            return False
        customers, subscriptions = (event.names.get(kind, set()) for kind in ("customer", "subscription"))
        if customers & self._customers or subscriptions & self._subscriptions:
            return True
        payer = self._unit_of_work.payers.get(event.object_id or "", Payer())
        return self._has(payer.customer_id, payer.subscription_id)

    def _is_about(self, row: Record) -> bool:
        if isinstance(row, Customer):
            return row.id in self._customers
        if isinstance(row, Subscription):
            return self._has(row.customer_id, row.id)
        return isinstance(row, Invoice) and self._has(row.customer_id, row.subscription_id)

    def _has(self, customer_id: str | None, subscription_id: str | None) -> bool:
        return customer_id in self._customers or subscription_id in self._subscriptions


def _erased(rows: Iterable[Customer | Subscription]) -> set[str]:
    return {row.id for row in rows if row.erased_at is not None}
