"""A list that Stripe cut takes nothing back, and marks the record as in need of a refresh."""

import pytest

from ...client import Client
from .helpers import MONTH, START, Story, after_each_order, item, limit, line

pytestmark = pytest.mark.postgresql_in_long


# Cut lists.


def cut(story: Story, number: int) -> Story:
    """The story, with no more than one item shown in one of its events, as if Stripe sent so few."""
    listed = story.events[number]["data"]["object"]["items"]
    story.events[number]["data"]["object"]["items"] = listed | {
        "data": [each for each in listed["data"] if each["price"]["id"] == "fee"],
        "has_more": True,
    }
    return story


def cut_from_the_start(user: str) -> Story:
    return cut(Story(user, item("team", quantity=4), item("fee", quantity=None), at=START), 1)


async def test_a_cut_list_needs_a_refresh(client: Client) -> None:
    for found in await after_each_order(client, cut_from_the_start):
        assert (found["needs_refresh"], len(found["items"]), found["has"]["plan"]) == (True, 1, "free")


def cut_later(user: str) -> Story:
    story = Story(user, item("team", quantity=4), item("fee", quantity=None), at=START)
    story.change(START + 60, metadata={"tier": "a"})
    story.change(START + 120, metadata={"tier": "b"})
    return cut(cut(story, 2), 3)


async def test_a_cut_list_takes_nothing_back(client: Client) -> None:
    for found in await after_each_order(client, cut_later):
        assert (found["needs_refresh"], found["has"]["plan"], limit(found, "seats")) == (True, "team", 4)


def cut_after_a_removal(user: str) -> Story:
    story = Story(user, item("team"), item("pro"), item("fee", quantity=None), at=START)
    story.change(START + 60, item("pro"), item("fee", quantity=None))
    story.change(START + 120, metadata={"tier": "b"})
    return cut(story, 3)


async def test_what_a_whole_list_had_removed_does_not_come_back_with_a_cut_one(client: Client) -> None:
    for found in await after_each_order(client, cut_after_a_removal):
        assert (found["has"]["plan"], found["plan_id"]) == ("pro", "pro")


def cut_lines(user: str) -> Story:
    story = Story(user, item("pro", "si_1"), at=START)
    story.invoice(START, "in_1", line("pro", "si_1", START, START + MONTH, 900))
    story.invoice(START + 60, "in_2", line("other", "si_9", START, START + MONTH, 900))
    story.events[-1]["data"]["object"]["lines"]["has_more"] = True
    return story


async def test_a_cut_list_of_lines_needs_a_refresh_and_takes_nothing_back(client: Client) -> None:
    for found in await after_each_order(client, cut_lines):
        assert (found["needs_refresh"], found["paid_through"]) == (True, START + MONTH)
