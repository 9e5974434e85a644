"""Which account an event is of: ours, another, or not known yet.

An organization's endpoint sends the events of all its accounts, a Connect endpoint those of connected ones:
`context` ("acct_platform/acct_connected"), `account`, or both name the account ("The Event object", `account`
and `context`; "Stripe-Context header"). An event with neither is of the endpoint's own account.
"""

from dataclasses import dataclass

from .events import StripeEvent

UNKNOWN = (
    "The event names its account, and which one is ours is not known: set STRIPE_ACCOUNT to its id (acct_…), "
    "or a STRIPE_API_KEY that may read the account."
)


@dataclass(slots=True)
class OwnAccount:
    """The account that this installation is for. `id` None: neither set nor learned from Stripe yet."""

    id: str | None = None

    def owns(self, event: StripeEvent) -> bool | None:
        """Whether the event is of this account; None while that is not known."""
        if event.account is None and event.context is None:
            return True  # nearly every event
        owners = event.owners
        return None if self.id is None else owners == {self.id}
