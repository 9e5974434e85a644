"""Line charts in SVG, without a plotting library: points, their spread, a legend."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .measures import Spread

WIDTH, HEIGHT = 520, 340
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 96
COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2")
TICKS = 5
LEGEND_COLUMN = 210


@dataclass(frozen=True)
class Line:
    """One line: a name, and what was measured at each x."""

    name: str
    points: Sequence[tuple[str, Spread]]


@dataclass(frozen=True)
class Chart:
    title: str
    x_title: str
    y_title: str
    lines: Sequence[Line]

    @property
    def labels(self) -> list[str]:
        """The places on the x axis, evenly apart, in the order in which they first come."""
        return list(dict.fromkeys(label for line in self.lines for label, _ in line.points))

    @property
    def top(self) -> float:
        """The highest value on the y axis."""
        return nice(max(spread.high for line in self.lines for _, spread in line.points))


def nice(value: float) -> float:
    """The next round number: 1, 2, 2.5 or 5 times a power of ten, times the number of ticks."""
    step, power = value / TICKS, 1.0
    while power * 10 <= step:
        power *= 10
    while power > step:
        power /= 10
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= step) * TICKS


def svg(charts: Sequence[Chart]) -> str:
    """The charts side by side."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(charts)} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH * len(charts)}" height="{HEIGHT}" fill="white"/>',
    ]
    for number, chart in enumerate(charts):
        parts += [f'<g transform="translate({number * WIDTH} 0)">', *_chart(chart), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _chart(chart: Chart) -> list[str]:
    parts = [_text(WIDTH / 2, 22, chart.title, 'text-anchor="middle" font-weight="bold"')]
    parts += _y_axis(chart) + _x_axis(chart)
    for number, line in enumerate(chart.lines):
        colour = COLOURS[number % len(COLOURS)]
        parts += _line(chart, line, colour) + _legend(number, line.name, colour)
    return parts


def _y_axis(chart: Chart) -> list[str]:
    parts = []
    for tick in range(TICKS + 1):
        value = chart.top * tick / TICKS
        y = _y(chart, value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{value:,g}", 'text-anchor="end"'))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        _text(16, middle, chart.y_title, f'text-anchor="middle" transform="rotate(-90 16 {middle})"')
    )
    return parts


def _x_axis(chart: Chart) -> list[str]:
    y = HEIGHT - BOTTOM
    parts = [_text(_x(chart, label), y + 18, label, 'text-anchor="middle"') for label in chart.labels]
    return [*parts, _text((LEFT + WIDTH - RIGHT) / 2, y + 36, chart.x_title, 'text-anchor="middle"')]


def _line(chart: Chart, line: Line, colour: str) -> list[str]:
    places = [(_x(chart, label), spread) for label, spread in line.points]
    path = " ".join(f"{x:.1f},{_y(chart, spread.median):.1f}" for x, spread in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for x, spread in places:
        low, median, high = (_y(chart, value) for value in (spread.low, spread.median, spread.high))
        parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{median:.1f}" r="3.5" fill="{colour}"/>')
    return parts


def _legend(number: int, name: str, colour: str) -> list[str]:
    row, column = divmod(number, 2)
    x, y = LEFT + column * LEGEND_COLUMN, HEIGHT - 42 + row * 16
    return [f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>', _text(x + 16, y, name)]


def _x(chart: Chart, label: str) -> float:
    labels = chart.labels
    return LEFT + (WIDTH - LEFT - RIGHT) * (labels.index(label) + 0.5) / len(labels)


def _y(chart: Chart, value: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / chart.top


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'
