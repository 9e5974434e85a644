"""Objects that an account keeps as they are rendered, and their events."""

from .events import EventLog
from .model import Record
from .shapes import Json


class Records(EventLog):
    """`records`: by `object`, then by id."""

    def __init__(self, seed: int, start: int, livemode: bool) -> None:
        super().__init__(seed, start, livemode)
        self.records: dict[str, dict[str, Record]] = {}

    def add_record(self, record: Record, event: str | None = None) -> Record:
        """Keep an object; `event`: what its events begin with, `coupon` for one."""
        self.records.setdefault(record.object, {})[record.id] = record
        if event is not None:
            self._emit(f"{event}.created", record)
        return record

    def change_record(self, record: Record, members: Json, event: str | None = None) -> None:
        """Set members of an object; its event is sent only where something changed."""
        if event is None:
            record.content |= members
            return
        with self._update(f"{event}.updated", record):
            record.content |= members

    def delete_record(self, record: Record, event: str | None = None) -> None:
        del self.records[record.object][record.id]
        if event is not None:
            self._emit(f"{event}.deleted", record)

    def record(self, object: str, id: str | None) -> Record | None:
        """The object of this kind and id, if there is one."""
        return self.records.get(object, {}).get(id or "")
