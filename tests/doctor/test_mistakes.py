"""Every mistake is made for real, and the doctor names it and its remedy."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import stripe

from app.doctor import CHECKS, Level
from app.simulator import NEW, OLD, event_body, sign
from app.simulator.model import WebhookEndpoint
from app.spool import Spool
from app.stripe_events import parse

from .patient import URL, WEBHOOK_SECRET, Patient, found, healthy

Mistake = Callable[[Patient], Awaitable[Any]]


@dataclass(frozen=True)
class Story:
    """A mistake, the check that finds it, how bad it is, words of what is said of it and of its remedy."""

    check: str
    level: Level
    mistake: Mistake
    what: str
    remedy: str
    livemode: bool = False


def setting(**values: str) -> Mistake:
    async def make(patient: Patient) -> None:
        patient.environment |= values

    return make


def without(name: str) -> Mistake:
    async def make(patient: Patient) -> None:
        del patient.environment[name]

    return make


def sql(statement: str, **values: Any) -> Mistake:
    async def make(patient: Patient) -> None:
        await patient.write(statement, **values)

    return make


def both(*mistakes: Mistake) -> Mistake:
    async def make(patient: Patient) -> None:
        for mistake in mistakes:
            await mistake(patient)

    return make


def skewed(seconds: float) -> Mistake:
    async def make(patient: Patient) -> None:
        patient.skew = seconds

    return make


def endpoint(**values: Any) -> Mistake:
    async def make(patient: Patient) -> None:
        for name, value in values.items():
            setattr(patient.endpoint, name, value)

    return make


def subscribed(*prices: str, **metadata: str) -> Mistake:
    async def make(patient: Patient) -> None:
        for price in prices:
            patient.account.create_price(price, 100)
        await patient.subscribe(list(prices) or "price_team", **metadata)

    return make


async def no_endpoint(patient: Patient) -> None:
    patient.account.endpoints.clear()


async def no_endpoint_and_no_url(patient: Patient) -> None:
    patient.url = None
    patient.account.endpoints.clear()


async def plain_http(patient: Patient) -> None:
    patient.url = "http://billing.example"


async def second_endpoint(patient: Patient) -> None:
    first = patient.endpoint
    patient.account.endpoints["we_2"] = WebhookEndpoint(
        "we_2", first.created, URL, first.enabled_events, "whsec_test_2", stripe.api_version
    )


async def lacking_types(patient: Patient) -> None:
    patient.endpoint.enabled_events.remove("invoice.paid")


async def superfluous_types(patient: Patient) -> None:
    patient.endpoint.enabled_events.append("plan.created")


async def env_file_for_all(patient: Patient) -> None:
    (patient.folder / ".env").write_text("# empty\n")
    (patient.folder / ".env").chmod(0o644)


async def env_file_in_latin_1(patient: Patient) -> None:
    (patient.folder / ".env").write_bytes("# für uns\n".encode("latin-1"))
    (patient.folder / ".env").chmod(0o600)


async def spool_below_a_file(patient: Patient) -> None:
    (patient.folder / "file").write_text("")
    patient.environment["SPOOL_DIR"] = str(patient.folder / "file" / "spool")


async def event_in_the_spool(patient: Patient) -> None:
    body = event_body(patient.account.events[-1], NEW)
    event = parse(body, signature=sign(body, WEBHOOK_SECRET, patient.account.now), received_at=1)
    await Spool(Path(patient.environment["SPOOL_DIR"]), secrets=[]).put(event)


async def rejected_in_the_spool(patient: Patient) -> None:
    folder = Path(patient.environment["SPOOL_DIR"])
    folder.mkdir()
    (folder / "x.rejected").write_text("")


async def price_without_stripe(patient: Patient) -> None:
    plans = Path(patient.environment["PLANS_FILE"])
    plans.write_text(plans.read_text().replace("price_starter", "price_unheard_of"))


async def broken_catalogue(patient: Patient) -> None:
    Path(patient.environment["PLANS_FILE"]).write_text("[plans.team]\nprojects = 3\n")


async def stripe_fails(patient: Patient) -> None:
    patient.faults.next("error", 3)


async def thin_event(patient: Patient) -> None:
    patient.environment.pop("STRIPE_API_KEY")
    thin = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.customer.updated",
        "created": "2026-01-01T00:00:00Z",
        "livemode": False,
        "related_object": {"id": "cus_1", "type": "customer", "url": "/v1/customers/cus_1"},
    }
    async with patient.serving() as client:
        assert await client.send(thin) == "deferred"


async def thin_event_that_nobody_reads(patient: Patient) -> None:
    key = patient.environment["STRIPE_API_KEY"]
    await thin_event(patient)
    patient.environment["STRIPE_API_KEY"] = key
    patient.account.advance(301)


async def failing_event(patient: Patient) -> None:
    broken = {
        "id": "evt_broken",
        "object": "event",
        "type": "customer.subscription.updated",
        "created": patient.account.now,
        "livemode": False,
        "data": {"object": {"id": "sub_1", "object": "subscription", "status": 7}},
    }
    async with patient.serving() as client:
        assert await client.send(broken) == "deferred"
    patient.account.advance(301)


async def dead_event(patient: Patient) -> None:
    await failing_event(patient)
    await patient.write("UPDATE billing_event SET state = 'dead' WHERE id = 'evt_broken'")


async def dead_reaction(patient: Patient) -> None:
    await patient.write(
        "INSERT INTO billing_outbox (id, signal, receiver, reaction, created_at, state, attempts, "
        "next_attempt_at) VALUES ('r:crm', 'payment_failed', 'crm', '{}', 1, 'dead', 9, 0)"
    )


async def forgotten_migration(patient: Patient) -> None:
    await patient.write("UPDATE billing_alembic_version SET version_num = '0004'")


async def missing_database(patient: Patient) -> None:
    patient.environment["DATABASE_URL"] = f"sqlite:///{patient.folder / 'none.db'}"


async def junk_for_a_database(patient: Patient) -> None:
    (patient.folder / "junk.db").write_text("junk " * 500)
    patient.environment["DATABASE_URL"] = f"sqlite:///{patient.folder / 'junk.db'}"


SECRET, API, DB = "STRIPE_WEBHOOK_SECRET", "STRIPE_API_KEY", "DATABASE_URL"
NOBODY = "postgresql://ada:pw-of-the-database@127.0.0.1:1/x"
JOB = "UPDATE billing_job SET {} WHERE name = '{}'"

STORIES = {
    "secret missing": Story("settings", "error", without(SECRET), f"{SECRET} is missing", "whsec_…"),
    "secret empty": Story("settings", "error", setting(**{SECRET: ""}), f"{SECRET} is empty", "whsec_…"),
    "secret a placeholder": Story(
        "settings",
        "error",
        setting(**{SECRET: "whsec_your-secret-goes-here"}),
        "placeholder",
        f"Set {SECRET}",
    ),
    "secret a key": Story(
        "settings",
        "error",
        setting(**{SECRET: "pk_test_fake_0123456789"}),
        "begin with whsec_",
        f"Set {SECRET}",
    ),
    "secret of a test in live mode": Story(
        "test-secret",
        "error",
        setting(**{SECRET: "whsec_test_secret_a_0001"}),
        "of a test",
        "live",
        livemode=True,
    ),
    "internal key weak": Story(
        "settings", "error", setting(INTERNAL_API_KEY="abc"), "INTERNAL_API_KEY is too weak", "keys new"
    ),
    "livemode nonsense": Story("settings", "error", setting(LIVEMODE="perhaps"), "LIVEMODE", "true or false"),
    ".env not UTF-8": Story("settings", "error", env_file_in_latin_1, ".env cannot be read", "UTF-8"),
    ".env readable by others": Story("env-file", "warning", env_file_for_all, "can read .env", "chmod 600"),
    "api key publishable": Story(
        "settings", "error", setting(**{API: "pk_test_fake_1"}), f"{API} does not begin", f"Set {API}"
    ),
    "api key a placeholder": Story(
        "key-placeholder", "error", setting(**{API: "sk_test_your-key"}), "placeholder", "Dashboard"
    ),
    "api key unset": Story("stripe", "hint", setting(**{API: ""}), f"{API} is unset", "Set it"),
    "api key refused": Story(
        "stripe", "error", setting(**{API: "sk_test_rolled_long_ago"}), "does not accept", "rolled"
    ),
    "stripe fails": Story("stripe", "error", stripe_fails, "cannot be reached", "Try again later"),
    "api key of the other mode": Story(
        "key-mode",
        "error",
        setting(**{API: "sk_live_fake_of_the_doctor"}),
        "is of live mode",
        "LIVEMODE=true",
    ),
    "livemode unset": Story("livemode", "hint", setting(LIVEMODE=""), "LIVEMODE is unset", "LIVEMODE=true"),
    "livemode unset with a live key": Story(
        "livemode", "warning", setting(LIVEMODE=""), "LIVEMODE is unset", "LIVEMODE=true", livemode=True
    ),
    "live key sent elsewhere": Story(
        "api-base", "warning", setting(), "another address", "Unset STRIPE_API_BASE", livemode=True
    ),
    "nobody told": Story("notify", "hint", without("NOTIFY_URLS"), "NOTIFY_URLS is unset", "mailto://"),
    "told to nonsense": Story("notify", "error", setting(NOTIFY_URLS="nonsense"), "not know", "mailto://"),
    "plans of the example": Story(
        "plans-file", "hint", without("PLANS_FILE"), "example", "PLANS_FILE", livemode=True
    ),
    "catalogue broken": Story("catalogue", "error", broken_catalogue, "projects", "PLANS_FILE"),
    "catalogue missing": Story(
        "catalogue", "error", setting(PLANS_FILE="none.toml"), "none.toml", "PLANS_FILE"
    ),
    "migration forgotten": Story("database", "error", forgotten_migration, "migration 0004", "make migrate"),
    "database down": Story("database", "error", setting(**{DB: NOBODY}), "does not answer", DB),
    "database junk": Story("database", "error", junk_for_a_database, "does not answer", DB),
    "database not there": Story("database", "hint", missing_database, "not there yet", "Start the service"),
    "database of another kind": Story(
        "database", "error", setting(**{DB: "mysql://x/y"}), "neither PostgreSQL nor SQLite", "postgresql://"
    ),
    "spool unwritable": Story("spool", "error", spool_below_a_file, "cannot be written", "SPOOL_DIR"),
    "spool off": Story("spool", "hint", setting(SPOOL_DIR=""), "SPOOL_DIR is empty", "outlives"),
    "spool waiting": Story("spool-waiting", "warning", event_in_the_spool, "1 event in", "app worker"),
    "spool rejected": Story("spool-waiting", "warning", rejected_in_the_spool, "1 file in", ".event"),
    "clock a minute ahead": Story("clock", "warning", skewed(60), "60 s ahead of", "NTP"),
    "clock five minutes behind": Story("clock", "error", skewed(-300), "300 s behind", "NTP"),
    "price not at Stripe": Story(
        "plan-prices", "error", price_without_stripe, "price_unheard_of of plan starter", "PLANS_FILE"
    ),
    "endpoint missing": Story("endpoint", "error", no_endpoint, f"leads to {URL}", f"setup --url {URL}"),
    "endpoint elsewhere on the host": Story(
        "endpoint", "error", endpoint(url="https://billing.example/hook"), "there is https://", "setup --url"
    ),
    "endpoint missing, url unknown": Story(
        "endpoint", "warning", no_endpoint_and_no_url, "stripe listen", "setup --url"
    ),
    "endpoint missing, url unknown, live": Story(
        "endpoint", "error", no_endpoint_and_no_url, "no event arrives", "setup --url", livemode=True
    ),
    "address not https": Story("endpoint", "error", plain_http, "--url", "https://your-host"),
    "endpoint twice": Story(
        "endpoint", "warning", second_endpoint, "events come twice", "Delete all but one"
    ),
    "endpoint disabled": Story(
        "endpoint-enabled", "error", endpoint(status="disabled"), "is disabled", "setup --url"
    ),
    "endpoint of an old version": Story(
        "endpoint-version", "warning", endpoint(api_version=OLD), f"is {OLD}", "--new"
    ),
    "endpoint of the account's version": Story(
        "endpoint-version", "warning", endpoint(api_version=None), "the account's own", "--new"
    ),
    "event types missing": Story(
        "endpoint-types", "error", lacking_types, "arrive: invoice.paid", "adds them"
    ),
    "event types superfluous": Story(
        "endpoint-more-types", "hint", superfluous_types, "ignored: plan.created", "takes them away"
    ),
    "all event types": Story(
        "endpoint-more-types", "hint", endpoint(enabled_events=["*"]), "*", "setup --url"
    ),
    "events of the other mode": Story(
        "events-mode",
        "error",
        sql("UPDATE billing_event SET livemode = :mode", mode=True),
        "all of live mode, which are ignored",
        f"{SECRET} to the signing secret of the endpoint in test mode",
    ),
    "records of the other mode": Story(
        "records-mode",
        "error",
        sql("UPDATE billing_subscription SET livemode = :mode", mode=True),
        "1 subscription of live mode",
        "database of its own",
    ),
    "price without a plan": Story(
        "prices-in-use", "error", subscribed("price_x", user_id="bob"), "price_x is in no plan", '"price_x"'
    ),
    "second price without a plan": Story(
        "prices-in-use",
        "warning",
        subscribed("price_starter", "price_y", user_id="bob"),
        "price_y is in no plan",
        "restart",
    ),
    "two subscriptions": Story(
        "two-subscriptions", "warning", subscribed(user_id="ada"), "one live subscription", "bought twice"
    ),
    "payer without a user": Story(
        "unlinked-customers", "error", subscribed(), "1 customer with", "PUT /internal/customers"
    ),
    "payer without a record": Story(
        "unlinked-customers", "error", sql("DELETE FROM billing_customer"), "1 customer with", "PUT /internal"
    ),
    "needs refresh": Story(
        "needs-refresh",
        "warning",
        sql("UPDATE billing_subscription SET needs_refresh = :yes", yes=True),
        "1 record",
        "running service",
    ),
    "needs refresh, without a key": Story(
        "needs-refresh",
        "warning",
        both(sql("UPDATE billing_customer SET needs_refresh = :yes", yes=True), setting(**{API: ""})),
        "1 record",
        f"Set {API}",
    ),
    "thin event without a key": Story("thin-events", "warning", thin_event, "evt_thin", f"Set {API}"),
    "thin event that waits": Story(
        "thin-events", "warning", thin_event_that_nobody_reads, "evt_thin", "Start the service"
    ),
    "failing event": Story("failing-events", "warning", failing_event, "evt_broken", "state=failed"),
    "dead event": Story("dead-events", "error", dead_event, "evt_broken", "events replay --state dead"),
    "dead reaction": Story("dead-reactions", "error", dead_reaction, "receiver crm", "billing_outbox"),
    "catch-up never ran": Story(
        "catch-up", "warning", sql("DELETE FROM billing_job"), "never run", "`python -m app catch-up`"
    ),
    "catch-up off": Story(
        "catch-up", "hint", setting(CATCH_UP_MINUTES="0"), "never asked for", "app catch-up"
    ),
    "catch-up failed": Story(
        "catch-up",
        "warning",
        sql(JOB.format("finished_at = started_at - 1", "catch-up")),
        "did not come to its end",
        "app catch-up",
    ),
    "catch-up long ago": Story(
        "catch-up",
        "warning",
        sql(JOB.format("started_at = 1, finished_at = finished_at - 7200", "catch-up")),
        "2 hours ago",
        "Start the service",
    ),
    "reconcile never ran": Story(
        "reconcile", "warning", sql("DELETE FROM billing_job"), "never run", "`python -m app reconcile`"
    ),
    "reconcile off": Story("reconcile", "hint", setting(RECONCILE_HOUR=""), "never compared", "quiet hour"),
    "reconcile failed": Story(
        "reconcile",
        "warning",
        sql(JOB.format("finished_at = NULL", "reconcile")),
        "did not come to its end",
        "app reconcile",
    ),
    "refresh failed": Story(
        "refresh", "warning", sql(JOB.format("finished_at = NULL", "refresh")), "did not come", "log"
    ),
}


@pytest.mark.parametrize("name", list(STORIES))
async def test_the_doctor_names_the_mistake_and_its_remedy(
    name: str, sqlite_database: str, tmp_path: Path
) -> None:
    await tell(STORIES[name], sqlite_database, tmp_path)


IN_THE_DATABASE = [
    name for name, story in STORIES.items() if "records" in {c.name: c.needs for c in CHECKS}[story.check]
] + ["migration forgotten"]


@pytest.mark.parametrize("name", IN_THE_DATABASE)
async def test_the_doctor_names_what_is_wrong_in_postgresql(
    name: str, postgres_database: str, tmp_path: Path
) -> None:
    await tell(STORIES[name], postgres_database, tmp_path)


async def tell(story: Story, database_url: str, folder: Path) -> None:
    async with healthy(database_url, folder, livemode=story.livemode) as patient:
        await story.mistake(patient)
        report = await patient.examine()
        level = story.level
        if story.check == "database" and "migration" in story.what and database_url.startswith("sqlite"):
            level = "warning"  # the service migrates SQLite itself
        [finding] = [each for each in found(report, story.check) if story.what in each.what]
        assert (finding.level, story.remedy in finding.remedy) == (level, True), finding
        assert report.ok == (not any(each.level == "error" for _, each in report.findings))
        assert "pw-of-the-database" not in str(report.as_json())


def test_every_check_has_a_story() -> None:
    assert {check.name for check in CHECKS} == {story.check for story in STORIES.values()}


async def test_a_healthy_installation_has_nothing_wrong_and_nothing_is_skipped(
    database_url: str, tmp_path: Path
) -> None:
    async with healthy(database_url, tmp_path) as patient:
        report = await patient.examine()
    assert [(name, each) for name, each in report.findings if each.level != "ok"] == []
    assert [name for name, _ in report.findings] == [check.name for check in CHECKS]
    assert (report.ok, list(report.skipped)) == (True, [])
    assert not (tmp_path / "spool").exists(), "it changes nothing"


async def test_what_is_young_or_small_is_no_mistake(database_url: str, tmp_path: Path) -> None:
    async with healthy(database_url, tmp_path) as patient:
        customer = patient.account.create_customer()
        patient.account.create_subscription(customer)
        await failing_event(patient)
        await patient.deliver()
        patient.account.advance(-40)
        patient.skew = 29
        report = await patient.examine()
    assert found(report, "failing-events")[0].level == "ok"
    assert found(report, "unlinked-customers")[0].level == "ok"
    assert found(report, "clock")[0].level == "ok"


async def test_the_json_has_one_form_in_one_order(database_url: str, tmp_path: Path) -> None:
    async with healthy(database_url, tmp_path) as patient:
        patient.environment["STRIPE_API_KEY"] = ""
        first, second = await patient.examine(), await patient.examine()
    content = first.as_json()
    assert content == second.as_json()
    assert list(content) == ["ok", "findings", "skipped"]
    assert {tuple(each) for each in content["findings"]} == {("check", "level", "what", "remedy")}
    assert all((each["level"] == "ok") == (each["remedy"] is None) for each in content["findings"])
    looked_at = {each["check"] for each in content["findings"]}
    needing = {check.name for check in CHECKS if "stripe" in check.needs}
    assert {each["check"]: each["why"] for each in content["skipped"]} == dict.fromkeys(
        needing, "STRIPE_API_KEY is unset."
    )
    assert looked_at | needing == {check.name for check in CHECKS}


async def test_without_a_database_stripe_is_still_looked_at(sqlite_database: str, tmp_path: Path) -> None:
    async with healthy(sqlite_database, tmp_path) as patient:
        patient.environment["DATABASE_URL"] = NOBODY
        report = await patient.examine()
    assert {each.why for each in report.skipped} == {"The database cannot be read."}
    assert found(report, "endpoint-types")[0].level == "ok"


async def test_a_stripe_that_ends_in_the_middle_is_asked_no_more(
    sqlite_database: str, tmp_path: Path
) -> None:
    async with healthy(sqlite_database, tmp_path) as patient:
        patient.faults.next("error", 40, path="/v1/prices")
        report = await asyncio.wait_for(patient.examine(), 60)
    skipped = {each.check for each in report.skipped}
    assert {"plan-prices", "endpoint", "endpoint-types"} <= skipped
    assert found(report, "stripe")[0].level == "ok"
