"""Charts as SVG, drawn here: no script, no library. Colours and fonts are the style sheet's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .text import number, plain, shown

WIDTH, HEIGHT, LABELS = 600, 150, 22
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


def columns(values: Sequence[int], title: str, first: str, last: str) -> Markup:
    """Columns over time, with the greatest value written at the top and the times below."""
    most, room = max([1, *values]), HEIGHT - LABELS
    wide = WIDTH / max(1, len(values))
    drawn = [
        Markup(
            '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1"><title>{}</title></rect>'
        ).format(
            place * wide + 0.5,
            room - value / most * (room - 18),
            wide - 1,
            value / most * (room - 18),
            f"{value}",
        )
        for place, value in enumerate(values)
        if value
    ]
    return Markup(
        '<svg class="columns" viewBox="0 0 {w} {h}" role="img" aria-label="{title}">'
        '<line class="grid" x1="0" y1="18" x2="{w}" y2="18"/><text x="0" y="12">{most}</text>{drawn}'
        '<line class="axis" x1="0" y1="{room}" x2="{w}" y2="{room}"/><text x="0" y="{h}">{first}</text>'
        '<text x="{w}" y="{h}" text-anchor="end">{last}</text></svg>'
    ).format(
        w=WIDTH,
        h=HEIGHT - 4,
        room=room,
        title=plain(title),
        most=f"{most:,}",
        drawn=Markup("").join(drawn),
        first=first,
        last=last,
    )
