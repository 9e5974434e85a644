"""How many internal links a customer keeps: as many as decide something, and all claims mean the same."""

import random
from typing import Any

import pytest

from app.inbox.handlers import claims
from app.inbox.handlers.claims import MAX_MOVES, NOBODY, NOTHING, owner_of_subscription, with_internal_link

USERS = ("ada", "bob", "eve", None)
Links = dict[str, Any]


def linked(rng: random.Random, times: int) -> Links:
    """A customer that is linked time and again, some of it within one second."""
    stated = NOTHING | {"user_id": rng.choice(USERS), "created": 1, "object_id": "cus_1"}
    links: Links = {"metadata": stated} if stated["user_id"] else {}
    at = 5
    for number in range(times):
        at += rng.choice((0, 0, 1, 3))
        claim = {
            "user_id": rng.choice(USERS),
            "created": at,
            "event_id": f"int_{number}",
            "object_id": "cus_1",
        }
        links = with_internal_link(links, claim)
    return links


def owners(links: Links, last: int) -> list[Any]:
    """Whose subscriptions are, whatever they claim, and since when."""
    found = []
    for user in ("ada", "bob", "eve", "zoe"):
        for at in range(last):
            claim = NOTHING | {"user_id": user, "created": at}
            found.append(owner_of_subscription({"metadata": claim | {"named": True}}, NOBODY, links))
            found.append(owner_of_subscription({"internal": claim | {"moves": at}}, NOBODY, links))
    return found


@pytest.mark.parametrize("seed", range(30))
def test_links_that_were_left_out_change_no_answer(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    times = random.Random(seed).randint(6, 60)
    monkeypatch.setattr(claims, "MAX_MOVES", 10_000)
    whole = linked(random.Random(seed), times)
    monkeypatch.setattr(claims, "MAX_MOVES", len(USERS) + 1)
    bounded = linked(random.Random(seed), times)
    assert len(bounded["moves"]) <= len(USERS) + 1
    assert owners(bounded, 3 * times + 6) == owners(whole, 3 * times + 6)


def test_a_customer_of_a_thousand_users_keeps_the_first_link_and_the_latest() -> None:
    links: Links = {}
    for number in range(1000):
        claim = {"user_id": f"user{number}", "created": number, "event_id": f"int_{number}", "object_id": "c"}
        links = with_internal_link(links, claim)
    assert len(links["moves"]) == MAX_MOVES
    assert [links["moves"][0]["number"], links["moves"][-1]["number"]] == [1, 1000]
    recent = NOTHING | {"user_id": "user980", "created": 981, "named": True}
    assert owner_of_subscription({"metadata": recent}, NOBODY, links) == ("user999", "customer")
