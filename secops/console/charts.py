"""Charts as SVG, drawn here: no script, no inline style, colours by class from the style sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

WIDTH: Final = 960
HEIGHT: Final = 150
LEFT: Final = 52
BOTTOM: Final = 22
TOP: Final = 10
LINE: Final = 26  # of ranks(): height of a line, width for names and for figures, columns of a name
NAMES: Final = 250
FIGURES: Final = 70
COLUMNS: Final = 36
FIRST_WIDE: Final = 0x1100
SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


def bars(
    points: Sequence[tuple[datetime, int]],
    label: str,
    width: int = WIDTH,
    height: int = HEIGHT,
    links: Sequence[str] = (),
) -> Markup:
    """A bar for each (start of bucket, count); ``label`` is what a screen reader says before the figures.

    ``links``, when given, are the addresses that the bars lead to.
    """
    if not points:
        return Markup("")
    top = ceiling(max(count for _, count in points))
    inner, floor = width - LEFT - 8, height - BOTTOM
    step = inner / len(points)
    drawn = Markup("").join(
        _linked(
            _bar(LEFT + i * step, step, floor, (floor - TOP) * count / top, at=at, count=count),
            links[i] if links and count else "",
        )
        for i, (at, count) in enumerate(points)
    )
    total = sum(count for _, count in points)
    return Markup(
        '<svg class="chart" viewBox="0 0 {w} {h}" role="{role}" aria-label="{label}: {total}">{grid}{bars}{axis}</svg>'
    ).format(
        w=width,
        h=height,
        role="group" if links else "img",
        label=label,
        total=total,
        grid=_grid(top, floor, width),
        bars=drawn,
        axis=_axis(points, step, height),
    )


def ranks(rows: Sequence[tuple[str, int]], label: str, width: int = WIDTH) -> Markup:
    """A lying bar for each (name, count), in the order given; names are cut to fit and whole in the tooltip."""
    if not rows:
        return Markup("")
    top = max(1, *(count for _, count in rows))
    room = width - NAMES - FIGURES
    drawn = Markup("").join(
        Markup(
            '<text class="tick" x="{nx}" y="{ty}" text-anchor="end">{short}<title>{name}</title></text>'
            '<rect class="bar" x="{x}" y="{y}" width="{w:.1f}" height="{h}" rx="1"><title>{name}  {count:,}</title></rect>'
            '<text class="tick" x="{cx:.1f}" y="{ty}">{count:,}</text>'
        ).format(
            nx=NAMES - 8,
            ty=i * LINE + LINE - 8,
            short=_short(name),
            name=name,
            x=NAMES,
            y=i * LINE + 4,
            w=max(room * count / top, 1.5 if count else 0),
            h=LINE - 8,
            cx=NAMES + room * count / top + 6,
            count=count,
        )
        for i, (name, count) in enumerate(rows)
    )
    return Markup('<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">{drawn}</svg>').format(
        w=width,
        h=len(rows) * LINE,
        label=f"{label}: " + "; ".join(f"{name} {count}" for name, count in rows),
        drawn=drawn,
    )


def _short(name: str) -> str:
    """Cut a name to the room beside the bars; a Chinese character takes two columns."""
    taken = 0
    for at, char in enumerate(name):
        taken += 2 if ord(char) >= FIRST_WIDE else 1
        if taken > COLUMNS:
            return name[: at - 1] + "…"
    return name


def ceiling(value: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, ... that is not below ``value``."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power >= value:
                return factor * power
        power *= 10


def _linked(bar: Markup, address: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(address, bar) if address else bar


def _bar(x: float, step: float, floor: int, tall: float, *, at: datetime, count: int) -> Markup:
    tall = max(tall, 1.5) if count else 0
    return Markup(
        '<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="1"><title>{at}  {count}</title></rect>'
    ).format(
        x=x + step * 0.1, y=floor - tall, w=max(step * 0.8, 0.8), h=tall, at=_moment(at, "%m-%d %H:%M"), count=count
    )


def _grid(top: int, floor: int, width: int) -> Markup:
    lines = []
    for share in (0, 0.5, 1):
        y = floor - (floor - TOP) * share
        value = top * share
        text = f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
        lines.append(
            Markup(
                '<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                '<text class="tick" x="{x}" y="{ty:.1f}" text-anchor="end">{text}</text>'
            ).format(left=LEFT, right=width - 8, y=y, x=LEFT - 6, ty=y + 4, text=text)
        )
    return Markup("").join(lines)


def _axis(points: Sequence[tuple[datetime, int]], step: float, height: int) -> Markup:
    whole = points[-1][0] - points[0][0]
    pattern = "%m-%d %H:%M" if whole.days >= 1 else "%H:%M"
    every = max(1, len(points) // 6)
    return Markup("").join(
        Markup('<text class="tick" x="{x:.1f}" y="{y}" text-anchor="middle">{text}</text>').format(
            x=LEFT + (i + 0.5) * step, y=height - 6, text=_moment(points[i][0], pattern)
        )
        for i in range(every // 2, len(points), every)
    )


def _moment(at: datetime, pattern: str) -> str:
    return at.astimezone(SHANGHAI).strftime(pattern)
