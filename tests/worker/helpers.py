"""Events that fail, and workers, for the tests of the retry worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.service import Service
from app.signals import event_signal
from app.simulator import Account
from app.worker.pruning import Pruner
from app.worker.worker import Worker

from ..client import Client
from ..limits.helpers import START, Clock

TYPE = "customer.subscription.updated"


def service_of(client: Client) -> Service:
    service: Service = client.app.state.billing
    return service


def another_worker(service: Service, clock: Clock) -> Worker:
    pruner = Pruner(service.database, retention_days=0, clock=clock)
    return Worker(service.database, service.inbox, service.spool, service.alerts, pruner, clock=clock)


@contextmanager
def broken(event_type: str = TYPE, only: set[str] | None = None) -> Iterator[None]:
    """A receiver that raises for events of a type."""

    def raising(event: Any, unit_of_work: Any) -> None:
        if only is None or event.id in only:
            raise ValueError("not today")

    event_signal(event_type).connect(raising)
    try:
        yield
    finally:
        event_signal(event_type).disconnect(raising)


def signed_up() -> Account:
    account = Account(1, start=START - 60)
    account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    return account


async def state_of(client: Client, event_id: str) -> tuple[str, int]:
    event = await client.read(f"/internal/events/{event_id}")
    return event["state"], event["attempts"]
