"""Mistakes in settings, files, database and clock, and what the doctor says of each."""

from dataclasses import dataclass

from app.doctor import Level

from .mistakes import (
    Mistake,
    broken_catalogue,
    copied_catalogue,
    env_file_for_all,
    env_file_in_latin_1,
    event_in_the_spool,
    forgotten_migration,
    junk_for_a_database,
    lookup_key_without_price,
    missing_database,
    newer_database,
    price_without_stripe,
    rejected_in_the_spool,
    setting,
    skewed,
    spool_below_a_file,
    stripe_fails,
    without,
)


@dataclass(frozen=True)
class Story:
    """A mistake, the check that finds it, how bad it is, words of what is said of it and of its remedy."""

    check: str
    level: Level
    mistake: Mistake
    what: str
    remedy: str
    livemode: bool = False


SECRET, API, DB = "STRIPE_WEBHOOK_SECRET", "STRIPE_API_KEY", "DATABASE_URL"
NOBODY = "postgresql://ada:pw-of-the-database@127.0.0.1:1/x"
JOB = "UPDATE billing_job SET {} WHERE name = '{}'"

STORIES_OF_SETTINGS = {
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
    "everybody trusted as a proxy": Story(
        "forwarded", "warning", setting(FORWARDED_ALLOW_IPS="*"), "trusts everybody", "your proxy"
    ),
    "api key publishable": Story(
        "settings", "error", setting(**{API: "pk_test_fake_1"}), f"{API} does not begin", f"Set {API}"
    ),
    "api key a placeholder": Story(
        "settings", "error", setting(**{API: "sk_test_your-key"}), f"{API} is a placeholder", "Dashboard"
    ),
    "api key unset": Story("stripe", "hint", setting(**{API: ""}), f"{API} is unset", "Set it"),
    "api key refused": Story(
        "stripe", "error", setting(**{API: "sk_test_rolled_long_ago"}), "does not accept", "rolled"
    ),
    "stripe fails": Story("stripe", "error", stripe_fails, "cannot be reached", "Try again later"),
    "another address does not answer": Story(
        "stripe", "error", stripe_fails, "cannot be reached", "STRIPE_API_BASE is http://127.0.0.1:"
    ),
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
    "plans of the example in test mode": Story(
        "plans-file", "hint", without("PLANS_FILE"), "PLANS_FILE is unset", "PLANS_FILE"
    ),
    "plans of a copied example": Story(
        "plans-file", "hint", copied_catalogue, "PLANS_FILE is unchanged", "PLANS_FILE"
    ),
    "catalogue broken": Story("catalogue", "error", broken_catalogue, "key 'features'", "PLANS_FILE"),
    "catalogue missing": Story(
        "catalogue", "error", setting(PLANS_FILE="none.toml"), "none.toml", "PLANS_FILE"
    ),
    "database newer": Story("database", "hint", newer_database, "newer than", "roll-out"),
    "migration forgotten": Story(
        "database", "error", forgotten_migration, "migration 0004", "python -m app migrate"
    ),
    "database down": Story("database", "error", setting(**{DB: NOBODY}), "refuses connections", DB),
    "database junk": Story("database", "error", junk_for_a_database, "no SQLite file", DB),
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
    "lookup key of no price": Story(
        "plan-prices", "warning", lookup_key_without_price, "starter_weekly of plan starter", "plans push"
    ),
}
