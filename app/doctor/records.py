"""Whether the stored records and events are of this mode; and the catalogue's checks of records."""

from sqlmodel import col, func, select

from ..checks.finding import Finding, counted
from ..db.models import Subscription, WebhookEvent
from .checks import Check, of_catalogue
from .findings import mode_name
from .installation import Installation

LATEST_EVENTS = 20


async def events_are_of_the_mode(installation: Installation) -> list[Finding]:
    """The secret has verified the latest events: it is of the mode that they are of."""
    query = (
        select(WebhookEvent.livemode)
        .where(col(WebhookEvent.source) == "stripe", col(WebhookEvent.livemode).is_not(None))
        .order_by(col(WebhookEvent.received_at).desc())
        .limit(LATEST_EVENTS)
    )
    async with installation.database.reading() as session:
        latest = set(await session.exec(query))
    livemode = installation.livemode
    if livemode is None or not latest or livemode in latest:
        return []
    ignored = "which are ignored" if installation.settings.livemode is not None else "unlike STRIPE_API_KEY"
    here, theirs = mode_name(livemode), mode_name(not livemode)
    return [
        Finding(
            "error",
            f"The latest events are all of {theirs}, {ignored}: STRIPE_WEBHOOK_SECRET is of an "
            "endpoint of that mode.",
            f"Set STRIPE_WEBHOOK_SECRET to the signing secret of the endpoint in {here}, or set "
            f"LIVEMODE={str(not livemode).lower()}.",
        )
    ]


async def records_are_of_the_mode(installation: Installation) -> list[Finding]:
    livemode = installation.livemode
    if livemode is None:
        return []
    other = col(Subscription.livemode).is_(not livemode)
    async with installation.database.reading() as session:
        count = (await session.exec(select(func.count()).select_from(Subscription).where(other))).one()
    if not count:
        return []
    return [
        Finding(
            "error",
            f"{counted(count, 'subscription')} of {mode_name(not livemode)} in a database for "
            f"{mode_name(livemode)}: they grant access, and a key of this mode does not find them.",
            "Use a database of its own for each mode (DATABASE_URL), or set LIVEMODE and STRIPE_API_KEY to "
            "the mode of the records.",
        )
    ]


CHECKS = (
    Check("events-mode", "The latest events are of this mode.", events_are_of_the_mode, ("records",)),
    Check("records-mode", "No subscription is of the other mode.", records_are_of_the_mode, ("records",)),
    of_catalogue("prices-in-use", "records", "catalogue"),
    of_catalogue("purchases", "records", "catalogue"),
    of_catalogue("bought-twice", "records"),
    of_catalogue("seats", "records", "stripe"),
    of_catalogue("schedules", "records", "stripe"),
    of_catalogue("two-subscriptions", "records"),
    of_catalogue("unlinked-customers", "records"),
    of_catalogue("needs-refresh", "records"),
    of_catalogue("outdated-rows", "records"),
)
