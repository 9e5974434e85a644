"""What a check is given, and what it finds: how bad it is, what it is, and what to do about it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ..db import Database
from ..plans import Catalogue

Level = Literal["ok", "hint", "warning", "error"]
"""`error`: something is lost, or somebody lacks what they pay for. `warning`: so it will be, unless somebody
acts. `hint`: it may be intended."""

SHOWN = 5
"""How many ids a finding names."""
MOST = 1000
"""Rows that a check counts at most: nobody acts on the difference between 1,000 and 100,000."""
LIVE = ("active", "trialing", "past_due")
"""The statuses of subscriptions for which somebody has what they pay for, or should have."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy` is empty only where nothing is wrong. Never with a secret, an e-mail address or a name."""

    level: Level
    what: str
    remedy: str = ""
    title: str = ""
    """A few words, for a heading."""
    ids: Sequence[str] = ()
    """Of the events, customers, subscriptions or users that it is about, MOST at most."""


class SpoolContents(Protocol):
    """How many files lie in a spool."""

    @property
    def files(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def rejected(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Context:
    """What is checked: the database, this machine's spool, and how the service is configured.

    Times are Unix seconds. `spool` None: the spool is off, or its folder cannot be read.
    """

    opened: Database | None
    """None where the doctor could not open it: then only checks that do not read it are run."""
    now: int
    has_stripe_key: bool
    spool: SpoolContents | None
    spool_enabled: bool
    spool_problem: str | None
    """Why it takes no event, with path and disk, a colon, and the remedy."""
    catch_up_minutes: float
    reconcile_hour: int | None
    silence_hours: float
    """0: silence is never a fault."""
    link_metadata_key: str = "user_id"
    catalogue: Catalogue | None = None
    """None where the doctor could not load it: then the checks that ask it are not run."""

    @property
    def database(self) -> Database:
        assert self.opened is not None
        return self.opened


@dataclass(frozen=True, slots=True)
class Scope:
    """What an account consists of, where only its own faults are looked for."""

    user_id: str | None
    customers: Sequence[str]
    subscriptions: Sequence[str]
    events: Sequence[str]
    """Those that are pending, failed or dead."""


@dataclass(frozen=True, slots=True)
class Check:
    """One fault that can be looked for. `fine` is said where `find` finds nothing.

    `needs_stripe`: makes sense only with a key for Stripe's API. `of_account`: can be restricted to a scope.
    `slow`: reads every live subscription.
    """

    name: str
    fine: str
    find: Callable[[Context, Scope | None], Awaitable[list[Finding]]]
    needs_stripe: bool = False
    of_account: bool = False
    slow: bool = False


def named(ids: Sequence[str]) -> str:
    """Some ids by name, and how many more there are."""
    more = f" and {_more(len(ids))} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more


def _more(count: int) -> str:
    return f"{count - SHOWN}" if count < MOST else f"at least {count - SHOWN}"


def counted(number: int, noun: str) -> str:
    """The number with its noun; `1000 or more` where the count was cut off."""
    if number >= MOST:
        return f"{MOST} or more {noun}s"
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
