"""How an application tests its billing: the simulator is Stripe, its clock is the service's clock.

Copy it beside your own tests: `pytest examples/test_with_the_simulator.py`.
"""

from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.config import Settings
from app.main import install
from app.simulator import DAY, NEW, Account, Event, event_body, sign

SECRET, KEY = "whsec_test_0123456789abcdef", "test-key-of-the-internal-api-0001"
PLANS = """
default_plan = "free"

[features]
projects = { kind = "allocated" }

[plans.free]
projects = 1

[plans.pro]
prices = ["price_pro"]
projects = 20
"""


def make_app(folder: Path, account: Account) -> FastAPI:
    (folder / "plans.toml").write_text(PLANS)
    settings = Settings(
        database_url=f"sqlite:///{folder}/test.db",
        stripe_webhook_secret=(SecretStr(SECRET),),
        internal_api_key=(SecretStr(KEY),),
        plans_file=folder / "plans.toml",
        spool_dir=None,
    )
    app = FastAPI()
    install(app, settings, clock=lambda: account.now)
    return app


def deliver(client: TestClient, account: Account, *events: Event) -> None:
    for event in events:
        body = event_body(event, NEW)
        headers = {"Stripe-Signature": sign(body, SECRET, account.now)}
        assert client.post("/webhook/stripe", content=body, headers=headers).status_code == 200


def projects_of(client: TestClient, user_id: str) -> int:
    answer = client.get(f"/internal/users/{user_id}/entitlements", headers={"X-API-Key": KEY})
    limit: int = answer.json()["features"]["projects"]["limit"]
    return limit


def test_a_user_has_what_is_paid_for_until_grace_is_over(tmp_path: Path) -> None:
    account = Account(seed=7)
    account.create_price("price_pro", 2900)
    # `with` runs the application's lifespan: without it nothing would be started.
    with TestClient(make_app(tmp_path, account)) as client:
        assert projects_of(client, "ada") == 1
        subscription = account.create_subscription(account.create_customer(user_id="ada"), "price_pro")
        deliver(client, account, *account.events)
        assert projects_of(client, "ada") == 20

        seen = len(account.events)
        account.advance(31 * DAY)
        account.renew(subscription, paid=False)
        deliver(client, account, *account.events[seen:])
        assert projects_of(client, "ada") == 20
        account.advance(30 * DAY)
        assert projects_of(client, "ada") == 1
