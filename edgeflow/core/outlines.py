"""Outlines of what stands out in a binary map, their hulls, and the smallest rectangle around one; the twin of
demos/outlines.cpp.

Points are whole pixels (x, y), so that both compute with whole numbers as far as there are any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgeflow.core.metric import Array


@dataclass(frozen=True, slots=True)
class Outline:
    """A component of eight neighbours, or a hole in one, of four: its runs of pixels, each a row, from begin to before
    end.
    """

    row: Array
    begin: Array
    end: Array
    hole: bool

    @property
    def start(self) -> tuple[int, int, bool]:
        """Row and column at which a scan from the top left meets it; a hole is met on the pixel before it."""
        return int(self.row[0]), int(self.begin[0]) - self.hole, self.hole

    def points(self) -> Array:
        """Pixels int64[points, 2] that hold every corner of the outline's hull.

        A hole's outline are the pixels around it.
        """
        last = self.end - 1
        if not self.hole:
            return np.concatenate([np.stack([self.begin, self.row], 1), np.stack([last, self.row], 1)])
        sides = [(self.begin - 1, self.row), (self.end, self.row)]
        sides += [(x, self.row + step) for x in (self.begin, last) for step in (-1, 1)]
        return np.concatenate([np.stack(side, 1) for side in sides])

    def filled(self) -> tuple[Array, tuple[int, int]]:
        """The outline and all that it encloses, bool[h, w], and the pixel (x, y) of the map that its corner is."""
        left, top = int(self.begin.min()) - 2, int(self.row.min()) - 2
        there = np.zeros((int(self.row.max()) - top + 3, int(self.end.max()) - left + 2), bool)
        for y, begin, end in zip(self.row - top, self.begin - left, self.end - left, strict=True):
            there[y, begin:end] = True
        row, begin, end, owner = _runs(~there, diagonal=False)
        for k in np.flatnonzero(owner == 0):  # the first run is the frame's: all that is outside
            there[row[k], begin[k] : end[k]] = False
        for k in np.flatnonzero(owner != 0):
            there[row[k], begin[k] : end[k]] = True
        if self.hole:
            grown = there.copy()
            grown[1:] |= there[:-1]
            grown[:-1] |= there[1:]
            grown[:, 1:] |= there[:, :-1]
            grown[:, :-1] |= there[:, 1:]
            there = grown
        return there, (left, top)


def outlines(on: Array) -> list[Outline]:
    """Of bool[H, W], the last that a scan from the top left meets first, as OpenCV's findContours lists them."""
    found = [Outline(*runs, hole=False) for runs in _components(on, diagonal=True)]
    height, width = on.shape
    for row, begin, end in _components(~on, diagonal=False):
        if row[0] > 0 and row[-1] < height - 1 and begin.min() > 0 and end.max() < width:
            found.append(Outline(row, begin, end, hole=True))
    return sorted(found, key=lambda outline: outline.start, reverse=True)


def _components(on: Array, *, diagonal: bool) -> list[tuple[Array, Array, Array]]:
    row, begin, end, owner = _runs(on, diagonal=diagonal)
    if not len(row):
        return []
    order = np.argsort(owner, kind="stable")
    cuts = np.flatnonzero(np.diff(owner[order])) + 1
    return [(row[group], begin[group], end[group]) for group in np.split(order, cuts)]


def _runs(on: Array, *, diagonal: bool) -> tuple[Array, Array, Array, Array]:
    """Row, begin, end of each run of pixels in a row, and the first run of its component.

    Runs are joined with those that they touch in the row above.
    """
    edges = np.diff(np.pad(on, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, begin = np.nonzero(edges == 1)
    _, end = np.nonzero(edges == -1)  # one behind the last pixel
    root = list(range(len(row)))

    def find(k: int) -> int:
        while root[k] != k:
            root[k] = root[root[k]]
            k = root[k]
        return k

    sides = ("left", "right") if diagonal else ("right", "left")
    starts = np.searchsorted(row, np.arange(on.shape[0] + 1))
    for y in range(1, on.shape[0]):
        above, here = slice(starts[y - 1], starts[y]), slice(starts[y], starts[y + 1])
        if above.start == above.stop or here.start == here.stop:
            continue
        low = np.searchsorted(end[above], begin[here], side=sides[0]) + above.start  # type: ignore[call-overload]
        high = np.searchsorted(begin[above], end[here], side=sides[1]) + above.start  # type: ignore[call-overload]
        for k, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True), start=int(here.start)):
            for other in range(a, b):
                one, two = find(k), find(other)
                root[max(one, two)] = min(one, two)
    return row, begin, end, np.asarray([find(k) for k in range(len(row))], np.int64)


def hull(points: Array) -> Array:
    """The convex hull of int64[points, 2] by Andrew's monotone chain, [corners, 2], from the leftmost on."""
    ordered = np.unique(points, axis=0).tolist()
    found: list[list[int]] = []
    for side in (ordered, ordered[::-1]):
        begin = len(found)
        for x, y in side:
            while len(found) >= begin + 2:
                (ax, ay), (bx, by) = found[-2:]
                if (bx - ax) * (y - by) - (by - ay) * (x - bx) > 0:
                    break
                found.pop()
            found.append([x, y])
        found.pop()
    return np.asarray(found if found else ordered[:1], np.int64)


def smallest(corners: Array) -> tuple[Array, float]:
    """Corners float64[4, 2] of the smallest rectangle around a hull int64[corners, 2], and its shorter side.

    It lies along an edge of the hull. Source: H. Freeman, R. Shapira, Communications of the ACM 18 (1975). They are
    ordered as PaddleOCR's get_mini_boxes orders them: the upper one of the two on the left, the upper one of the two on
    the right, the lower one on the right, the lower one on the left.
    """
    edges = np.roll(corners, -1, 0) - corners
    square = (edges**2).sum(1)
    if not square.any():
        return np.repeat(corners[:1], 4, 0).astype(np.float64), 0.0
    along = edges @ corners.T
    down = edges[:, :1] * corners[:, 1] - edges[:, 1:] * corners[:, 0]
    left, right, top, bottom = along.min(1), along.max(1), down.min(1), down.max(1)
    area = (right - left).astype(np.float64) * (bottom - top).astype(np.float64) / square
    k = int(area.argmin())
    (x, y), size = edges[k].tolist(), int(square[k])
    spans = (int(left[k]), int(right[k])), (int(top[k]), int(bottom[k]))
    found = [((a * x - b * y) / size, (a * y + b * x) / size) for a in spans[0] for b in spans[1]]
    found.sort()
    first, second = sorted(found[:2], key=lambda p: p[1]), sorted(found[2:], key=lambda p: p[1])
    side = min(spans[0][1] - spans[0][0], spans[1][1] - spans[1][0]) / math.sqrt(size)
    return np.asarray([first[0], second[0], second[1], first[1]]), side
