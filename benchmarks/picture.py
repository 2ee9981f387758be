"""The main course as a drawing: a bar chart in SVG, on a ground of its own, light or dark as the reader's screen is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks.contenders import BY_NAME, Contender
from benchmarks.contest import FLOOR, Figure
from benchmarks.courses import TRADES

WIDTH = 880
ROW = 27
BAR = 17
TOP = 92
LEFT = 344  # where bars begin: labels stand before it, at their right edge
RIGHT = 90  # room for the number behind the longest bar
BOTTOM = 44
SUBTITLE = (
    "Trades of about 170 bytes on 100 channels, flat out over loopback; user and system time of the whole client."
    " Logarithmic scale."
)

STYLE = """
  .ground { fill: #ffffff; stroke: #d0d7de; }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; }
  .quiet { font-size: 12px; fill: #59636e; }
  .own { font-weight: 600; }
  .value { stroke: #ffffff; stroke-width: 5px; stroke-linejoin: round; paint-order: stroke; }
  .grid { stroke: #d8dee4; }
  .edge { stroke: #8c959f; }
  .bar-floor { fill: #c4a15a; }
  .bar-own { fill: #1f6feb; }
  .bar-other { fill: #98a2ad; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #30363d; }
    text { fill: #e6edf3; }
    .quiet { fill: #9198a1; }
    .value { stroke: #0d1117; }
    .grid { stroke: #262c36; }
    .edge { stroke: #6e7681; }
    .bar-floor { fill: #b08d43; }
    .bar-own { fill: #388bfd; }
    .bar-other { fill: #6e7681; }
  }
"""


def rounded(count: float) -> str:
    """7,933,211 as "7.93 M"."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if count >= size:
            number = count / size
            return f"{number:.{max(0, 2 - int(math.log10(number)))}f} {unit}"
    return f"{count:.0f}"


def power_of_ten(count: float) -> str:
    """1,000,000 as "1 M"."""
    unit, size = next(((unit, size) for unit, size in (("M", 1e6), ("k", 1e3)) if count >= size), ("", 1.0))
    return f"{count / size:.0f} {unit}".rstrip()


def drawn(contender: Contender) -> bool:
    """Whether it is a client of the main course."""
    return contender.course is TRADES and contender.connects


class Scale:
    """Logarithmic, from a round number below the smallest count to the largest."""

    def __init__(self, counts: Sequence[float]) -> None:
        low = min(counts) / 1.5
        decade = 10 ** math.floor(math.log10(low))
        self.low = max(step * decade for step in (1, 2, 5) if step * decade <= low)
        self.high = max(counts)

    def x(self, count: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(count / self.low) / math.log(self.high / self.low)

    def marks(self) -> list[float]:
        """The powers of ten within."""
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        return [10.0**power for power in range(first, last + 1)]


def kind(figure: Figure) -> str:
    if figure.name == FLOOR:
        return "floor"
    return "own" if figure.name.startswith("jetsocket") else "other"


def bars(figures: Sequence[Figure], scale: Scale) -> list[str]:
    lines = []
    for number, figure in enumerate(figures):
        top = TOP + ROW * number
        middle = top + BAR / 2 + 4.5
        count = 1e9 / figure.cpu_ns
        end = scale.x(count)
        weight = "own" if kind(figure) == "own" else "plain"
        label = escape(figure.title.replace("`", ""))
        lines += [
            f'<text x="{LEFT - 10}" y="{middle}" text-anchor="end" class="{weight}">{label}</text>',
            f'<rect class="bar-{kind(figure)}" x="{LEFT}" y="{top}" width="{end - LEFT:.1f}" height="{BAR}" rx="2"/>',
            f'<text x="{end + 7:.1f}" y="{middle}" class="value {weight}">{rounded(count)}</text>',
        ]
    return lines


def grid(scale: Scale, bottom: float) -> list[str]:
    lines = []
    for mark in scale.marks():
        x = f"{scale.x(mark):.1f}"
        lines.append(f'<line class="grid" x1="{x}" y1="{TOP - 8}" x2="{x}" y2="{bottom}"/>')
        lines.append(f'<text class="quiet" x="{x}" y="{bottom + 17}" text-anchor="middle">{power_of_ten(mark)}</text>')
    lines.append(f'<line class="edge" x1="{LEFT}" y1="{TOP - 8}" x2="{LEFT}" y2="{bottom}"/>')
    return lines


def drawing(figures: Sequence[Figure]) -> str:
    """The SVG. ValueError where no client ran the main course."""
    clients = [figure for figure in figures if drawn(BY_NAME[figure.name])]
    if not clients:
        raise ValueError("no client ran the main course: there is nothing to draw")
    clients.sort(key=lambda figure: figure.cpu_ns)
    scale = Scale([1e9 / figure.cpu_ns for figure in clients])
    bottom = TOP + ROW * len(clients) + 2
    height = bottom + BOTTOM
    description = "; ".join(f"{figure.title.replace('`', '')}: {rounded(1e9 / figure.cpu_ns)}" for figure in clients)
    size = f'width="{WIDTH}" height="{height}"'
    described = 'role="img" aria-labelledby="title desc"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {size} {described}>',
        '<title id="title">Messages a CPU second, by client</title>',
        f'<desc id="desc">Bar chart, logarithmic scale. {escape(description)}.</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        '<text class="title" x="24" y="36">Messages a CPU second</text>',
        f'<text class="quiet" x="24" y="58">{SUBTITLE}</text>',
        *grid(scale, bottom),
        *bars(clients, scale),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def write_picture(path: Path, figures: Sequence[Figure]) -> None:
    path.write_text(drawing(figures), encoding="utf-8")
