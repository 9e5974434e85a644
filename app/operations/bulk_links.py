"""Links many customers at once, from a file of `customer_id,user_id`."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlmodel import col, select

from ..concurrency import run_all
from ..db.models import Customer, Subscription
from ..db.ownership import user_of
from ..errors import InvalidRequest, NotFound
from ..service import Service
from ..stripe.objects import as_id
from .links import link_customer

HEADER = ["customer_id", "user_id"]
AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Link:
    customer_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class Staying:
    """A subscription of a linked customer that names another user itself, and stays with that one."""

    customer_id: str
    subscription_id: str
    user_id: str | None


@dataclass(slots=True)
class Report:
    """What became of the links: `unknown` are customers that are not known here."""

    linked: int = 0
    unknown: list[str] = field(default_factory=list)
    stays: list[Staying] = field(default_factory=list)


def read_links(lines: Iterable[str]) -> list[Link]:
    """The links of a CSV file, with or without a header line; a line that comes twice counts once.

    Raises:
        InvalidRequest: naming the first line that is no link, or that links a customer to a second user.
    """
    links: dict[str, Link] = {}
    for number, link in _rows(lines):
        if links.setdefault(link.customer_id, link) != link:
            raise InvalidRequest(
                f"Line {number} links {link.customer_id} to a second user. Nothing was linked."
            )
    return list(links.values())


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, Link]]:
    reader = csv.reader(lines, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells) or (reader.line_num == 1 and cells == HEADER):
                continue
            if len(cells) != len(HEADER) or None in map(as_id, cells):
                raise InvalidRequest(
                    f"Line {reader.line_num} is not `customer_id,user_id` with ids of 1 to 255 printable "
                    "characters. Nothing was linked."
                )
            yield reader.line_num, Link(*cells)
    except csv.Error as error:
        raise InvalidRequest(f"Line {reader.line_num} is no CSV ({error}). Nothing was linked.") from None


async def link_customers(
    service: Service,
    links: Sequence[Link],
    *,
    actor: str,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Link the customers, while the service takes events in; a run that was cut off can be repeated.

    `on_progress` is called with how many more are done. No activation is announced for them.

    Raises:
        Unavailable: when the database cannot store it now; the links before are made.
    """
    report = Report()
    for first in range(0, len(links), AT_ONCE):
        chunk = links[first : first + AT_ONCE]
        await run_all(_link(service, link, report, actor) for link in chunk)
        report.stays += await _staying(service, chunk)
        on_progress(len(chunk))
    return report


async def _link(service: Service, link: Link, report: Report, actor: str) -> None:
    try:
        await link_customer(service, link.customer_id, link.user_id, actor=actor, announce=False)
    except NotFound:
        report.unknown.append(link.customer_id)
    else:
        report.linked += 1


async def _staying(service: Service, links: Sequence[Link]) -> list[Staying]:
    users = {link.customer_id: link.user_id for link in links}
    query = (
        select(Subscription, Customer)
        .join(Customer, col(Customer.id) == col(Subscription.customer_id))
        .where(col(Customer.id).in_(users))
        .order_by(col(Subscription.id))
    )
    async with service.database.reading() as session:
        rows = list(await session.exec(query))
    owners = [(customer.id, row.id, user_of(row, customer)) for row, customer in rows]
    return [Staying(*owner) for owner in owners if owner[2] != users[owner[0]]]
