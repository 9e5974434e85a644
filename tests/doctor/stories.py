"""What the doctor says of each mistake."""

from app.simulator import OLD

from ..reactions.receiver import OLD_SECRET
from .mistakes import (
    both,
    dead_event,
    dead_reaction,
    endpoint,
    events_by_catch_up_alone,
    failing_event,
    failing_receiver,
    lacking_types,
    no_endpoint,
    no_endpoint_and_no_url,
    other_secret,
    plain_http,
    plain_server,
    received,
    second_endpoint,
    setting,
    sold_by_a_silent_payment_link,
    sql,
    subscribed,
    superfluous_types,
    thin_event,
    thin_event_that_nobody_reads,
)
from .patient import URL
from .settings_stories import API, JOB, SECRET, STORIES_OF_SETTINGS, Story

STORIES = STORIES_OF_SETTINGS | {
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
    "receivers that cannot be imported": Story(
        "receivers", "error", setting(RECEIVERS="no_such_module"), "no_such_module", "Name modules"
    ),
    "event types missing": Story(
        "endpoint-types", "error", lacking_types, "arrive: invoice.paid", "adds them"
    ),
    "event types superfluous": Story(
        "endpoint-more-types", "hint", superfluous_types, "ignored: plan.created", "--remove-others"
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
    "account of another key": Story(
        "account",
        "error",
        setting(STRIPE_ACCOUNT="acct_other"),
        "STRIPE_ACCOUNT is acct_other",
        "same account",
    ),
    "event of an account while ours is unknown": Story(
        "unknown-account", "error", received(context="acct_1"), "1 event not applied", "Set STRIPE_ACCOUNT"
    ),
    "events of another account": Story(
        "events-account",
        "error",
        sql("UPDATE billing_event SET account = 'acct_other'"),
        "all of other accounts than acct_1",
        "stripe setup",
    ),
    "thin event of the other mode": Story(
        "thin-events-mode",
        "error",
        both(
            thin_event_that_nobody_reads,
            sql("UPDATE billing_event SET livemode = :mode WHERE state = 'pending'", mode=True),
        ),
        "1 thin event of live mode cannot be read",
        "a key of live mode",
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
    "payment link without metadata": Story(
        "purchases",
        "error",
        sold_by_a_silent_payment_link,
        "1 payment by a payment link granted nothing",
        "one-time-sessions",
    ),
    "two paid sessions": Story(
        "bought-twice",
        "error",
        both(
            subscribed(user_id="ada"),
            sql(
                """UPDATE billing_subscription SET links = '{"session": {"sold_as": "only_subscription"}}'"""
            ),
        ),
        "1 subscription bought twice",
        "refund it",
    ),
    "payer without a user": Story(
        "unlinked-customers", "error", subscribed(), "1 customer with", "PUT /internal/customers"
    ),
    "payer without a record": Story(
        "unlinked-customers",
        "error",
        both(
            sql("UPDATE billing_subscription SET links = NULL, user_id = NULL"),
            sql("DELETE FROM billing_customer"),
        ),
        "1 customer with",
        "PUT /internal",
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
    "seats that could not be synced": Story(
        "seats",
        "error",
        sql(
            "INSERT INTO billing_seat_request (user_id, members, wanted, done, actor, requested_at, due_at, "
            "leased_until, attempts, last_error) VALUES ('org_7', 3, 2, 1, 'test', 1, 1, 0, 3, 'Not sold.')"
        ),
        "1 user whose seats are not what was asked for: org_7. Not sold.",
        "GET /internal/users",
    ),
    "a schedule that plans nothing": Story(
        "schedules",
        "hint",
        sql(
            "UPDATE billing_subscription SET schedule_id = 'sub_sched_1', schedules = "
            """'{"sub_sched_1": {"at": 1, "status": "active", "phases": [{"items": []}]}}'"""
        ),
        "1 subscription with a schedule that plans nothing",
        "releases it",
    ),
    "rows of another release": Story(
        "outdated-rows",
        "hint",
        sql("UPDATE billing_customer SET rules_version = NULL"),
        "1 row that a process of another release wrote",
        "within minutes",
    ),
    "rows of another release that nothing reapplies": Story(
        "outdated-rows",
        "warning",
        sql("UPDATE billing_customer SET rules_row_version = 0, updated_at = 1"),
        "1 row that a process of another release wrote",
        "start one of this release",
    ),
    "cut list without a key": Story(
        "needs-refresh",
        "error",
        both(
            sql(
                "UPDATE billing_subscription SET needs_refresh = :yes, cut_invoices = '[\"in_1\"]'", yes=True
            ),
            setting(**{API: ""}),
        ),
        "the first ten items or invoice lines",
        f"Set {API}",
    ),
    "thin event without a key": Story("thin-events", "warning", thin_event, "evt_thin", f"Set {API}"),
    "thin event that waits": Story(
        "thin-events", "warning", thin_event_that_nobody_reads, "evt_thin", "Start the service"
    ),
    "failing event": Story("failing-events", "warning", failing_event, "evt_broken", "state=failed"),
    "dead event": Story("dead-events", "error", dead_event, "evt_broken", "events replay --state dead"),
    "no webhook for hours": Story(
        "silence",
        "warning",
        both(sql("UPDATE billing_event SET received_at = :long_ago", long_ago=1), setting(SILENCE_HOURS="6")),
        "No webhook has arrived",
        "Dashboard",
    ),
    "webhooks to a private address": Story(
        "webhooks-out",
        "error",
        setting(WEBHOOK_OUT_URLS="https://127.0.0.1/hooks", WEBHOOK_OUT_SECRETS=OLD_SECRET),
        "not public",
        "WEBHOOK_OUT_ALLOW_PRIVATE",
    ),
    "webhooks without a secret": Story(
        "settings",
        "error",
        setting(WEBHOOK_OUT_URLS="https://api.example.com/hooks"),
        "0 secrets for 1 addresses",
        "webhooks-out secret",
    ),
    "failing receiver": Story(
        "failing-receivers", "warning", failing_receiver, "receiver crm", "outbox replay --receiver crm"
    ),
    "dead reaction": Story("dead-reactions", "error", dead_reaction, "receiver crm", "outbox replay"),
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
        "did not finish",
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
        "did not finish",
        "app reconcile",
    ),
    "differences left": Story(
        "differences",
        "warning",
        sql(JOB.format("""result = '{"compared": 9, "differing": 3, "repaired": 1}'""", "reconcile")),
        "2 of 9 records differed",
        "reconcile",
    ),
    "refresh failed": Story(
        "refresh", "warning", sql(JOB.format("finished_at = NULL", "refresh")), "did not finish", "log"
    ),
    "wrong signing secret": Story(
        "refused-webhooks", "error", other_secret, "1 webhook of the last 24 hours refused", SECRET
    ),
    "events by catch-up alone": Story(
        "catch-up-only", "warning", events_by_catch_up_alone, "none by webhook since", "Developers > Webhooks"
    ),
    "server without deadlines": Story(
        "connections", "warning", plain_server, "never closes a slow client's connection", "app serve"
    ),
}
