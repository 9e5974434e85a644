"""Learns from Stripe which account the key is of, so that the events of another one are recognised."""

import math
import time
from collections.abc import Callable

import structlog

from ..errors import StripeRefused
from ..stripe.client import StripeApi
from ..stripe.objects import as_id
from ..stripe.own_account import OwnAccount

log = structlog.get_logger(__name__)

ASK_AGAIN_SECONDS = 600
"""After a refusal: a restricted key may be allowed to read the account meanwhile, in Stripe's Dashboard."""


class AccountLookup:
    """Asks until it knows, unless STRIPE_ACCOUNT says it. `clock` gives seconds, from whenever."""

    def __init__(
        self, api: StripeApi, account: OwnAccount, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._account = account
        self._clock = clock
        self._ask_at = -math.inf

    async def learn(self) -> None:
        """Learn the account's id where it is not known. With a key that was refused, minutes later again.

        Raises:
            StripeUnavailable: it is asked for again.
        """
        if self._account.id is not None or self._clock() < self._ask_at:
            return
        try:
            self._account.id = as_id((await self._api.get("/v1/account")).content.get("id"))
        except StripeRefused:
            self._ask_at = self._clock() + ASK_AGAIN_SECONDS
            log.warning("account_unknown", remedy="set STRIPE_ACCOUNT")
