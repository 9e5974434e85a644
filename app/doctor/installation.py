"""What is examined: an installation as its settings describe it, whole or not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from ..checks import Context
from ..config import Problem, Settings
from ..db import Database
from ..inbox.spool import Spool
from ..operations.checks import context_of
from ..operations.event_sources import EventSource
from ..plans import Catalogue
from ..stripe.client import StripeApi

DATABASE_TIMEOUT_SECONDS = 10

Need = Literal["catalogue", "database", "endpoint", "records", "stripe"]
"""`records`: a database whose schema is the code's. `endpoint`: one at Stripe that leads here."""


@dataclass
class Installation:
    """`lacking` says why something is not to be had; checks that need it are skipped. `clock`: Unix seconds.

    Database and catalogue are put in by the checks that open them. `skew`: how many seconds this machine's
    clock is ahead of Stripe's.
    """

    settings: Settings
    problems: list[Problem]
    clock: Callable[[], float]
    url: str | None = None
    stripe: StripeApi | None = None
    lacking: dict[Need, str] = field(default_factory=dict)
    endpoints: list[EventSource] = field(default_factory=list)
    skew: float = 0
    account: str | None = None
    """The account's id, as STRIPE_ACCOUNT or the key says it."""
    _database: Database | None = None
    _catalogue: Catalogue | None = None

    @property
    def api(self) -> StripeApi:
        assert self.stripe is not None
        return self.stripe

    @property
    def database(self) -> Database:
        assert self._database is not None
        return self._database

    @database.setter
    def database(self, database: Database) -> None:
        self._database = database

    @property
    def catalogue(self) -> Catalogue:
        assert self._catalogue is not None
        return self._catalogue

    @catalogue.setter
    def catalogue(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    @property
    def now(self) -> int:
        return int(self.clock())

    @property
    def livemode(self) -> bool | None:
        """The mode that this installation is for: LIVEMODE, else that of the key."""
        if self.settings.livemode is None and self.stripe is not None:
            return self.stripe.livemode
        return self.settings.livemode

    @property
    def spool(self) -> Spool:
        return Spool(self.settings.spool_dir, secrets=self.settings.signing_secrets)

    async def context(self) -> Context:
        """What the checks of the catalogue look at."""
        return await context_of(self.settings, self._database, self.spool, self.clock(), self._catalogue)

    def is_wrong(self, setting: str) -> bool:
        """Whether the setting is missing or wrong, so that another value stands in its place."""
        return any(problem.setting == setting for problem in self.problems)

    async def close(self) -> None:
        if self.stripe is not None:
            await self.stripe.close()
        if self._database is not None:
            with suppress(Exception):  # what cannot be opened cannot be closed well, and was reported
                await self._database.close()
            await self._database.engine.dispose()


@asynccontextmanager
async def installed(
    settings: Settings, problems: list[Problem], clock: Callable[[], float], url: str | None
) -> AsyncIterator[Installation]:
    """The installation while it is examined; it is closed afterwards."""
    key = settings.stripe_api_key
    api = StripeApi(key.get_secret_value(), settings.stripe_api_base) if key else None
    installation = Installation(settings, problems, clock, url, api, account=settings.stripe_account)
    try:
        yield installation
    finally:
        # What cannot be closed, or not in time, must not cost the report.
        with suppress(Exception):
            async with asyncio.timeout(DATABASE_TIMEOUT_SECONDS):
                await installation.close()
