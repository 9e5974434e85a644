"""Charts as SVG, drawn here: no script, no library. Colours and fonts are the style sheet's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .formatting import number, plain, shown

WIDTH, HEIGHT = 600, 120
MOST_BARS = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: how long, of 100, and what it is called."""

    label: Markup
    value: str
    share: float
    tone: str = ""
    link: str | None = None


def bars(counts: Mapping[str, int], tones: Mapping[str, str] | None = None) -> list[Bar]:
    """The greatest first; beyond a few, the rest together."""
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    top, rest = ranked[:MOST_BARS], ranked[MOST_BARS:]
    if rest:
        top.append((f"{len(rest)} others", sum(count for _, count in rest)))
    most = max((count for _, count in top), default=0)
    return [
        Bar(shown(name, 40), number(count), 100 * count / most if most else 0, (tones or {}).get(name, ""))
        for name, count in top
    ]


def columns(values: Sequence[int], title: str) -> Markup:
    """Columns over time, the greatest as high as the chart. What they are called stands beside, as text."""
    most, wide = max([1, *values]), WIDTH / max(1, len(values))
    drawn = [
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>').format(
            place * wide + 0.5, HEIGHT * (1 - value / most), wide - 1, HEIGHT * value / most, value
        )
        for place, value in enumerate(values)
        if value
    ]
    return Markup(
        '<svg class="columns" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" '
        'aria-label="{title}">{drawn}</svg>'
    ).format(w=WIDTH, h=HEIGHT, title=plain(title), drawn=Markup("").join(drawn))
