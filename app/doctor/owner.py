"""Whose events arrive: of this account and mode, or of another one that an endpoint sends too."""

from sqlalchemy import ColumnElement, literal_column
from sqlmodel import col, select

from ..checks.finding import MOST, Finding, counted, named
from ..db.models import EventState, WebhookEvent
from ..errors import StripeRefused
from ..stripe.objects import as_id
from ..stripe.own_account import UNKNOWN
from .checks import Check
from .findings import mode_name
from .installation import Installation

LATEST_EVENTS = 20
SET_ACCOUNT = (
    "Set STRIPE_ACCOUNT to the account's id (acct_…), shown in Stripe's Dashboard, Settings > Account."
)


async def account_is_the_keys(installation: Installation) -> list[Finding]:
    """Learns the account that the key is of, for the checks that follow."""
    wanted = installation.settings.stripe_account
    try:
        keys = as_id((await installation.api.get("/v1/account")).content.get("id"))
    except StripeRefused:
        if wanted is not None:
            return []
        return [Finding("hint", "STRIPE_API_KEY may not read the account that it is of.", SET_ACCOUNT)]
    installation.account = wanted or keys
    if wanted in (None, keys):
        return []
    return [
        Finding(
            "error",
            f"STRIPE_ACCOUNT is {wanted}, and STRIPE_API_KEY is of {keys}: events of one account are "
            "applied, and objects of the other are read.",
            "Set both to the same account.",
        )
    ]


async def accounts_are_known(installation: Installation) -> list[Finding]:
    waiting = await _newest(installation, EventState.FAILED, col(WebhookEvent.last_error) == UNKNOWN)
    if not waiting:
        return []
    return [
        Finding(
            "error",
            f"{counted(len(waiting), 'event')} not applied, since they name an account and which one is ours "
            f"is not known: {named(waiting)}.",
            f"{SET_ACCOUNT} Or set a STRIPE_API_KEY that may read it. They are then applied by themselves.",
        )
    ]


async def events_are_of_the_account(installation: Installation) -> list[Finding]:
    """The latest events: one that names no account is of the endpoint's own."""
    query = (
        select(WebhookEvent.account)
        .where(col(WebhookEvent.source) == "stripe")
        .order_by(col(WebhookEvent.received_at).desc())
        .limit(LATEST_EVENTS)
    )
    async with installation.database.reading() as session:
        latest = set(await session.exec(query))
    own = installation.account
    if own is None or not latest or None in latest or own in latest:
        return []
    return [
        Finding(
            "error",
            f"The latest events are all of other accounts than {own}, and are ignored: "
            f"{named(sorted(each for each in latest if each))}.",
            "Create an endpoint in this account (`stripe setup`), or correct STRIPE_ACCOUNT or the key.",
        )
    ]


async def thin_events_are_of_the_keys_mode(installation: Installation) -> list[Finding]:
    """What a thin event names is read with the key, which sees its own mode alone."""
    if installation.stripe is None:
        return []
    here = installation.api.livemode
    waiting = await _newest(installation, EventState.PENDING, col(WebhookEvent.livemode).is_(not here))
    if not waiting:
        return []
    return [
        Finding(
            "error",
            f"{counted(len(waiting), 'thin event')} of {mode_name(not here)} cannot be read, since "
            f"STRIPE_API_KEY is of {mode_name(here)}: {named(waiting)}.",
            f"Set STRIPE_API_KEY to a key of {mode_name(not here)}, or set LIVEMODE={str(here).lower()} and "
            "have the destination of the other mode lead elsewhere.",
        )
    ]


CHECKS = (
    Check("account", "STRIPE_ACCOUNT is the key's.", account_is_the_keys, needs=("stripe",)),
    Check("unknown-account", "Every event's account is known.", accounts_are_known, ("records",)),
    Check(
        "events-account", "The latest events are of this account.", events_are_of_the_account, ("records",)
    ),
    Check(
        "thin-events-mode",
        "No thin event is of the other mode.",
        thin_events_are_of_the_keys_mode,
        ("records",),
    ),
)


async def _newest(installation: Installation, state: str, condition: ColumnElement[bool]) -> list[str]:
    """The ids of the newest events in this state, `MOST` of them at most."""
    query = (
        select(WebhookEvent.id)
        # The state is literal, as in the partial index that finds these rows.
        .where(literal_column("state") == literal_column(f"'{state}'"))
        .where(condition)
        .order_by(col(WebhookEvent.received_at).desc())
        .limit(MOST)
    )
    async with installation.database.reading() as session:
        return list(await session.exec(query))
