"""Charts as SVG, without a script or a library. The style sheet sets colours and fonts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .formatting import number, plain, shown

WIDTH, HEIGHT = 600, 120
MOST_BARS = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart. `share` is its length in percent."""

    label: Markup
    value: str
    share: float
    tone: str = ""


def bars(counts: Mapping[str, int], tones: Mapping[str, str] | None = None) -> list[Bar]:
    """The largest first; everything beyond MOST_BARS in one bar."""
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
    """Columns over time, scaled to the largest. `title` is read out by screen readers."""
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
