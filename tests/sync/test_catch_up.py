"""What never arrived is listed from Stripe and taken in; the records are then those of Stripe."""

import random
from typing import Any

import orjson
import pytest
from sqlmodel import col, select

from app.db.models import EventArrival, WebhookEvent
from app.errors import NotStorable, StripeRefused, StripeUnavailable
from app.inbox.delivery import Delivery
from app.inbox.handlers import handled, stripe_types
from app.inbox.outcome import Outcome
from app.inbox.unit_of_work import UnitOfWork
from app.operations.checks import check_service
from app.signals import event_signal
from app.simulator import DAY, OLD, Account, deliveries, random_history, thin_body, truth
from app.simulator import Faults as DeliveryFaults
from app.stripe.client import Answer, StripeApi, type_groups
from app.stripe.event_types import plain_type
from app.stripe.events import StripeEvent
from app.sync import event_lists
from app.sync.catch_up import KEPT_SECONDS, OVERLAP_SECONDS
from app.sync.pending import UNCHANGED_SECONDS
from tests.records import stored

from .conftest import Beside, Start

pytestmark = pytest.mark.postgresql_in_long

NOW = 1_900_000_000


def lived(seed: int, *, steps: int = 60) -> Account:
    """A history within the 30 days that Stripe keeps events."""
    for shift in range(20):
        account = Account(seed, start=NOW)
        random_history(account, random.Random(seed + 1000 * shift), customers=6, steps=steps)
        if account.now - NOW < KEPT_SECONDS - DAY:
            return account
        steps = steps * 2 // 3
    raise AssertionError("every history was too long")


async def ids_in(beside: Beside) -> set[str]:
    async with beside.service.database.reading() as session:
        return set(await session.exec(select(WebhookEvent.id)))


async def catch_up(beside: Beside, since: int | None = None) -> Any:
    assert beside.service.catch_up is not None
    return await beside.service.catch_up.run(since)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.long
async def test_after_a_third_of_all_deliveries_was_lost_nothing_is_missing(
    database_url: str, beside: Start, seed: int
) -> None:
    account, rng = lived(seed), random.Random(seed)
    async with beside(database_url, account) as both:
        sent = deliveries(account.events, rng, DeliveryFaults(duplicates=0.2, reorder=True))
        kept = [event for event in sent if rng.random() > 1 / 3]
        await both.client.deliver(*kept)
        handled = {event.id for event in account.events if event.type in types_handled()}
        assert handled - await ids_in(both)
        found = await catch_up(both)
        assert handled <= await ids_in(both)
        assert found.missing == len(handled - {event.id for event in kept})
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected
        again = await catch_up(both)
        assert again.missing == 0


def types_handled() -> set[str]:
    return set(stripe_types())


def test_no_list_names_more_types_than_stripe_takes() -> None:
    groups = type_groups(sorted(types_handled()))
    assert {name for group in groups for name in group} == types_handled()
    assert max(len(group) for group in groups) <= 20
    assert len(groups) > 1


async def test_events_listed_in_another_version_than_the_endpoints_are_read_alike(
    database_url: str, beside: Start
) -> None:
    account = lived(5)
    async with beside(database_url, account) as both:
        for event in account.events[::2]:
            await both.client.deliver(event, shape=OLD)
        await catch_up(both)
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected


@pytest.mark.parametrize(
    "seed",
    [
        0,
        *(
            pytest.param(seed, marks=[pytest.mark.long, pytest.mark.postgresql_in_deep])
            for seed in range(1, 4)
        ),
    ],
)
@pytest.mark.long
async def test_one_that_is_cut_off_goes_on_where_it_was(database_url: str, beside: Start, seed: int) -> None:
    account = lived(seed)
    for _ in range(150):
        account.create_subscription(account.create_customer())
    rng = random.Random(seed)

    class CutOff(Exception):
        pass

    async with beside(database_url, account) as both:
        assert both.service.catch_up is not None
        pages: list[int] = []
        cut = 0
        while True:
            left = rng.randint(1, 3)

            def on_progress(listed: int, missing: int) -> None:
                nonlocal left
                pages.append(listed)
                left -= 1
                if not left:
                    raise CutOff

            try:
                await both.service.catch_up.run(NOW, on_progress)
                break
            except CutOff:
                cut += 1
        assert cut >= 2
        assert pages == sorted(pages) or len(pages) < 40
        handled = {event.id for event in account.events if event.type in types_handled()}
        assert handled <= await ids_in(both)
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected


async def test_the_next_one_lists_only_what_is_new_and_an_overlap(database_url: str, beside: Start) -> None:
    account = Account(1, start=NOW)
    for _ in range(5):
        account.create_customer()
        account.advance(DAY)
    async with beside(database_url, account) as both:
        assert (await catch_up(both)).listed == 5
        account.advance(10)
        account.create_customer()
        account.advance(OVERLAP_SECONDS // 2)
        assert (await catch_up(both)).listed == 1
        assert (await catch_up(both)).listed == 1  # within the overlap
        account.advance(2 * OVERLAP_SECONDS)
        await catch_up(both)
        assert (await catch_up(both)).listed == 0


async def test_while_stripe_is_down_it_says_so_and_a_later_one_finishes(
    database_url: str, beside: Start
) -> None:
    account = lived(3)
    async with beside(database_url, account) as both:
        assert both.service.catch_up is not None
        both.faults.next("error", 3)  # more than the client repeats
        with pytest.raises(StripeUnavailable):
            await catch_up(both)
        assert await both.service.catch_up.is_due(3600)
        both.faults.next("rate_limit", 2, seconds=0)
        await catch_up(both)
        assert not await both.service.catch_up.is_due(3600)
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected


PRICE_CHANGED = "customer.subscription.item_price_changed"


def with_changed_price() -> tuple[Account, str]:
    account = Account(1, start=NOW)
    subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_starter")
    account.advance(60)
    account.change_price(subscription, "price_team")
    account.advance(60)
    return account, subscription.id


async def heard_of_changed_price(both: Beside) -> list[str]:
    """The subscriptions whose receiver of a type that only thin events have is called by a catch-up."""
    heard: list[str] = []

    def hear(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
        heard.append(str(event.object_id))

    with event_signal(PRICE_CHANGED).connected_to(hear):
        for _ in range(2):
            assert await catch_up(both)
            both.account.advance(UNCHANGED_SECONDS + 1)
            await both.refresh()
    return heard


async def test_an_event_that_no_snapshot_says_is_listed_for_the_receiver_of_the_application(
    database_url: str, beside: Start
) -> None:
    account, id = with_changed_price()
    async with beside(database_url, account) as both:
        await both.client.deliver(*account.events)
        assert await heard_of_changed_price(both) == [id]
        asked = both.traffic.by_route["GET /v2/core/events"]
        assert asked == 2
        await catch_up(both)
        assert both.traffic.by_route["GET /v2/core/events"] == asked, "nobody waits for one any more"


async def test_where_thin_events_arrive_those_of_every_handled_type_are_listed(
    database_url: str, beside: Start
) -> None:
    account, id = with_changed_price()
    account.renew(account.subscriptions[id], paid=False)
    thin = [each for each in account.thin_events() if plain_type(each.type) in handled()]
    lost = [each for each in thin if each.type == "v1.customer.subscription.past_due"]
    async with beside(database_url, account) as both:
        for each in thin:
            if each not in lost:
                await both.client.send(orjson.loads(thin_body(each)))
        found = await catch_up(both)
        assert (len(lost), found.missing) == (1, 1), "a snapshot whose thin version came is not missing"
        assert {each.id for each in lost} <= await ids_in(both)
        assert (await catch_up(both)).missing == 0
        async with both.service.database.reading() as session:
            assert (
                list(await session.exec(select(EventArrival).where(col(EventArrival.way) == "catch-up")))
                == []
            )


async def test_a_list_of_thin_events_that_is_cut_off_goes_on_at_its_page(
    database_url: str, beside: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_lists, "PAGE", 4)
    account, id = with_changed_price()
    for number in range(6):
        account.change_price(account.subscriptions[id], ("price_starter", "price_team")[number % 2])
    async with beside(database_url, account) as both:
        assert both.service.catch_up is not None

        def cut(listed: int, missing: int) -> None:
            if both.traffic.by_route["GET /v2/core/events"]:
                raise KeyError("cut off")

        with event_signal(PRICE_CHANGED).connected_to(receives_nothing):
            with pytest.raises(KeyError):
                await both.service.catch_up.run(None, cut)
            await catch_up(both)
            assert both.traffic.by_route["GET /v2/core/events"] == 2, "the first page is not read again"
        changes = {each.id for each in account.thin_events() if each.type == f"v1.{PRICE_CHANGED}"}
        assert len(changes) == 7 and changes <= await ids_in(both)


def receives_nothing(event: StripeEvent, unit_of_work: UnitOfWork) -> None:
    """A receiver, so that somebody waits."""


async def test_a_key_that_may_not_list_thin_events_catches_up_with_snapshots_and_says_so(
    database_url: str, beside: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, _ = with_changed_price()
    get = StripeApi.get

    async def refused(api: StripeApi, path: str, **params: Any) -> Answer:
        if path.startswith("/v2/core/events"):
            raise StripeRefused("Stripe does not accept STRIPE_API_KEY for this.")
        return await get(api, path, **params)

    monkeypatch.setattr(StripeApi, "get", refused)
    async with beside(database_url, account) as both:
        with event_signal(PRICE_CHANGED).connected_to(receives_nothing):
            found = await catch_up(both)
        assert found.missing == found.listed > 0
        expected = truth(account)
        assert await stored(both.service.database, expected) == expected
        [finding] = (await check_service(both.service))["catch-up"]
        assert finding.level == "warning" and f"v1.{PRICE_CHANGED}" in finding.what
        await catch_up(both)
        assert (await check_service(both.service))["catch-up"] == []


async def test_an_event_that_the_database_refuses_keeps_no_other_out(
    database_url: str, beside: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(1, start=NOW)
    refused, taken = (account.create_customer().id for _ in range(2))
    async with beside(database_url, account) as both:
        refuse(both, refused, monkeypatch)
        await catch_up(both)
        assert both.service.catch_up is not None and not await both.service.catch_up.is_due(3600)
        assert (await both.client.get(f"/internal/customers/{refused}")).status_code == 404
        assert (await both.client.get(f"/internal/customers/{taken}")).status_code == 200


def refuse(both: Beside, object_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the database refuse the events of an object."""
    accept = both.service.inbox.accept

    async def unless_refused(delivery: Delivery) -> Outcome:
        if delivery.event.object_id == object_id:
            raise NotStorable("The event cannot be stored.")
        return await accept(delivery)

    monkeypatch.setattr(both.service.inbox, "accept", unless_refused)
