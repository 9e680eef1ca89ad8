"""The picture of a network as inline SVG: boxes for ops, lines for what one takes from another, folded into columns.

Ops are ranked by the longest way from an input; ranks run downwards and go on at the top of the next column, as text
does, so that a chain of hundreds of ops is as wide as a screen. style.css colours the classes, script.js pans, zooms
and searches; without script the whole picture is shown. Every text in it comes from a file and is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from edgeflow.report.values import plain

OPS_MAX = 3000
"""Ops that are drawn; a picture of more is no picture, and the page stays below two megabytes."""

LINES_MAX = 4 * OPS_MAX
TAKES_MAX = 64
"""Lines that lead into one op."""

RANK_MAX = 8
"""Ops side by side; further ones of a rank go into the row below."""

WIDTH, HEIGHT, ACROSS, DOWN, BETWEEN, MARGIN = 132, 28, 14, 18, 46, 12
"""Of a box, the room beside and below it, between columns and around the whole, in pixels at full size."""

SHAPE = 3.0
"""Width to height that the columns are chosen for: the room that a desktop gives the picture."""

COLUMNS_MAX = 40


@dataclass(frozen=True, slots=True)
class Drawn:
    """One op of the picture.

    `title` is its whole text, shown on a touch and looked through by the search; `after` are the keys of the ops whose
    results it takes, of which those that stand later in the list are left out; `classes` and `href` are the page's own
    words, never a file's.
    """

    key: int
    label: str
    title: str
    after: tuple[int, ...] = ()
    classes: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Each op's column and the left upper corner of its box, by key; the whole size; lines as pairs of keys."""

    places: Mapping[int, tuple[int, int, int]]
    size: tuple[int, int]
    lines: tuple[tuple[int, int], ...]


def picture(ops: Sequence[Drawn], label: str) -> str:
    """The network as one `<svg>`, drawn whole; empty where there is no op.

    Args:
        label: what a reader who does not see the picture is told.
    """
    if not ops:
        return ""
    found = layout(ops)
    drawn = {op.key: op for op in ops[:OPS_MAX]}
    lines = "".join(f"<path d='{_line(found, *pair)}'/>" for pair in found.lines)
    boxes = "".join(_box(drawn[key], x, y) for key, (_, x, y) in found.places.items())
    width, height = found.size
    return (
        f"<svg class=net viewBox='0 0 {width} {height}' role=img aria-label='{escape(plain(label), quote=True)}'>"
        f"<g class=lines>{lines}</g>{boxes}</svg>"
    )


def _box(op: Drawn, x: int, y: int) -> str:
    box = (
        f"<g class='op {op.classes}' data-op='{op.key}'><title>{escape(plain(op.title))}</title>"
        f"<rect x={x} y={y} width={WIDTH} height={HEIGHT} rx=6 />"
        f"<text x={x + WIDTH // 2} y={y + 19} text-anchor=middle>{escape(plain(op.label, 16))}</text></g>"
    )
    return f"<a href='{op.href}' tabindex=-1>{box}</a>" if op.href else box


def layout(ops: Sequence[Drawn]) -> Layout:
    """Where each of the first OPS_MAX ops stands. Equal lists give equal places."""
    shown = list({op.key: op for op in ops[:OPS_MAX]}.values())
    takes = _known(shown)
    rows = _rows(shown, takes)
    places: dict[int, tuple[int, int, int]] = {}
    left, tallest = MARGIN, 0
    for number, (start, end) in enumerate(_columns([len(row) for row in rows])):
        width = _wide(max(len(row) for row in rows[start:end]))
        for down, row in enumerate(rows[start:end]):
            free = (width - _wide(len(row))) // 2
            for across, key in enumerate(row):
                x = left + free + across * (WIDTH + ACROSS)
                places[key] = (number, x, MARGIN + down * (HEIGHT + DOWN))
        tallest = max(tallest, end - start)
        left += width + BETWEEN
    lines = tuple((one, op.key) for op in shown for one in takes[op.key])[:LINES_MAX]
    return Layout(places, (left - BETWEEN + 3 * MARGIN, tallest * (HEIGHT + DOWN) - DOWN + 2 * MARGIN), lines)


def _wide(boxes: int) -> int:
    return boxes * (WIDTH + ACROSS) - ACROSS


def _known(ops: Sequence[Drawn]) -> dict[int, tuple[int, ...]]:
    """What each op takes from those before it, so that nothing turns in a circle."""
    seen: dict[int, tuple[int, ...]] = {}
    for op in ops:
        seen[op.key] = tuple(dict.fromkeys(key for key in op.after[:TAKES_MAX] if key in seen))
    return seen


def _rows(ops: Sequence[Drawn], takes: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Keys by rank; an op stands as far left or right as those that it comes from. A wide rank takes several rows."""
    rank: dict[int, int] = {}
    for op in ops:
        rank[op.key] = 1 + max((rank[key] for key in takes[op.key]), default=-1)
    ranks: list[list[int]] = [[] for _ in range(max(rank.values()) + 1)]
    for op in ops:
        ranks[rank[op.key]].append(op.key)
    across: dict[int, float] = {}
    for row in ranks:
        row.sort(key=lambda key: _mean([across[one] for one in takes[key]]))
        across.update({key: i - (len(row) - 1) / 2 for i, key in enumerate(row)})
    return [row[i : i + RANK_MAX] for row in ranks for i in range(0, len(row), RANK_MAX)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _columns(widths: Sequence[int]) -> list[tuple[int, int]]:
    """First and last row of each column, of about equal length, so that the whole comes nearest to SHAPE."""

    def cut(many: int) -> list[tuple[int, int]]:
        tall = math.ceil(len(widths) / many)
        return [(start, min(start + tall, len(widths))) for start in range(0, len(widths), tall)]

    def odd(columns: Iterable[tuple[int, int]]) -> float:
        width = sum(_wide(max(widths[a:b])) + BETWEEN for a, b in columns)
        return abs(math.log(width / (max(b - a for a, b in columns) * (HEIGHT + DOWN)) / SHAPE))

    return min((cut(many) for many in range(1, min(len(widths), COLUMNS_MAX) + 1)), key=odd)


def _line(found: Layout, one: int, other: int) -> str:
    """The way of a line: on to the row below, around the boxes between, or over to a further column."""
    column, x, y = found.places[one]
    column_to, x_to, y_to = found.places[other]
    half, low, low_to = WIDTH // 2, y + HEIGHT // 2, y_to + HEIGHT // 2
    if column != column_to:
        out, into = x + WIDTH + BETWEEN - 10, x_to - BETWEEN + 10
        return f"M{x + WIDTH} {low}C{out} {low} {into} {low_to} {x_to} {low_to}"
    if y_to - y <= HEIGHT + DOWN or x != x_to:
        middle = (y + HEIGHT + y_to) // 2
        return f"M{x + half} {y + HEIGHT}C{x + half} {middle} {x_to + half} {middle} {x_to + half} {y_to}"
    side = x + WIDTH + min(ACROSS + (y_to - y) // 24, BETWEEN - 4)
    return f"M{x + WIDTH} {low}C{side} {low + HEIGHT} {side} {low_to - HEIGHT} {x_to + WIDTH} {low_to}"
