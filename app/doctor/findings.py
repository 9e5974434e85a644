"""What the doctor found: a report, with what it could not look at. Never with a secret."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..checks import Finding
from ..errors import ServiceError


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


def error_found(error: ServiceError) -> Finding:
    """An error that stops the start: the remedy stands behind the colon."""
    what, _, remedy = error.detail.partition(": ")
    return Finding("error", f"{what}.", capital(remedy))


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def mode_name(livemode: bool) -> str:
    return "live mode" if livemode else "test mode"
