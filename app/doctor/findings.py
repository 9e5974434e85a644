"""What a check finds: how bad it is, what it is, and what to do about it. Never a secret."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .installation import Installation

Level = Literal["ok", "hint", "warning", "error"]
Need = Literal["catalogue", "database", "endpoint", "records", "stripe"]
"""`records`: a database whose schema is the code's. `endpoint`: one at Stripe that leads here."""

SHOWN = 5
"""How many ids a finding names."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy` is empty only where nothing is wrong."""

    level: Level
    what: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One mistake that can be looked for. `fine` is said where `run` finds nothing."""

    name: str
    fine: str
    run: Callable[["Installation"], Awaitable[list[Finding]]]
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    check: str
    why: str


@dataclass(frozen=True, slots=True)
class Report:
    """The findings with the names of their checks, in the order of those; and what was not looked at."""

    findings: Sequence[tuple[str, Finding]]
    skipped: Sequence[Skipped]

    @property
    def ok(self) -> bool:
        return all(finding.level != "error" for _, finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "findings": [
                {"check": name, "level": each.level, "what": each.what, "remedy": each.remedy or None}
                for name, each in self.findings
            ],
            "skipped": [{"check": each.check, "why": each.why} for each in self.skipped],
        }


def named(ids: Sequence[str]) -> str:
    """Some ids by name, and how many more there are."""
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def error_found(error: ConfigurationError) -> Finding:
    """An error that stops the start: the remedy stands behind the colon."""
    what, _, remedy = error.detail.partition(": ")
    return Finding("error", f"{what}.", capital(remedy))


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def mode_name(livemode: bool) -> str:
    return "live mode" if livemode else "test mode"
