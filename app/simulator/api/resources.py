"""Objects that the simulator keeps as they are rendered: one set of handlers for every kind of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model import Record
from ..shapes import Json
from . import forms
from .call import Call
from .errors import invalid, missing, no_such
from .expansion import answer
from .index import Index
from .listing import Selection, page
from .reads import one
from .typed import typed

Fill = Callable[[Call, Json], Json]


@dataclass(frozen=True)
class Resource:
    """A kind of object: its name in errors, its `object`, its id's prefix, and what requests may say of it.

    `defaults` are the members of a new one; `fill` makes those that follow from the parameters, and checks
    them. `created` and `updated` are the parameters that are played, `filters` those of its list.
    """

    noun: str
    object: str
    prefix: str
    defaults: Mapping[str, Any]
    created: tuple[str, ...]
    updated: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    event: str | None = None
    """What its events begin with; None for a kind without events."""
    without: tuple[str, ...] = ()
    """Of `created` and `livemode` those that this kind does not show."""
    fill: Fill = field(default=lambda call, params: params)
    change: Fill = field(default=lambda call, params: params)

    def create(self, call: Call) -> Json:
        """
        Raises:
            ApiError: 400 for what Stripe refuses.
        """
        params = typed(call, self.created)
        for name in self.required:
            if params.get(name) is None:
                raise missing(name)
        return self._answer(call, self.add(call, self.fill(call, params)))

    def add(self, call: Call, members: Json, id: str | None = None) -> Record:
        """A new object with these members."""
        account = call.account
        id = id or members.pop("id", None) or account.new_id(self.prefix)
        if id in account.records.get(self.object, {}):
            raise invalid(f"{self.noun.capitalize()} already exists.", "id", "resource_already_exists")
        content: Json = {"id": id, "object": self.object, "created": account.now, **self.defaults, **members}
        content["livemode"] = account.livemode
        for name in self.without:
            content.pop(name, None)
        return account.add_record(Record(id, account.now, self.object, content), self.event)

    def update(self, call: Call) -> Json:
        params = typed(call, self.updated)
        record = self.found(call)
        members = self.change(call, params)
        if "metadata" in members:
            members["metadata"] = forms.merged_metadata(call.params, record.content.get("metadata") or {})
        call.account.change_record(record, members, self.event)
        return self._answer(call, record)

    def get(self, call: Call) -> Json:
        return one(call, self.found(call))

    def delete(self, call: Call) -> Json:
        forms.known(call.params, ())
        record = self.found(call)
        call.account.delete_record(record, self.event)
        return {"id": record.id, "object": self.object, "deleted": True}

    def list(self, call: Call) -> Json:
        """Newest first, filtered by members of the same name."""
        wanted = {name: value for name in self.filters if (value := _filter(call, name)) is not None}
        table = call.account.records.get(self.object, {})
        index = Index()
        for record in table.values():
            index.put(record.id, record.created, {})
        selection = Selection(index, allows=lambda id: _matches(table[id].content, wanted))
        return page(call, self.noun, selection, table.__getitem__, self.filters)

    def found(self, call: Call, id: str | None = None, param: str = "id") -> Record:
        """The object of this id, or of the path's.

        Raises:
            ApiError: `resource_missing`, as `Call.find`.
        """
        return call.find(self.noun, call.account.records.get(self.object, {}), id, param)

    def exists(self, call: Call, params: Json, name: str) -> None:
        """
        Raises:
            ApiError: 400 where a parameter names none of this kind.
        """
        if params.get(name) is not None and params[name] not in call.account.records.get(self.object, {}):
            raise no_such(self.noun, str(params[name]), param=name, status=400)

    def _answer(self, call: Call, record: Record) -> Json:
        return answer(call, record)


def _filter(call: Call, name: str) -> str | None:
    return forms.text(call.params, name)


def _matches(content: Json, wanted: Mapping[str, str]) -> bool:
    return all(_text(content.get(name)) == value for name, value in wanted.items())


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
