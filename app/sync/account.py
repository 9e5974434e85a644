"""Learns from Stripe which account the key is of, so that the events of another one are recognised."""

import structlog

from ..errors import StripeRefused
from ..stripe.client import StripeApi
from ..stripe.objects import as_id
from ..stripe.own_account import OwnAccount

log = structlog.get_logger(__name__)


class AccountLookup:
    """Asks once, unless STRIPE_ACCOUNT says it."""

    def __init__(self, api: StripeApi, account: OwnAccount) -> None:
        self._api = api
        self._account = account
        self._refused = False

    async def learn(self) -> None:
        """Learn the account's id where it is not known. A key that may not read it is asked for no more.

        Raises:
            StripeUnavailable: it is asked for again.
        """
        if self._account.id is not None or self._refused:
            return
        try:
            self._account.id = as_id((await self._api.get("/v1/account")).content.get("id"))
        except StripeRefused:
            self._refused = True
            log.warning("account_unknown", remedy="set STRIPE_ACCOUNT")
