"""Numbers and what they say: percentiles, ratios, goals, verdicts. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["better than aimed", "met", "missed", "FAR OFF"]
FAR = 2
"""Half of a goal, or twice what a bound allows, is no noise: something is broken."""

QUIET = 0.15
"""The share of the machine that others may take for rates to be judged."""


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Goal:
    """A bound on a number, and when it can fail a run.

    Tails and times tell too much of the machine. Rates tell of it too when others work on it: a server that
    waits for a database loses its place at every turn, one that only computes does not.
    """

    what: str
    kind: Literal["at least", "at most"]
    bound: float
    aim: float | None = None
    unit: str = ""
    checked: Literal["always", "on a quiet machine", "never"] = "on a quiet machine"

    @property
    def text(self) -> str:
        sign = "≥" if self.kind == "at least" else "≤"
        aimed = f" (aim {self.aim:g})" if self.aim is not None else ""
        return f"{sign} {self.bound:g}{self.unit}{aimed}"


@dataclass(frozen=True)
class Finding:
    """A goal and what was measured."""

    goal: Goal
    spread: Spread

    @property
    def verdict(self) -> Verdict:
        return judge(self.goal, self.spread.median)

    def fails(self, others: float) -> bool:
        """Whether it fails a run beside which others took this share of the machine."""
        counts = self.goal.checked == "always" or (
            self.goal.checked == "on a quiet machine" and others <= QUIET
        )
        return counts and self.verdict == "FAR OFF"


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of sorted values: always one that was measured."""
    if not ordered:
        raise ValueError("there is no percentile of nothing")
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def ratios(values: Sequence[float], bases: Sequence[float]) -> Spread:
    """Each round's value beside the same round's base: what slows the machine down slows down both."""
    return spread([value / base for value, base in zip(values, bases, strict=True)])


def judge(goal: Goal, value: float) -> Verdict:
    """What a number says of its goal."""
    least = goal.kind == "at least"
    share = value / goal.bound if least else goal.bound / value if value > 0 else float("inf")
    if share >= 1:
        aimed = goal.aim is not None and (value >= goal.aim if least else value <= goal.aim)
        return "better than aimed" if aimed else "met"
    return "missed" if share * FAR >= 1 else "FAR OFF"
