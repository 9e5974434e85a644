"""The rows that one transaction has loaded and will write. Handlers read and change them; no I/O here."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from blinker import NamedSignal

from ..db.audit import audit_entry
from ..db.models import (
    RULES_VERSION,
    AuditEntry,
    Customer,
    Price,
    Product,
    Purchase,
    Record,
    RuledRow,
    Subscription,
    follows_rules,
)
from ..errors import MalformedEvent
from ..plans import Catalogue, PriceList
from ..signals import Reaction, is_heard
from ..stripe.events import StripeEvent
from ..stripe.ordering import Snapshots
from .delivery import Delivery
from .kinds import DEFAULT_ROWS, KINDS, RULED, make_row, model_of
from .known_prices import KnownPrices

R = TypeVar("R", bound=Record)
Key = tuple[type[Record], str]


class Reapplied(NamedTuple):
    """The record whose stored events are applied once more."""

    id: str
    newest_event_id: str | None
    needs_refresh: bool


class Caused(Protocol):
    """The event that a reaction follows from, by its id."""

    @property
    def id(self) -> str: ...


class Payer(NamedTuple):
    """What is known of who paid; None: not known here."""

    customer_id: str | None = None
    subscription_id: str | None = None
    invoice_id: str | None = None


class UnitOfWork:
    """What a batch of events reads and writes. `now` in Unix seconds; `named`: the ids that are loaded;
    `link_keys`: the metadata keys that name a user.

    Change a row with `change`, never by its attributes: only that is written, and undone when a handler
    raises. Values are replaced, never changed in place.
    """

    def __init__(
        self,
        now: int,
        catalogue: Catalogue,
        named: Mapping[str, Collection[str]],
        link_keys: Sequence[str] = ("user_id",),
    ) -> None:
        self.now = now
        self.link_keys = link_keys
        self.catalogue = catalogue
        self.history: dict[str, Snapshots] = {}
        """The snapshots of the objects whose newest one their positions leave open."""
        self.payers: dict[str, Payer] = {}
        """Who paid what a dispute, a warning or a refund, by its id, is about."""
        self.drawn: dict[str, dict[str, int]] = {}
        """What was drawn of each feature from the purchases that are loaded, by their ids."""
        self.stored_refunds: dict[str, StripeEvent] = {}
        """The earlier refunds of the charges that the batch is about: the stored events, by their ids."""
        self.reactions: list[Reaction] = []
        """The reactions to announce after the commit."""
        self.facts: dict[str, tuple[str, ...]] = {}
        """The reactions that are about a fact, and the events by which an older release named theirs."""
        self.audit: list[AuditEntry] = []
        self.delivery: Delivery | None = None
        """The event that is applied now, and how it came here."""
        self.reapplied: Reapplied | None = None
        """Set while the stored events of a record are applied once more."""
        self._named = {model: named.get(kind, ()) for kind, model in KINDS.items()}
        self._rows: dict[Key, Record] = {}
        self.prices = PriceList(catalogue, KnownPrices(self._rows))
        self._before: dict[Key, dict[str, Any] | None] = {}
        self._undo: dict[Key, dict[str, Any] | None] | None = None
        self._by_customer: dict[str, set[str]] = defaultdict(set)
        """The ids of the subscriptions that are or were a customer's."""

    @property
    def read_at_version(self) -> int | None:
        """For an object that was fetched from Stripe: the version of its record before; else None."""
        return self.delivery.read_at_version if self.delivery else None

    def fill(self, model: type[Record], rows: Collection[Mapping[str, Any]]) -> None:
        """Take in loaded rows."""
        for values in rows:
            self._rows[model, values["id"]] = make_row(model, values)
        if model is Subscription:
            for values in rows:
                if values["customer_id"] is not None:
                    self._by_customer[values["customer_id"]].add(values["id"])

    def fill_missing(self, model: type[Record], rows: Iterable[Mapping[str, Any]]) -> None:
        """Take in loaded rows that are not here yet."""
        self.fill(model, [values for values in rows if (model, values["id"]) not in self._rows])

    def subscriptions_of(self, customer_id: str) -> list[Subscription]:
        """The customer's subscriptions, as far as they are loaded."""
        rows = [self.find(Subscription, id) for id in self._by_customer.get(customer_id, ())]
        return [row for row in rows if row is not None and row.customer_id == customer_id]

    def find(self, model: type[R], id: str | None) -> R | None:
        """The row, or None. Only what the event names has been loaded."""
        return cast("R | None", self._rows.get((model, id)) if id is not None else None)

    def loaded(self, model: type[R]) -> list[R]:
        """The rows of a model that are here."""
        return cast("list[R]", [row for (kind, _), row in self._rows.items() if kind is model])

    def add(self, model: type[R], id: str, **values: Any) -> R:
        """A new row; columns that are not given have their defaults.

        Raises:
            MalformedEvent: for an id that was not looked for: a row that is there would be overwritten.
        """
        if id not in self._named[model]:
            raise MalformedEvent("The event's object does not say as what it is stored (`object`).")
        row = make_row(model, DEFAULT_ROWS[model] | {"id": id})
        self._remember((model, id), None)
        self._rows[model, id] = row
        self.change(row, **values)
        return row

    def change(self, row: Record, **values: Any) -> None:
        """Change columns of a row."""
        state = row.__dict__
        if values.items() <= state.items():
            return
        model = model_of(row)
        self._remember((model, row.id), state)
        state.update(values)
        if model is Subscription and (customer_id := state["customer_id"]) is not None:
            self._by_customer[customer_id].add(row.id)

    def announce(
        self,
        signal: NamedSignal,
        event: Caused,
        *,
        cause: str | None = None,
        fact: str | None = None,
        user_id: str | None = None,
        customer_id: str | None = None,
        subscription_id: str | None = None,
        invoice_id: str | None = None,
        **facts: Any,
    ) -> None:
        """Have a domain signal sent after the commit, should anybody listen. `user_id`: None for the user of
        subscription or customer.

        `fact`: what happened; it is announced once, by whichever event (see `announced`). Else the id of the
        reaction is made of the `cause`, or of the event.
        """
        if not is_heard(signal):
            return
        reaction_id = f"{signal.name}:{fact or cause or event.id}"
        if fact is not None:
            if any(reaction.id == reaction_id for reaction in self.reactions):
                return
            self.facts[reaction_id] = event.told_as if isinstance(event, StripeEvent) else ()
        user_id = user_id or self.user_of(customer_id, subscription_id)
        self.reactions.append(
            Reaction(
                id=reaction_id,
                signal=signal.name,
                at=self.now,
                event_id=event.id,
                user_id=user_id,
                customer_id=customer_id,
                subscription_id=subscription_id,
                invoice_id=invoice_id,
                facts=facts,
            )
        )

    def user_of(self, customer_id: str | None, subscription_id: str | None) -> str | None:
        """The subscription's own user, else the customer's."""
        subscription = self.find(Subscription, subscription_id)
        if subscription is not None and subscription.links is not None:
            return subscription.user_id
        customer = self.find(Customer, customer_id)
        return customer.user_id if customer is not None else None

    def name_user(self, subscription_id: str, user_id: str) -> None:
        """Name the user in the reactions of the subscription that have none."""
        for number, reaction in enumerate(self.reactions):
            if reaction.subscription_id == subscription_id and reaction.user_id is None:
                self.reactions[number] = replace(reaction, user_id=user_id)

    def record(
        self, event: StripeEvent, subject: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]
    ) -> None:
        """Write into the audit trail what somebody changed."""
        self.audit.append(
            audit_entry(
                at=self.now,
                actor=(self.delivery.actor if self.delivery else None) or "unknown",
                action=event.type.removeprefix("internal."),
                subject=subject,
                before=before,
                after=after,
            )
        )

    def changed(self) -> Iterator[tuple[Record, dict[str, Any] | None]]:
        """Each row that differs from what was loaded, and its columns as loaded (None for a new row)."""
        for key, before in self._before.items():
            yield self._rows[key], before

    def follow_rules(self, row: Record) -> None:
        """Have the row written as one that follows today's rules, whether anything else changed or not."""
        state = row.__dict__
        self._remember((model_of(row), row.id), state)
        state |= {"rules_version": RULES_VERSION, "rules_row_version": state["version"]}

    def written(self) -> Iterator[tuple[type[Record], dict[str, Any]]]:
        """Each row that differs, as it is to be written: its version counted up.

        A row that follows today's rules goes on to; another one waits to be reapplied.
        """
        for (model, id), before in self._before.items():
            row = self._rows[model, id]
            version = row.__dict__["version"] + 1
            values = row.__dict__ | {"version": version, "updated_at": self.now}
            if before is None and "recorded_at" in values:
                values["recorded_at"] = self.now
            if model in RULED and (before is None or follows_rules(cast(RuledRow, row))):
                values |= {"rules_version": RULES_VERSION, "rules_row_version": version}
            yield model, values

    def has_changed(self, model: type[Record], id: str | None) -> bool:
        """Whether the row differs from what was loaded."""
        return (model, id) in self._before

    def users(self) -> set[str]:
        """The users whose limits the changes may touch, those that a customer was taken from included."""
        users: set[str | None] = set()
        for (model, id), before in self._before.items():
            if model in (Price, Product):
                continue
            values = self._rows[model, id].__dict__
            if model in (Purchase, Customer, Subscription):
                users |= {values["user_id"], before["user_id"] if before else None}
            if model is Customer:
                users |= {each.user_id for each in self.subscriptions_of(id)}
            elif model is Purchase:
                users.add(self.user_of(values["customer_id"], None))
            elif model is Subscription:
                if values["links"] is None or (before is not None and before["links"] is None):
                    users.add(self.user_of(values["customer_id"], None))
            else:
                users.add(self.user_of(values["customer_id"], values["subscription_id"]))
        return {user for user in users if user is not None}

    @contextmanager
    def undone_on_error(self, delivery: Delivery) -> Iterator[None]:
        """Apply one event: its changes and announcements are undone when the block raises."""
        self._undo, self.delivery = {}, delivery
        announced, recorded = list(self.reactions), len(self.audit)
        try:
            yield
        except BaseException:
            self._take_back(self._undo)
            if (known := self.history.get(delivery.event.object_id or "")) is not None:
                known.discard(delivery.event)
            self.reactions[:] = announced
            del self.audit[recorded:]
            raise
        finally:
            self._undo = self.delivery = None

    def _remember(self, key: Key, state: dict[str, Any] | None) -> None:
        undo = self._undo
        if key in self._before and (undo is None or key in undo):
            return
        copy = dict(state) if state is not None else None  # one for both journals: nothing changes it
        self._before.setdefault(key, copy)
        if undo is not None:
            undo.setdefault(key, copy)

    def _take_back(self, journal: dict[Key, dict[str, Any] | None]) -> None:
        for key, state in journal.items():
            if state is None:
                del self._rows[key], self._before[key]
            else:
                self._rows[key].__dict__.update(state)
                if self._before[key] == state:
                    del self._before[key]
