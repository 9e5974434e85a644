"""Strangers neither lock the admin out nor make the service wait; a log-out ends the session everywhere."""

import asyncio
import threading
from typing import Any

import httpx
import pytest

from app.admin import passwords
from app.admin.passwords import MAX_WAITING, PasswordCheck, TooManyLogIns
from app.admin.throttle import NAME_LIMIT, PAIR_LIMIT, Throttle, network_of

from .visitor import PASSWORD, USERNAME, Clock, Visitor, admin, logged_in, password_hash

pytestmark = pytest.mark.postgresql_in_long


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_counts_for_the_network_of_one_customer(address: str, network: str) -> None:
    assert network_of(address) == network


def test_all_addresses_of_a_network_are_slowed_down_together() -> None:
    throttle = Throttle(Clock())
    for number in range(20):
        throttle.count(f"name{number}", f"2001:db8::{number:x}")
    assert throttle.wait("another", "2001:db8::ffff") > 0
    assert throttle.wait("another", "2001:db8:0:1::1") == 0


async def test_a_browser_that_has_logged_in_before_is_not_locked_out(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (client, visitor):
        token = (await visitor.open("/audit")).partition('name="token" value="')[2].partition('"')[0]
        await visitor.http.post("/admin/logout", data={"token": token})
        for number in range(NAME_LIMIT):
            transport = httpx.ASGITransport(client.app, client=(f"10.0.{number // 4}.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="https://billing.test") as http:
                assert (await Visitor(http).log_in(password="wrong")).status_code == 401
        stranger = httpx.ASGITransport(client.app, client=("10.9.9.9", 1))
        async with httpx.AsyncClient(transport=stranger, base_url="https://billing.test") as http:
            assert (await Visitor(http).log_in()).status_code == 429
        assert (await visitor.log_in()).status_code == 303
        for cookie in [each for each in visitor.http.cookies.jar if each.name == "billing_admin"]:
            visitor.http.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)
        for _ in range(5):  # though it may not guess for ever
            assert (await visitor.log_in(password="wrong")).status_code == 401
        assert (await visitor.log_in(password="wrong")).status_code == 429


async def test_checks_wait_in_a_bounded_queue_and_a_known_browser_passes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check, released = PasswordCheck(password_hash()), threading.Event()
    verify = passwords._hasher.verify

    class Slow:
        """Verifies a stranger's password only once it is allowed to."""

        def verify(self, hash: str, password: str) -> bool:
            if password != PASSWORD:
                released.wait(60)
            return verify(hash, password)

    monkeypatch.setattr(passwords, "_hasher", Slow())
    strangers = [
        asyncio.create_task(check.verify("wrong", network=f"10.0.0.{number}"))
        for number in range(MAX_WAITING)
    ]
    try:
        await asyncio.sleep(0)
        for network in ("10.0.0.1", "10.1.1.1"):
            with pytest.raises(TooManyLogIns):
                await check.verify("wrong", network=network)
        assert await check.verify(PASSWORD, known=True)
        assert not any(task.done() for task in strangers)
    finally:
        released.set()
        assert await asyncio.gather(*strangers) == [False] * MAX_WAITING


async def test_a_copy_of_the_cookie_is_worth_nothing_after_the_log_out(database_url: str) -> None:
    async with logged_in(database_url) as (client, visitor):
        page = await visitor.open("/audit")
        token = page.partition('name="token" value="')[2].partition('"')[0]
        copy = {"Cookie": f"billing_admin={visitor.http.cookies['billing_admin']}"}
        assert (await visitor.http.post("/admin/logout", data={"token": token})).status_code == 303
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://billing.test") as thief:
            answers: list[Any] = [
                await thief.get("/admin/audit", headers=copy),
                await thief.post("/admin/action/link", headers=copy, data={"token": token}),
            ]
            assert [each.status_code for each in answers] == [303, 303]
            assert (await thief.get("/admin/login", headers=copy)).status_code == 200
        assert (await visitor.log_in()).status_code == 303
        await visitor.open("/audit")


async def test_head_does_nothing(sqlite_database: str) -> None:
    async with admin(sqlite_database) as (_, visitor):
        assert (await visitor.http.head("/admin/login")).status_code == 200
        assert (await visitor.log_in(USERNAME)).status_code == 303
        assert (await visitor.http.head("/admin/logout")).status_code in (404, 405)
        assert (await visitor.http.head("/admin/action/link")).status_code == 200
        await visitor.open("/audit")


def test_attempts_that_a_clock_counted_ahead_of_time_lock_nobody_out() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    clock.now += 86_400
    for _ in range(PAIR_LIMIT):
        throttle.count("grace", "10.0.0.1")
    assert throttle.wait("grace", "10.0.0.1") > 0
    clock.now -= 86_400
    assert throttle.wait("grace", "10.0.0.1") == 0
