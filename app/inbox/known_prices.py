"""What the rows of a batch say of prices."""

from collections.abc import Iterator, Mapping
from typing import cast

from ..db.models import Price, Record
from ..plans import KnownPrice


class KnownPrices(Mapping[str, KnownPrice]):
    """What the loaded rows say of prices, also of those that an event of this batch has changed.

    It refers to the rows alone. A reference to the unit of work, which refers to it, would be a cycle: only
    the garbage collector would free the rows of a batch.
    """

    def __init__(self, rows: Mapping[tuple[type[Record], str], Record]) -> None:
        self._rows = rows

    def __getitem__(self, price_id: str) -> KnownPrice:
        row = cast(Price, self._rows[Price, price_id])
        return KnownPrice.of(row.product_id, row.lookup_keys)

    def __iter__(self) -> Iterator[str]:
        return (id for kind, id in self._rows if kind is Price)

    def __len__(self) -> int:
        return sum(1 for _ in self)
