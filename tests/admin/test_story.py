"""By the screen alone: why is this user blocked, and what fixes it?"""

import re

import pytest

from app.admin.stripe_links import dashboard_url
from app.simulator import DAY, Account

from .cases import CASES, Case
from .visitor import START, logged_in, words

pytestmark = pytest.mark.postgresql_in_long


def box(page: str) -> str:
    """The box that says what is wrong."""
    found = re.search(r'<h2 id="wrong">.*?</section>', page, re.DOTALL)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.rest_in_long(5)
async def test_the_users_page_names_the_cause_and_the_remedy(database_url: str, case: Case) -> None:
    async with logged_in(database_url) as (client, visitor):
        await case.prepare(case, client)
        found = box(await visitor.open(f"/search?q={case.words}"))
        assert case.cause in words(found)
        links = dict(re.findall(r'href="([^"]+)"[^>]*><bdi>(.*?)</bdi>', found))
        assert any(label.startswith(case.remedy) for label in links.values()), links
        for link in links:
            if link.startswith("/admin"):
                await visitor.open(link.removeprefix("/admin").replace("&amp;", "&"))
            else:
                assert link.startswith("https://dashboard.stripe.com/test/")


@pytest.mark.parametrize(("livemode", "folder"), [(True, ""), (False, "/test"), (None, "/test")])
def test_the_link_into_stripes_dashboard_leads_to_the_right_mode(livemode: bool | None, folder: str) -> None:
    address = dashboard_url("cus_1", livemode)
    assert address == f"https://dashboard.stripe.com{folder}/customers/cus_1"
    assert dashboard_url("user_1", livemode) is None


async def test_the_page_of_a_user_with_nothing_wrong_says_so(database_url: str) -> None:
    account = Account(seed=3, start=START - DAY)
    account.create_subscription(account.create_customer("ok@example.com", user_id="user_ok"), "price_team")
    async with logged_in(database_url) as (client, visitor):
        await client.deliver(*account.events)
        found = words(box(await visitor.open("/user?id=user_ok")))
        assert found.strip() == "Everything is in order No check finds a fault."
