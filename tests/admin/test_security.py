"""Who gets in, for how long, and what a page may load or be loaded by."""

import re
import sqlite3
from pathlib import Path

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from app import admin as package
from app.admin.passwords import hash_password
from app.admin.sessions import COOKIE, IDLE_SECONDS, LONGEST_SECONDS
from app.admin.throttle import MAX_KEYS, WINDOW_SECONDS, Throttle
from app.db.models import Override
from tests.client import running

from .visitor import PASSWORD, USERNAME, Clock, admin, logged_in, token_of

pytestmark = pytest.mark.postgresql_in_long

PATHS = ("/", "/search?q=x", "/user?id=x", "/event?id=x", "/subscriptions", "/audit", "/action/link")
FORM = {"content-type": "application/x-www-form-urlencoded"}
FILES = Path(package.__file__).parent


async def test_without_its_settings_there_is_no_screen(sqlite_database: str) -> None:
    async with running(sqlite_database) as client:
        assert (await client.http.get("/admin/")).status_code == 404
        assert (await client.http.get("/admin/login")).status_code == 404


async def test_every_page_asks_who_is_there(sqlite_database: str) -> None:
    async with admin(sqlite_database) as (_, visitor):
        for path in PATHS:
            response = await visitor.http.get(f"/admin{path}")
            assert response.status_code == 303, path
            assert response.headers["location"].startswith("/admin/login?next=%2Fadmin%2F"), path


async def test_after_the_log_in_one_is_where_one_wanted_to_go(sqlite_database: str) -> None:
    async with admin(sqlite_database) as (_, visitor):
        page = await visitor.http.get("/admin/events?state=dead", follow_redirects=True)
        action = re.search(r'action="([^"]+)"', page.text)
        assert action is not None
        form = {"token": token_of(page.text), "username": USERNAME, "password": PASSWORD}
        response = await visitor.http.post(action[1], data=form)
        assert response.headers["location"] == "/admin/events?state=dead"


ELSEWHERE = ("https://evil.test/", "//evil.test", "/admin\\..", "/other", "javascript:x")


@pytest.mark.parametrize("target", ELSEWHERE)
async def test_the_log_in_leads_nowhere_else(sqlite_database: str, target: str) -> None:
    async with admin(sqlite_database) as (_, visitor):
        form = {"token": token_of(await visitor.open("/login")), "username": USERNAME, "password": PASSWORD}
        response = await visitor.http.post("/admin/login", params={"next": target}, data=form)
        assert response.headers["location"] == "/admin/"


@pytest.mark.parametrize(("username", "password"), [(USERNAME, "wrong"), ("mallory", PASSWORD), ("", "")])
async def test_a_wrong_name_and_a_wrong_password_are_refused_alike(
    sqlite_database: str, username: str, password: str
) -> None:
    async with admin(sqlite_database) as (_, visitor):
        response = await visitor.log_in(username, password)
        assert response.status_code == 401
        assert "The user name or the password is wrong." in response.text


async def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_http(sqlite_database: str) -> None:
    async with admin(sqlite_database) as (client, visitor):
        cookie = (await visitor.log_in()).headers["set-cookie"]
        for attribute in ("HttpOnly", "SameSite=lax", "Secure", "Path=/admin"):
            assert attribute in cookie
        transport = httpx.ASGITransport(client.app)
        for address, secure in (("http://127.0.0.1:8000", False), ("http://billing.test", True)):
            async with httpx.AsyncClient(transport=transport, base_url=address) as http:
                cookie = (await http.get("/admin/login")).headers["set-cookie"]
                assert ("Secure" in cookie) is secure, address


async def test_a_session_ends_when_idle_and_after_half_a_day(sqlite_database: str) -> None:
    clock = Clock()
    async with logged_in(sqlite_database, clock) as (_, visitor):
        for _ in range(LONGEST_SECONDS // (IDLE_SECONDS - 60)):
            clock.now += IDLE_SECONDS - 60
            assert (await visitor.http.get("/admin/audit")).status_code == 200
        clock.now += IDLE_SECONDS - 60
        assert (await visitor.http.get("/admin/audit")).status_code == 303
    clock = Clock()
    async with logged_in(sqlite_database, clock) as (_, visitor):
        clock.now += IDLE_SECONDS + 1
        assert (await visitor.http.get("/admin/audit")).status_code == 303


async def test_a_session_holds_in_every_replica_until_the_password_changes(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (_, visitor):
        cookie = visitor.http.cookies[COOKIE]
    changed = hash_password("another-fake-password")
    async with admin(sqlite_database) as (_, replica):
        replica.http.cookies.set(COOKIE, cookie, path="/admin")
        assert (await replica.http.get("/admin/audit")).status_code == 200
    async with admin(sqlite_database, admin_password_hash=changed) as (_, later):
        later.http.cookies.set(COOKIE, cookie, path="/admin")
        assert (await later.http.get("/admin/audit")).status_code == 303


@pytest.mark.parametrize("cookie", ["", "x", "e30.x", "a" * 5000])
async def test_a_cookie_that_we_did_not_sign_is_nobodys(sqlite_database: str, cookie: str) -> None:
    async with admin(sqlite_database) as (_, visitor):
        visitor.http.cookies.set(COOKIE, cookie, path="/admin")
        assert (await visitor.http.get("/admin/audit")).status_code == 303


async def test_logging_out_ends_the_session(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (_, visitor):
        token = token_of(await visitor.open("/audit"))
        assert (await visitor.http.get("/admin/logout")).status_code == 404  # no link logs anybody out
        assert (await visitor.http.post("/admin/logout", data={"token": token})).status_code == 303
        assert (await visitor.http.get("/admin/audit")).status_code == 303


async def test_a_form_without_the_sessions_token_changes_nothing(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (_, visitor):
        form = {"customer": "cus_1", "user": "user_1", "confirmed": "yes"}
        for token in (
            {},
            {"token": ""},
            {"token": "of-another-session"},
            {"token": "ü"},
        ):
            for path in ("/admin/action/link", "/admin/logout"):
                response = await visitor.http.post(path, data=form | token)
                assert response.status_code == 403
                assert "Nothing was changed" in response.text
        assert (await visitor.http.get("/admin/audit")).status_code == 200


async def test_an_action_is_performed_by_a_post_alone(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (client, visitor):
        form = {"user": "user_ada", "feature": "sso", "op": "set", "value": "true", "reason": "r"}
        confirmed = form | {"confirmed": "yes"}
        for method in ("GET", "HEAD"):  # neither needs the token, so neither may change anything
            await visitor.http.request(
                method, "/admin/action/override", params=confirmed, data=confirmed, headers=FORM
            )
        async with client.app.state.billing.database.reading() as session:
            assert await session.get(Override, ("user_ada", "sso")) is None


async def test_a_log_in_form_without_its_token_is_refused(sqlite_database: str) -> None:
    async with admin(sqlite_database) as (_, visitor):
        form = {"username": USERNAME, "password": PASSWORD}
        response = await visitor.http.post("/admin/login", data=form)
        assert response.status_code == 400
        assert "sent no cookie" in response.text
        assert (await visitor.http.post("/admin/login", data=form | {"token": "x"})).status_code == 403


async def test_guessing_is_slowed_down_and_the_right_password_waits_too(sqlite_database: str) -> None:
    clock = Clock()
    async with admin(sqlite_database, clock) as (_, visitor):
        for _ in range(5):
            assert (await visitor.log_in(password="wrong")).status_code == 401
        refused = await visitor.log_in()
        assert refused.status_code == 429
        assert "Try again in 15 minutes" in refused.text
        clock.now += WINDOW_SECONDS + 1
        assert (await visitor.log_in()).status_code == 303


def test_an_address_is_slowed_down_whatever_names_it_tries() -> None:
    throttle = Throttle(Clock())
    for number in range(20):
        assert throttle.wait(f"name{number}", "10.0.0.1") == 0
        throttle.count(f"name{number}", "10.0.0.1")
    assert throttle.wait("another", "10.0.0.1") > 0
    assert throttle.wait("another", "10.0.0.2") == 0


def test_a_stranger_does_not_lock_the_admin_out_of_another_address() -> None:
    throttle = Throttle(Clock())
    for _ in range(20):
        throttle.count(USERNAME, "10.0.0.1")
    assert throttle.wait(USERNAME, "10.0.0.1") > 0
    assert throttle.wait(USERNAME, "10.0.0.2") == 0


def test_the_throttles_memory_is_bounded() -> None:
    throttle = Throttle(Clock())
    for number in range(MAX_KEYS):
        throttle.count("x" * 1000 + str(number), f"10.0.{number // 256}.{number % 256}")
    assert len(throttle) <= MAX_KEYS


async def test_every_answer_carries_the_headers(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (_, visitor):
        for path in (*PATHS, "/nowhere", "/login", "/assets/admin.css", "/user?id=%00"):
            headers = (await visitor.http.get(f"/admin{path}")).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, path
            assert "script-src" not in policy and "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cache-control"] == "no-store"


async def test_a_database_that_is_down_is_said_with_the_headers(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with logged_in(sqlite_database) as (client, visitor):

        def down() -> None:
            raise OperationalError("SELECT 1", {}, sqlite3.OperationalError()) from sqlite3.OperationalError()

        monkeypatch.setattr(client.app.state.billing.database, "reading", down)
        response = await visitor.http.get("/admin/audit")
        assert response.status_code == 503
        assert "The database does not answer now" in response.text
        assert "frame-ancestors" in response.headers["content-security-policy"]


async def test_a_page_that_fails_answers_with_the_headers_all_the_same(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with logged_in(sqlite_database) as (client, visitor):
        monkeypatch.setattr(client.app.state.billing.database, "reading", None)
        response = await visitor.http.get("/admin/audit")
        assert response.status_code == 500
        assert "Something here failed" in response.text
        assert response.headers["cache-control"] == "no-store"


async def test_the_address_without_its_slash_leads_to_the_overview(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (_, visitor):
        response = await visitor.http.get("/admin", follow_redirects=True)
        assert "<h1>Overview</h1>" in response.text


async def test_a_form_that_is_too_large_is_refused(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (_, visitor):
        response = await visitor.http.post("/admin/action/link", data={"token": "x" * 100_000})
        assert response.status_code == 413


def test_nothing_is_loaded_from_elsewhere_and_no_script_stands_in_a_page() -> None:
    files = [*(FILES / "templates").iterdir(), *(FILES / "assets").iterdir()]
    assert len(files) > 10
    for file in files:
        text = file.read_text()
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+[^\s\"')]*", text)) - {"http://www.w3.org/2000/svg"}
        assert addresses == set(), file.name
        assert not re.search(r"<script|<style|\son\w+=|style=|javascript:|@import|url\(", text), file.name


async def test_an_address_of_no_page_is_not_found(sqlite_database: str) -> None:
    async with logged_in(sqlite_database) as (_, visitor):
        for path in (
            "/statics/js/main.js",
            "/subscription/list",
            "/subscription/edit/s",
            "/x/export/csv",
            "/assets/nothing.css",
            "/assets/..%2fapp.py",
        ):
            assert (await visitor.http.get(f"/admin{path}")).status_code == 404, path


async def test_two_screens_in_one_process_do_not_share_their_admins(
    sqlite_database: str, postgres_database: str
) -> None:
    async with (
        logged_in(sqlite_database) as (_, one),
        admin(postgres_database, admin_username="linus") as (_, other),
    ):
        assert (await one.http.get("/admin/audit")).status_code == 200
        other.http.cookies.set(COOKIE, one.http.cookies[COOKIE], path="/admin")
        assert (await other.http.get("/admin/audit")).status_code == 303


async def test_a_log_in_is_in_the_audit_trail(database_url: str) -> None:
    async with logged_in(database_url) as (_, visitor):
        assert "admin.login" in await visitor.open("/audit")
