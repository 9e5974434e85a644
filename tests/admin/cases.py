"""Ten users who are blocked, each for another reason: what the screen is to say of each."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from app.db.models import Override, Subscription, WebhookEvent
from app.simulator import DAY, NEW, Account, event_body, thin_event
from tests.client import Client

ERROR = "MalformedEvent: The subscription has no usable customer."


@dataclass(frozen=True)
class Case:
    """`words` go into the search box; the page then names the cause, and links to what fixes it."""

    name: str
    words: str
    cause: str
    remedy: str
    prepare: Callable[["Case", Client], Awaitable[None]]

    @property
    def user_id(self) -> str:
        return f"user_{self.name}"

    @property
    def email(self) -> str:
        return f"{self.name}@example.com"


def now_of(client: Client) -> int:
    return int(client.app.state.billing.clock())


def account_of(case: Case, client: Client, days_ago: int = 5) -> Account:
    return Account(seed=sum(case.name.encode()), start=now_of(client) - days_ago * DAY)


async def dead_event(case: Case, client: Client) -> None:
    """A second subscription's first event: nothing here knows of that subscription."""
    account = account_of(case, client)
    customer = account.create_customer(case.email, user_id=case.user_id)
    await client.deliver(*account.events)
    account.create_subscription(customer, "price_team")
    lost = next(event for event in account.events if event.type == "customer.subscription.created")
    row = WebhookEvent(
        id=lost.id,
        type=lost.type,
        object_id=lost.after.id,
        created=lost.created,
        body=event_body(lost, NEW).decode(),
        received_at=lost.created,
        state="dead",
        attempts=9,
        last_error=ERROR,
        failing_since=lost.created,
    )
    await add(client, row)


async def unlinked_customer(case: Case, client: Client) -> None:
    account = account_of(case, client)
    account.create_subscription(account.create_customer(case.email), "price_team")
    await client.deliver(*account.events)


async def unmapped_price(case: Case, client: Client) -> None:
    account = account_of(case, client)
    account.create_price("price_of_no_plan", 1500)
    account.create_subscription(account.create_customer(case.email, user_id=case.user_id), "price_of_no_plan")
    await client.deliver(*account.events)


async def past_grace(case: Case, client: Client) -> None:
    account = account_of(case, client, days_ago=40)
    subscription = account.create_subscription(
        account.create_customer(case.email, user_id=case.user_id), "price_team"
    )
    account.advance(30 * DAY)
    account.renew(subscription, paid=False)
    await client.deliver(*account.events)


async def canceled(case: Case, client: Client) -> None:
    account = account_of(case, client)
    subscription = account.create_subscription(
        account.create_customer(case.email, user_id=case.user_id), "price_team"
    )
    account.advance(DAY)
    account.cancel_now(subscription)
    await client.deliver(*account.events)


async def over_limit(case: Case, client: Client) -> None:
    account = account_of(case, client)
    subscription = account.create_subscription(
        account.create_customer(case.email, user_id=case.user_id), "price_team", quantity=3
    )
    await client.deliver(*account.events)
    limits = client.app.state.billing.limits
    async with client.app.state.billing.database.session() as session:
        await limits.consume(session, case.user_id, "projects", 25)
    known = len(account.events)
    account.advance(DAY)
    account.change_price(subscription, "price_starter")
    await client.deliver(*account.events[known:])


async def override_ended(case: Case, client: Client) -> None:
    account = account_of(case, client)
    account.create_subscription(account.create_customer(case.email, user_id=case.user_id), "price_starter")
    await client.deliver(*account.events)
    row = Override(
        user_id=case.user_id,
        feature="sso",
        op="set",
        value=True,
        expires_at=now_of(client) - 3600,
        reason="A trial of SSO",
        actor="admin:ada",
        created_at=now_of(client) - 4 * DAY,
    )
    await add(client, row)


async def needs_refresh(case: Case, client: Client) -> None:
    account = account_of(case, client)
    subscription = account.create_subscription(
        account.create_customer(case.email, user_id=case.user_id), "price_starter"
    )
    await client.deliver(*account.events)
    async with client.app.state.billing.database.session() as session:
        row = await session.get(Subscription, subscription.id)
        row.needs_refresh = True


async def duplicate_subscription(case: Case, client: Client) -> None:
    account = account_of(case, client)
    customer = account.create_customer(case.email, user_id=case.user_id)
    account.create_subscription(customer, "price_starter")
    account.create_subscription(customer, "price_team")
    await client.deliver(*account.events)


async def deferred_event(case: Case, client: Client) -> None:
    account = account_of(case, client)
    subscription = account.create_subscription(
        account.create_customer(case.email, user_id=case.user_id), "price_starter"
    )
    await client.deliver(*account.events)
    account.advance(DAY)
    account.change_price(subscription, "price_team")
    assert await client.send(thin_event(account.events[-1])) == "deferred"


async def add(client: Client, row: Any) -> None:
    async with client.app.state.billing.database.session() as session:
        session.add(row)


CASES = (
    Case("dead", "dead@example.com", "An event is dead", "Replay the event", dead_event),
    Case(
        "unlinked",
        "unlinked@example.com",
        "This customer is linked to no user",
        "Link it to a user",
        unlinked_customer,
    ),
    Case("unmapped", "user_unmapped", "A price is in no plan", "Set an override", unmapped_price),
    Case("pastgrace", "user_pastgrace", "The grace is over, and a payment is due", "Open in_", past_grace),
    Case("canceled", "user_canceled", "The subscription is canceled", "Set an override", canceled),
    Case("overlimit", "user_overlimit", "Over the limit of projects", "Correct the usage", over_limit),
    Case("ended", "user_ended", "An override of sso has ended", "Set an override", override_ended),
    Case(
        "refresh", "user_refresh", "The record is to be fetched again from Stripe", "Open sub_", needs_refresh
    ),
    Case("twice", "user_twice", "2 subscriptions at the same time", "Open sub_", duplicate_subscription),
    Case("thin", "user_thin", "A thin event is deferred", "Fetch it again from Stripe", deferred_event),
)


async def prepare(client: Client) -> None:
    """All ten in one database."""
    for case in CASES:
        await case.prepare(case, client)
