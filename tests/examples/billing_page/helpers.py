"""The example's billing page, and its buttons."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.simulator.api import complete_checkout
from examples import billing_page

from ...client import AUTH
from ...shop import USER, Shop, shop

HEADERS = {"X-User": USER}


@asynccontextmanager
async def opened(database_url: str, **changes: Any) -> AsyncIterator[Shop]:
    async with shop(database_url, **changes) as here:
        here.client.app.include_router(billing_page.router)
        yield here


async def page(here: Shop, path: str = "/billing", status: int = 200) -> str:
    response = await here.client.http.get(path, headers=HEADERS)
    assert response.status_code == status, response.text
    return response.text


async def press(here: Shop, html: str, label: str, **changes: str) -> httpx.Response:
    """Send the form of the button, as it stands on the page."""
    for action, inside in re.findall(
        r'<form method="post" action="([^"]+)"[^>]*>(.*?)</form>', html, re.DOTALL
    ):
        if label in words(inside):
            found = re.findall(r'name="([^"]+)" value="([^"]*)"', inside)
            form = {name: unescape(value) for name, value in found} | changes
            return await here.client.http.post(action, data=form, headers=HEADERS)
    raise AssertionError(f"no button {label} among {words(html)}")


async def buy(here: Shop, label: str = "Upgrade to Team") -> str:
    """Press, pay at Stripe, come back; the page after that, before any webhook came."""
    left = await press(here, await page(here), label)
    assert left.status_code == 303, left.text
    session = urlsplit(left.headers["location"]).path.rpartition("/")[2]
    complete_checkout(here.account, session)
    back = urlsplit(here.account.sessions[session].success_url.replace("{CHECKOUT_SESSION_ID}", session))
    returned = await here.client.http.get(f"{back.path}?{back.query}", headers=HEADERS)
    assert (returned.status_code, returned.headers["location"]) == (303, "/billing"), returned.text
    return await page(here)


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL)).split())


async def use(here: Shop, feature: str, amount: int) -> None:
    path, body = f"/internal/users/{USER}/usage/{feature}", {"op": "set", "amount": amount}
    response = await here.client.http.post(path, json=body, headers=AUTH)
    assert response.status_code == 200, response.text
