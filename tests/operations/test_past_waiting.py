"""Which events were waiting at a moment, also of objects that no event had made known by then."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.inbox.delivery import receive
from app.operations.links import link_customer
from app.operations.past_limits import PastLimits, limits_at
from app.simulator import DAY, NEW, Account, event_body

from ..inbox.purchases import (
    CLOSED,
    COMPLETED,
    MADE,
    REFUNDED,
    charge,
    dispute,
    event,
    refund,
    session,
)
from ..limits.past_site import Site, shop, site

pytestmark = pytest.mark.postgresql_in_long


@pytest.fixture
async def here(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with site(database_url, random.Random(1), tmp_path / "plans.toml", shop) as made:
        yield made


async def come_late(here: Site, *events: dict[str, Any]) -> int:
    """The events come, and are processed a minute later; a moment between."""
    received_at = here.now
    here.now += 60
    for each in events:
        await here.inbox.accept(receive(orjson.dumps(each), signature=None, received_at=received_at))
    here.now += 60
    return received_at + 30


async def at_moment(here: Site, at: int, user: str = "ada") -> PastLimits:
    return await limits_at(here.service, user, at)


def waiting(found: PastLimits) -> set[str]:
    return {each.id for each in found.waiting_events}


def calls(found: PastLimits) -> int:
    return sum(each.amount for each in found.entitlements.grants if each.feature == "api_calls")


async def test_refunds_and_disputes_that_were_waiting_are_named_and_do_not_count(here: Site) -> None:
    await here.receive(event(1, COMPLETED, session(), here.now))
    here.now += 60
    at = await come_late(
        here,
        event(2, MADE, refund("re_1", 400, at=here.now), here.now),
        event(3, REFUNDED, charge(400), here.now),
        event(4, CLOSED, dispute("lost", 100), here.now),
    )
    then, now = await at_moment(here, at), await at_moment(here, here.now)
    assert (waiting(then), calls(then)) == ({"evt_2", "evt_3", "evt_4"}, 100)
    assert [each.id for each in then.last_events] == ["evt_1"]
    assert (waiting(now), calls(now)) == (set(), 50)


async def test_a_purchase_whose_first_event_was_waiting_is_named(here: Site) -> None:
    at = await come_late(here, event(1, COMPLETED, session(), here.now), event(2, REFUNDED, charge(400)))
    then = await at_moment(here, at)
    assert (waiting(then), calls(then), list(then.last_events)) == ({"evt_1", "evt_2"}, 0, [])
    assert waiting(await at_moment(here, at, "bob")) == set()
    assert waiting(await at_moment(here, here.now)) == set()


async def test_a_refund_of_what_was_given_to_somebody_else_since_is_named(here: Site) -> None:
    unnamed = {"grant": "credits.top_up"}
    named = session(metadata=unnamed, client_reference_id="ada")
    await here.receive(event(1, COMPLETED, named, here.now))
    here.now += 60
    at = await come_late(here, event(2, REFUNDED, charge(400), here.now))
    await link_customer(here.service, "cus_ada", "bob", actor="ann")
    here.now += 60
    assert waiting(await at_moment(here, at)) == {"evt_2"}
    assert calls(await at_moment(here, here.now, "bob")) == 60


async def test_a_subscription_whose_first_events_were_waiting_is_named(here: Site) -> None:
    account = Account(seed=7, start=here.now - DAY)
    customer = account.create_customer(user_id="ada")
    account.create_subscription(customer, "price_team")
    kinds = ("customer.created", "customer.subscription.created", "invoice.paid")
    events = [orjson.loads(event_body(each, NEW)) for each in account.events if each.type in kinds]
    at = await come_late(here, *events)
    then = await at_moment(here, at)
    assert {each.type for each in then.waiting_events} == set(kinds)
    assert (then.entitlements.plan, list(then.last_events)) == ("free", [])


async def test_a_session_that_names_who_has_subscribed_is_named(here: Site) -> None:
    at = await come_late(
        here,
        event(
            1,
            COMPLETED,
            session(
                mode="subscription", subscription="sub_1", payment_intent=None, client_reference_id="ada"
            ),
            here.now,
        ),
    )
    assert waiting(await at_moment(here, at)) == {"evt_1"}
