"""A chart of builds by two figures, with the steps of those that none beats; lower and further left is better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from edgeflow.report.bilingual import Both
from edgeflow.report.values import figure, plain

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 560, 300, 74, 44, 22, 20
LABEL_MAX = 24
LABEL_WIDTH, LABEL_HEIGHT = 170, 13
"""Pixels that the longest label takes."""
SAME = 1e-6
"""Of the largest value: closer ones are drawn as one, and no axis is that fine."""

DRAWN_MAX = 1e15


@dataclass(frozen=True, slots=True)
class Point:
    """A build: its two figures, its name, and the CSS class of its verdict."""

    x: float
    y: float
    name: str
    kind: str


def scatter(points: Sequence[Point], x_name: Both, y_name: Both) -> str:
    """Inline SVG; empty where fewer than two builds have both figures. Figures that nothing has are left out."""
    points = [point for point in points if max(abs(point.x), abs(point.y)) < DRAWN_MAX]
    if len(points) < 2:
        return ""
    across, up = _axis([point.x for point in points]), _axis([point.y for point in points])
    parts = [_grid(across, up)]
    steps = _steps(points, across, up)
    parts.append(f"<polyline class=front points='{steps}'/>" if steps else "")
    taken: list[tuple[float, float]] = []
    for point in points:
        x, y = _x(point.x, across), _y(point.y, up)
        anchor = "end" if x > WIDTH - 150 else "start"
        height = _free(x, y - 9, taken)
        taken.append((x, height))
        title = escape(f"{plain(point.name)}: {figure(point.x)}, {figure(point.y)}")
        parts.append(
            f"<g class='point {point.kind}'><title>{title}</title><circle cx={x:.1f} cy={y:.1f} r=6 />"
            f"<text x={x + (-9 if anchor == 'end' else 9):.1f} y={height:.1f} text-anchor={anchor}>"
            f"{escape(plain(point.name, LABEL_MAX))}</text></g>"
        )
    own = [name.attribute("") for name in (x_name, y_name)]
    names = (
        f"<text class=tick x={WIDTH - RIGHT} y={HEIGHT - 6} text-anchor=end{own[0]}>{escape(str(x_name))}</text>"
        f"<text class=tick x=4 y=13{own[1]}>{escape(str(y_name))}</text>"
    )
    label = escape(f"{y_name} by {x_name}; the figures are in the table", quote=True)
    return (
        f"<svg class=scatter viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{label}'>{''.join(parts)}{names}</svg>"
    )


def _free(x: float, y: float, taken: Sequence[tuple[float, float]]) -> float:
    """The nearest height above `y` where no label of those around stands."""
    near = [height for across, height in taken if abs(across - x) < LABEL_WIDTH]
    while y > LABEL_HEIGHT and any(abs(height - y) < LABEL_HEIGHT for height in near):
        y -= LABEL_HEIGHT
    return y


def _axis(values: Sequence[float]) -> list[float]:
    """Ticks at round figures, from below the smallest to above the largest value."""
    low, high = min(values), max(values)
    largest = max(abs(low), abs(high))
    span = high - low if high - low > largest * SAME else largest or 0.01
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * k for k in (1, 2, 5, 10) if span / (power * k) <= 5)
    first = math.floor((low - span * 0.06) / step)
    if low >= 0:
        first = max(first, 0)
    last = math.ceil((high + span * 0.06) / step)
    return [k * step for k in range(first, last + 1)]


def _x(value: float, axis: Sequence[float]) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (value - axis[0]) / (axis[-1] - axis[0])


def _y(value: float, axis: Sequence[float]) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - axis[0]) / (axis[-1] - axis[0])


def _grid(across: Sequence[float], up: Sequence[float]) -> str:
    parts = []
    for value in across:
        x = _x(value, across)
        parts.append(
            f"<line class=grid x1={x:.1f} x2={x:.1f} y1={TOP} y2={HEIGHT - BOTTOM} />"
            f"<text class=tick x={x:.1f} y={HEIGHT - BOTTOM + 16} text-anchor=middle>{_short(value)}</text>"
        )
    for value in up:
        y = _y(value, up)
        parts.append(
            f"<line class=grid x1={LEFT} x2={WIDTH - RIGHT} y1={y:.1f} y2={y:.1f} />"
            f"<text class=tick x={LEFT - 6} y={y + 4:.1f} text-anchor=end>{_short(value)}</text>"
        )
    return "".join(parts)


def _short(value: float) -> str:
    """A tick; thousands and millions by their letter."""
    for unit, letter in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= unit:
            return figure(value / unit, 3) + letter
    return figure(value, 3)


def _steps(points: Sequence[Point], across: Sequence[float], up: Sequence[float]) -> str:
    """The line below which no build lies, from left to right; what failed is no part of it."""
    best: list[Point] = []
    for point in sorted((p for p in points if p.kind != "fail"), key=lambda p: (p.x, p.y)):
        if not best or point.y < best[-1].y:
            best.append(point)
    drawn = []
    for before, point in zip([None, *best], best, strict=False):
        if before is not None:
            drawn.append(f"{_x(point.x, across):.1f},{_y(before.y, up):.1f}")
        drawn.append(f"{_x(point.x, across):.1f},{_y(point.y, up):.1f}")
    return " ".join(drawn) if len(best) > 1 else ""
