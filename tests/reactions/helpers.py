"""A listener to reactions, and deliveries from the outbox."""

import re
from collections.abc import Callable
from typing import Any

from sqlmodel import select

from app import signals
from app.db.models import OutboxEntry
from app.service import Service
from app.signals import (
    Reaction,
    reactions,
)
from app.simulator import Account
from tools.reference import docstrings

from ..client import Client
from ..limits.helpers import START
from ..waiting import until_idle

TOLD = docstrings(signals)
SAME_FACTS = re.compile(r"`facts` is that of `(\w+)`|with the same `(facts)`")
HEARD = [signal for name, signal in reactions.items()]


def documented_facts(signal: str) -> set[str]:
    """The names that a signal's documentation says `facts` has, or those of the signal that it refers to."""
    if (same := SAME_FACTS.search(TOLD[signal])) is not None:
        return documented_facts(same[1] or "usage_threshold_reached")
    return set(re.findall(r"`(\w+)`", TOLD[signal].partition("`facts`")[2]))


def undocumented_facts(reaction: Reaction) -> set[str]:
    if reaction.signal == "entitlements_changed":  # the user's state: docs/webhooks-out.md
        return set()
    return reaction.facts.keys() - documented_facts(reaction.signal)


class Listener:
    """A durable receiver of everything, which a test may let raise or hang."""

    def __init__(self, name: str = "listener") -> None:
        self.name = name
        self.heard: list[Reaction] = []
        self.behave: Callable[[Reaction], Any] | None = None

    async def __call__(self, reaction: Reaction) -> None:
        if self.behave is not None:
            result = self.behave(reaction)
            if result is not None:
                await result
        self.heard.append(reaction)

    def signals(self) -> list[str]:
        return [reaction.signal for reaction in self.heard]


def service_of(client: Client) -> Service:
    service: Service = client.app.state.billing
    return service


async def ada_subscribes(client: Client) -> None:
    account = Account(1, start=START - 60)
    account.create_subscription(account.create_customer(user_id="ada"), "price_team")
    await client.deliver(*account.events)


async def deliver_all(client: Client, listener: Listener) -> None:
    await until_idle(lambda: service_of(client).outbox.deliver_due(listener.name))


async def entries(client: Client) -> list[OutboxEntry]:
    async with service_of(client).database.reading() as session:
        return list(await session.exec(select(OutboxEntry).order_by(OutboxEntry.id)))
