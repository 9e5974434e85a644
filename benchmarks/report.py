"""What was measured, as Markdown and on the terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from .measures import Finding, Spread, spread
from .rates import SERVERS, VERIFY
from .trials import OPEN, Trials

Rows = list[tuple[str, ...]]
GOAL_COLUMNS = ("what", "measured (lowest to highest round)", "goal", "")
RATE_COLUMNS = (
    "server",
    "connections",
    "events/s (lowest to highest)",
    "of verify-only",
    "median ms",
    "p99 ms",
    "CPU µs/event: server",
    "PostgreSQL",
)


def number(value: float) -> str:
    """With as many digits as mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def span(values: Spread, unit: str = "") -> str:
    return f"{number(values.median)}{unit} ({number(values.low)} to {number(values.high)})"


def goal_rows(findings: Iterable[Finding]) -> Rows:
    return [(f.goal.what, span(f.spread, f.goal.unit), f.goal.text, f.verdict) for f in findings]


def rate_rows(trials: Trials) -> Rows:
    rows: Rows = []
    for name, connections in trials.by_case:
        if name not in SERVERS:
            continue  # the parts about growth have tables of several sizes under one name
        rates = spread(trials.rates(name, connections))
        base = trials.rates(VERIFY, connections) if (VERIFY, connections) in trials.by_case else []
        rows.append(
            (
                name,
                str(connections) if connections != OPEN else "open loop",
                span(rates),
                number(rates.median / spread(base).median) if base and connections != OPEN else "",
                number(spread(trials.medians(name, connections)).median),
                number(spread(trials.p99s(name, connections)).median),
                number(spread(trials.cpu(name, connections)).median),
                number(spread(trials.database_cpu(name, connections)).median),
            )
        )
    return rows


def markdown_table(columns: Sequence[str], rows: Rows) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def markdown(
    title: str, findings: Iterable[Finding], trials: Trials, machine: dict[str, str], notes: Iterable[str]
) -> str:
    """The whole report."""
    return "\n".join(
        [
            f"# {title}\n",
            markdown_table(GOAL_COLUMNS, goal_rows(findings)),
            markdown_table(RATE_COLUMNS, rate_rows(trials)),
            *(f"- {note}" for note in notes),
            "\n## The machine\n",
            *(f"- {name}: {value}" for name, value in machine.items()),
            "",
        ]
    )


def show(console: Console, title: str, columns: Sequence[str], rows: Rows) -> None:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    console.print(table)
