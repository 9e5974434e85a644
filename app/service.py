"""What a running service consists of; the routes find it on their application."""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from .config import Settings
from .db import Database, open_database
from .db.migrations import behind, migrate_async
from .errors import ConfigurationError
from .inbox import handlers
from .inbox.arrivals import Arrivals
from .inbox.inbox import Inbox
from .inbox.readiness import ReadinessCheck
from .inbox.spool import Spool
from .limits import Limits
from .limits.catalogues import CatalogueLog
from .observability import metrics
from .plans import load_catalogue
from .reactions.notifications import connect_notifications, disconnect_notifications
from .reactions.outbox import Outbox
from .reactions.webhooks import connect_webhooks, disconnect_webhooks
from .signals import users_changed
from .stripe.client import StripeApi
from .stripe.own_account import OwnAccount
from .sync.account import AccountLookup
from .sync.backfill import Backfill
from .sync.catch_up import CatchUp
from .sync.checkout_sessions import CheckoutSessions
from .sync.objects import StripeObjects
from .sync.pending import PendingFetches
from .sync.prices import PriceFetches
from .sync.reconcile import Reconcile
from .sync.schedule import Schedule
from .worker.alerts import Alerts
from .worker.outage import OutageAlert
from .worker.over_limits import OverLimits
from .worker.overages import Overages
from .worker.pruning import Pruner
from .worker.restarts import keep_running
from .worker.user_states import UserStates
from .worker.worker import Worker

STOP_SECONDS = 10
"""How long a task may take to end by itself."""


def import_receivers(modules: Sequence[str]) -> None:
    """Connect our handlers, and import the modules that connect the application's receivers.

    A module is found in the folder that the process started in, too: the script of the installed wheel
    does not look there by itself, as `python -m` does.

    Raises:
        ConfigurationError: when one cannot be imported.
    """
    handlers.connect()
    if modules and not {"", folder := str(Path.cwd())} & set(sys.path):
        sys.path.append(folder)
    for name in modules:
        try:
            import_module(name)
        except ImportError as error:
            raise ConfigurationError(
                f"RECEIVERS: the module {name} cannot be imported ({error}). Name modules as "
                "Python does, from the folder that you start in: shop.billing_receivers."
            ) from None


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one process. `clock` gives Unix seconds."""

    settings: Settings
    database: Database
    outbox: Outbox
    inbox: Inbox
    arrivals: Arrivals
    limits: Limits
    alerts: Alerts
    outage: OutageAlert
    catalogues: CatalogueLog
    worker: Worker
    spool: Spool
    backfill: Backfill
    readiness: ReadinessCheck
    clock: Callable[[], float]
    stripe: StripeApi | None = None
    """Calls to Stripe, with a STRIPE_API_KEY."""
    objects: StripeObjects | None = None
    prices: PriceFetches | None = None
    catch_up: CatchUp | None = None
    reconcile: Reconcile | None = None
    schedule: Schedule | None = None
    checkout_sessions: CheckoutSessions | None = None

    def know_receivers(self) -> None:
        """Import the modules that connect the application's receivers, where the application itself is not.

        Otherwise the receivers would never be called for what this process applies.

        Raises:
            ConfigurationError: when one cannot be imported.
        """
        self.worker.leave_unknown()
        import_receivers(self.settings.receivers)

    @asynccontextmanager
    async def taking_in(self) -> AsyncIterator[None]:
        """Run the inbox alone: for commands. Reactions are stored, and a server delivers them."""
        self.know_receivers()
        self._connect_receivers()
        if self.database.name == "sqlite":
            await migrate_async(self.settings.database_url)
        self.inbox.start()
        try:
            yield
        finally:
            await self.inbox.stop()
            await self.outbox.stop()
            disconnect_notifications()
            disconnect_webhooks()
            await self.arrivals.store()

    def _connect_receivers(self) -> None:
        """Connect the ready receivers: messages to people, and outbound webhooks."""
        connect_notifications(self.settings.notify_urls)
        allow_private = self.settings.webhook_out_allow_private
        connect_webhooks(self.settings.destinations, allow_private=allow_private, clock=self.clock)

    async def close(self) -> None:
        """Close all connections."""
        if self.stripe is not None:
            await self.stripe.close()
        await self.database.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The service at work: its tasks run until the block ends. SQLite is brought up to the code first."""
        # Reading waits for nobody who writes to the file; where it is up to the code, that is all.
        if self.database.name == "sqlite" and await behind(self.database):
            await migrate_async(self.settings.database_url)
        self._connect_receivers()
        self.catalogues.begin()
        self.inbox.start()
        looking = _begin("outage", self.outage.run)  # the log says at once why events are spooled
        listening = _begin("listener", partial(self.database.listen, self.limits.snapshots.forget))
        delivering = _begin("outbox", self.outbox.run)
        tasks = [_begin("worker", self.worker.run), _begin("backfill", self.backfill.run)]
        tasks += [_begin("schedule", self.schedule.run)] if self.schedule else []
        counting = _begin("metrics", metrics.flush_always)
        try:
            yield
        finally:
            self.worker.stop()
            self.backfill.stop()
            if self.schedule is not None:
                self.schedule.stop()
            listening.cancel()
            counting.cancel()
            looking.cancel()
            # These hand events to the inbox, so they end first.
            _, hanging = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*tasks, listening, counting, looking, return_exceptions=True)
            await self.readiness.stop()
            await self.inbox.stop()
            await self.outbox.stop()
            await asyncio.wait([delivering], timeout=STOP_SECONDS)
            disconnect_notifications()
            disconnect_webhooks()
            await self.close()


def _begin(name: str, work: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
    return asyncio.create_task(keep_running(name, work), name=name)


def make_service(settings: Settings, clock: Callable[[], float]) -> Service:
    """Put the parts together; nothing is connected yet.

    Raises:
        ConfigurationError: when the database's address or the plan catalogue cannot be used.
    """
    database = open_database(settings.database_url)
    catalogue = load_catalogue(settings.plans_file)
    outbox = Outbox(database, clock=clock)
    account = OwnAccount(settings.stripe_account)
    inbox = Inbox(
        database,
        catalogue=catalogue,
        outbox=outbox,
        livemode=settings.livemode,
        clock=clock,
        link_keys=settings.link_metadata_keys,
        account=account,
    )
    arrivals = Arrivals(database, clock=clock)
    limits = Limits(database, catalogue, clock)
    users_changed.connect(limits.snapshots.on_users_changed)
    spool = Spool(settings.spool_dir, secrets=settings.signing_secrets)
    alerts = Alerts(
        database, outbox, spool, catalogue=catalogue, silence_hours=settings.silence_hours, clock=clock
    )
    catalogues = CatalogueLog(database, catalogue, clock)
    over_limits = OverLimits(database, limits, outbox, clock=clock)
    users_changed.connect(over_limits.on_users_changed)
    worker = Worker(
        database,
        inbox,
        spool,
        alerts,
        _pruner(settings, database, clock),
        over_limits,
        _user_states(settings, database, limits, outbox, clock),
        overages=Overages(database, limits, outbox, clock=clock),
        arrivals=arrivals,
        catalogues=catalogues,
        clock=clock,
    )
    readiness = ReadinessCheck(database, spool, inbox)
    service = Service(
        settings,
        database,
        outbox,
        inbox,
        arrivals,
        limits,
        alerts,
        OutageAlert(readiness, outbox, spool, clock=clock),
        catalogues,
        worker,
        spool,
        Backfill(database, catalogue=catalogue, clock=clock, link_keys=settings.link_metadata_keys),
        readiness,
        clock,
    )
    return _with_stripe(service, account)


def _pruner(settings: Settings, database: Database, clock: Callable[[], float]) -> Pruner:
    return Pruner(
        database,
        retention_days=settings.event_retention_days,
        audit_retention_days=settings.audit_retention_days,
        usage_retention_days=settings.usage_retention_days,
        clock=clock,
    )


def _user_states(
    settings: Settings, database: Database, limits: Limits, outbox: Outbox, clock: Callable[[], float]
) -> UserStates:
    digest = hashlib.sha256(settings.plans_file.read_bytes()).hexdigest()
    return UserStates(database, limits, outbox, catalogue_digest=digest, clock=clock)


def _with_stripe(service: Service, account: OwnAccount) -> Service:
    """The same, with all that talks to Stripe where there is a key."""
    settings, database, clock = service.settings, service.database, service.clock
    if (stripe := _stripe_api(settings)) is None:
        return service
    objects = StripeObjects(database, service.inbox, stripe, clock=clock)
    catch_up = CatchUp(database, service.inbox, service.arrivals, stripe, clock=clock)
    catalogue = service.limits.catalogue
    reconcile = Reconcile(database, objects, stripe, catalogue=catalogue, clock=clock)
    sessions = CheckoutSessions(database, stripe, clock=clock)
    prices = PriceFetches(database, objects, stripe, catalogue=catalogue, clock=clock)
    schedule = Schedule(
        database,
        PendingFetches(database, objects, stripe, clock=clock),
        catch_up,
        reconcile,
        AccountLookup(stripe, account),
        sessions,
        prices,
        catch_up_minutes=settings.catch_up_minutes,
        reconcile_hour=settings.reconcile_hour,
        clock=clock,
    )
    return replace(
        service,
        stripe=stripe,
        objects=objects,
        prices=prices,
        catch_up=catch_up,
        reconcile=reconcile,
        schedule=schedule,
        checkout_sessions=sessions,
    )


def _stripe_api(settings: Settings) -> StripeApi | None:
    key = settings.stripe_api_key
    return StripeApi(key.get_secret_value(), settings.stripe_api_base) if key else None


def service_of(request: Request) -> Service:
    """The service that the request's application runs."""
    service: Service = request.app.state.billing
    return service


Running = Annotated[Service, Depends(service_of)]
"""The running service, as a FastAPI dependency: for routes of the application, too."""
