"""The service as a guest in an application that has routes, users and a description of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest
from fastapi import Depends, FastAPI
from prometheus_client import make_asgi_app

from app import limits
from app.errors import ConfigurationError, InvalidRequest
from app.main import create_app, install
from app.simulator import NEW, Account, event_body, sign

from .client import AUTH, SECRET, settings_for

OWN = ("/healthz", "/readyz", "/metrics")


def asking(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://guest.test", headers=AUTH)


def add_own(app: FastAPI) -> None:
    for path in OWN:
        app.add_api_route(path, lambda: {"mine": True})


@pytest.mark.parametrize("before", [True, False])
async def test_the_routes_of_the_application_win_in_any_order(sqlite_database: str, before: bool) -> None:
    app = FastAPI()
    if before:
        add_own(app)
    install(app, settings_for(sqlite_database))
    if not before:
        add_own(app)
    async with app.router.lifespan_context(app), asking(app) as http:
        assert [(await http.get(path)).json() for path in OWN] == [{"mine": True}] * 3
        assert (await http.get("/internal/customers")).status_code == 200


async def test_metrics_that_the_application_mounts_win_too(sqlite_database: str) -> None:
    app = FastAPI()
    install(app, settings_for(sqlite_database))
    app.mount("/metrics", make_asgi_app())
    async with app.router.lifespan_context(app), asking(app) as http:
        assert "billing_build_info" not in (await http.get("/metrics/")).text
        assert (await http.get("/healthz")).json()["status"] == "alive"


async def test_a_prefix_stands_before_every_route(sqlite_database: str) -> None:
    app = FastAPI()
    install(app, settings_for(sqlite_database), prefix="/billing")
    account = Account(seed=1)
    account.create_customer("ada@example.com", user_id="ada")
    async with app.router.lifespan_context(app), asking(app) as http:
        for path in ("healthz", "readyz", "metrics", "internal/customers"):
            assert (await http.get(f"/billing/{path}")).status_code == 200, path
            assert (await http.get(f"/{path}")).status_code == 404, path
        body = event_body(account.events[0], NEW)
        headers = {"Stripe-Signature": sign(body, SECRET, int(app.state.billing.clock()))}
        answer = await http.post("/billing/webhook/stripe", content=body, headers=headers)
        assert answer.json()["status"] == "processed"
        assert (await http.post("/webhook/stripe", content=body, headers=headers)).status_code == 404


async def test_bodies_are_bounded_behind_a_prefix_too(sqlite_database: str) -> None:
    app = FastAPI()
    install(app, settings_for(sqlite_database, max_body_bytes=1024), prefix="/billing")
    async with app.router.lifespan_context(app), asking(app) as http:
        answer = await http.post("/billing/internal/subscription/update", content=b" " * 2000)
        assert answer.status_code == 413


@pytest.mark.parametrize("prefix", ["billing", "/billing/", "/"])
def test_a_prefix_that_cannot_be_one_is_refused(sqlite_database: str, prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="must begin with a /"):
        install(FastAPI(), settings_for(sqlite_database), prefix=prefix)


def test_installing_twice_is_refused(sqlite_database: str) -> None:
    app = FastAPI()
    install(app, settings_for(sqlite_database))
    with pytest.raises(ConfigurationError, match="already"):
        install(app, settings_for(sqlite_database))


def test_the_description_of_the_application_is_its_own(sqlite_database: str) -> None:
    app = FastAPI()
    install(app, settings_for(sqlite_database))
    assert app.openapi()["paths"] == {}
    shown = FastAPI()
    install(shown, settings_for(sqlite_database), in_openapi=True)
    assert {"/internal/customers", "/webhook/stripe", "/healthz"} <= shown.openapi()["paths"].keys()


async def test_our_own_pages_are_served_only_where_the_setting_opens_them(sqlite_database: str) -> None:
    for is_open, status in ((False, 404), (True, 200)):
        app = create_app(settings_for(sqlite_database, api_docs=is_open))
        async with asking(app) as http:
            for path in ("/docs", "/redoc", "/openapi.json"):
                assert (await http.get(path)).status_code == status, path


@dataclass
class Member:
    id: UUID


MEMBER = Member(UUID(int=7))


@pytest.fixture
def identified() -> Iterator[None]:
    limits.identify_users_by(lambda user: user.id)
    yield
    limits.identify_users_by(None)


async def test_a_user_may_be_a_text_a_number_a_uuid_or_an_object(
    sqlite_database: str, identified: None
) -> None:
    app = FastAPI()
    service = install(app, settings_for(sqlite_database))
    async with app.router.lifespan_context(app):
        for user, stored in (("ada", "ada"), (7, "7"), (MEMBER.id, str(MEMBER.id)), (MEMBER, str(MEMBER.id))):
            async with service.database.session() as session:
                before = (await limits.load(user)).look("projects").used
                assert (await limits.consume(session, user, "projects")).used == before + 1
            assert (await service.limits.load(stored)).look("projects").used == before + 1


async def test_require_takes_the_object_that_the_application_logs_in(
    sqlite_database: str, identified: None
) -> None:
    app = FastAPI()
    install(app, settings_for(sqlite_database))
    wanted = limits.require("projects", user=lambda: MEMBER)
    app.add_api_route("/new", lambda: {"ok": True}, dependencies=[Depends(wanted)])
    async with app.router.lifespan_context(app), asking(app) as http:
        assert (await http.get("/new")).json() == {"ok": True}


async def test_an_object_without_a_key_function_is_refused_with_what_to_call(sqlite_database: str) -> None:
    app = FastAPI()
    install(app, settings_for(sqlite_database))
    async with app.router.lifespan_context(app):
        with pytest.raises(ConfigurationError, match="identify_users_by"):
            await limits.load(MEMBER)
        for nobody in (None, True):
            with pytest.raises(InvalidRequest):
                await limits.load(nobody)
