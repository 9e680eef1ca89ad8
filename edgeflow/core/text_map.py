"""Boxes of text on a detector's probability map, as PaddleOCR's DBPostProcess gives them; the twin of
demos/text_map.cpp.

Source: M. Liao et al., Real-time Scene Text Detection with Differentiable Binarization, AAAI 2020, section 3.3; what
PaddleOCR 2.7 documents and gives for DBPostProcess, its detector's filter and its reading order, OpenCV 4.11 for
findContours, minAreaRect and fillPoly, and Clipper 6.4 for offsets with round corners. A corner is a pixel, not its
middle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgeflow.core.errors import RecipeError
from edgeflow.core.metric import Array
from edgeflow.core.outlines import Outline, hull, outlines, smallest
from edgeflow.core.placement import Placement

LINE_HEIGHT = 10
"""Boxes whose tops are less than this many pixels apart stand in one line. Source: PaddleOCR 2.7, sorted_boxes."""
SIDE_LEAST = 3
"""A box whose sides are not longer than this, in pixels of the picture, is none. Source: PaddleOCR 2.7's detector."""
ARC = 0.25
"""How far a round corner's chord may lie from its arc, in pixels. Source: Clipper 6.4, def_arc_tolerance."""
CANDIDATES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class BoxRules:
    """How boxes are found on a probability map.

    `thresh`: a pixel above it is text; `dilate`: what is text grows by one pixel to the right and below; `box_thresh`:
    least mean of a box; `unclip_ratio`: a box grows by area * unclip_ratio / perimeter on every side; `min_size`:
    least shorter side of a box in pixels of the map, before it grows, and two less than after; `max_candidates`: how
    many outlines are looked at; `score_mode`: the mean is that of the box (fast) or of the outline (slow).
    """

    thresh: float = 0.3
    box_thresh: float = 0.6
    unclip_ratio: float = 1.5
    min_size: float = 3
    max_candidates: int = 1000
    score_mode: Literal["fast", "slow"] = "fast"
    dilate: bool = False

    def validate(self, where: str) -> None:
        """Hold the values to what they can be.

        Raises:
            RecipeError: one is out of its bounds, which are named.
        """
        for name, most in (
            ("thresh", 1.0),
            ("box_thresh", 1.0),
            ("unclip_ratio", 10.0),
            ("min_size", 1000.0),
            ("max_candidates", float(CANDIDATES_MAX)),
        ):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise RecipeError(
                    f"{where}: {name} is {value}, and should be from 0 to {most:g}",
                    try_=f"{name} = {getattr(BoxRules(), name)}, which PaddleOCR uses",
                )


@dataclass(frozen=True, slots=True)
class TextBoxes:
    """Quadrilaterals float64[boxes, 4, 2] of whole pixels, clockwise from the top left corner, and their scores."""

    quads: Array
    scores: Array


def text_boxes(map_: Array, rules: BoxRules | None = None, placement: Placement | None = None) -> TextBoxes:
    """Boxes of a map float[H, W] in reading order, in pixels of the picture that lies so in the model's input.

    A map may be smaller than the input by any factor. Without a placement the boxes are in pixels of the map. A value
    that is NaN is no text, and a box that holds one is none.
    """
    rules = rules or BoxRules()
    values = map_.astype(np.float32)
    on = values > np.float32(rules.thresh)
    if rules.dilate:
        on = on.copy()
        on[1:] |= on[:-1].copy()
        on[:, 1:] |= on[:, :-1].copy()
    quads, scores = [], []
    for outline in outlines(on)[: rules.max_candidates]:
        box, side = smallest(hull(outline.points()))
        if side < rules.min_size or side == 0:
            continue
        score = _mean_in_quad(values, box) if rules.score_mode == "fast" else _mean_in_outline(values, outline)
        if not score >= rules.box_thresh:
            continue
        box, side = smallest(hull(_grown(box, rules.unclip_ratio)))
        if side < rules.min_size + 2:
            continue
        quad = _clockwise(_in_picture(box, values.shape, placement or _alone(values.shape)))
        if min(_apart(quad[0], quad[1]), _apart(quad[0], quad[3])) < SIDE_LEAST + 1:
            continue
        quads.append(quad)
        scores.append(score)
    order = reading_order(quads)
    return TextBoxes(
        np.asarray([quads[k] for k in order], np.float64).reshape(-1, 4, 2),
        np.asarray([scores[k] for k in order], np.float64),
    )


def map_boxes(map_: Array) -> Array:
    """Text boxes float64[boxes, 4, 2] of a map [H, W] by the usual rules, in its pixels."""
    return text_boxes(map_).quads


def smallest_box(points: Array) -> Array:
    """The smallest rectangle float64[4, 2] around points [N, 2], such as an outline with more than four corners.

    Its corners stand as those of text_boxes do; points are rounded to 1/64 of a pixel.
    """
    parts = np.rint(np.asarray(points, np.float64) * 64).astype(np.int64)
    return _clockwise(smallest(hull(parts))[0] / 64)


def reading_order(quads: Sequence[Array]) -> list[int]:
    """Places of quadrilaterals [4, 2] from top to bottom, and from left to right where their tops lie in one line."""
    order = sorted(range(len(quads)), key=lambda k: (quads[k][0][1], quads[k][0][0]))
    for i in range(len(order) - 1):
        for j in range(i, -1, -1):
            one, two = quads[order[j]][0], quads[order[j + 1]][0]
            if not (abs(two[1] - one[1]) < LINE_HEIGHT and two[0] < one[0]):
                break
            order[j], order[j + 1] = order[j + 1], order[j]
    return order


def _alone(shape: tuple[int, ...]) -> Placement:
    size = (shape[0], shape[1])
    return Placement(size, size, size, (0, 0))


def _in_picture(box: Array, shape: tuple[int, ...], at: Placement) -> Array:
    """Corners in whole pixels of the picture; float32 as PaddleOCR has it, since halves decide."""
    found = []
    for axis, across in ((1, 0), (0, 1)):
        # How much of the picture the map would cover, and how much of that lies before the picture.
        span = np.float32(at.size[axis] * (at.sides[axis] / at.resized[axis]))
        begin = np.float32(at.offset[axis] / at.ratio[axis])
        side = box[:, across].astype(np.float32) / np.float32(shape[axis]) * span - begin
        found.append(np.clip(np.rint(side), 0, at.sides[axis] - 1))
    return np.asarray(np.stack(found, 1), np.float64)


def _clockwise(quad: Array) -> Array:
    """From the corner whose coordinates sum up to the least, as PaddleOCR 2.7's order_points_clockwise has it.

    That one crosses the corners of some boxes that lie aslant; here they stay in their order.
    """
    return np.asarray(np.roll(quad, -int(quad.sum(1).argmin()), 0))


def _mean_in_quad(values: Array, box: Array) -> float:
    """The mean of the pixels of a box whose corners are cut to whole ones, edges as Bresenham draws them included."""
    height, width = values.shape
    left = min(max(math.floor(box[:, 0].min()), 0), width - 1)
    right = min(max(math.ceil(box[:, 0].max()), 0), width - 1)
    top = min(max(math.floor(box[:, 1].min()), 0), height - 1)
    bottom = min(max(math.ceil(box[:, 1].max()), 0), height - 1)
    corners = [(int(x - left), int(y - top)) for x, y in box.tolist()]
    rows = bottom - top + 1
    low, high = [right - left + 1] * rows, [-1] * rows
    for one, two in zip(corners, corners[1:] + corners[:1], strict=True):
        for x, y in _line(one, two):
            if 0 <= y < rows:
                low[y], high[y] = min(low[y], x), max(high[y], x)
    across = np.arange(right - left + 1)
    inside = (across >= np.asarray(low)[:, None]) & (across <= np.asarray(high)[:, None])
    return _mean(values[top : bottom + 1, left : right + 1][inside])


def _mean_in_outline(values: Array, outline: Outline) -> float:
    there, (left, top) = outline.filled()
    height, width = values.shape
    x, y = max(left, 0), max(top, 0)
    part = values[y : min(top + there.shape[0], height), x : min(left + there.shape[1], width)]
    inside = there[y - top : y - top + part.shape[0], x - left : x - left + part.shape[1]]
    return _mean(part[inside])


def _mean(values: Array) -> float:
    """Added up one after the other, as the device does it."""
    return float(np.cumsum(values, dtype=np.float64)[-1]) / len(values) if len(values) else 0.0


def _line(one: tuple[int, int], two: tuple[int, int]) -> list[tuple[int, int]]:
    """Pixels from the left or, where it is steep, whichever end: eight neighbours, halves towards the first."""
    (x, y), (to_x, to_y) = (one, two) if one[0] <= two[0] else (two, one)
    wide, high = to_x - x, abs(to_y - y)
    step = 1 if to_y >= y else -1
    if wide >= high:
        return (
            [(x + k, y + step * ((2 * k * high + wide - 1) // (2 * wide))) for k in range(wide + 1)] if wide else [one]
        )
    return [(x + (2 * k * wide + high - 1) // (2 * high), y + step * k) for k in range(high + 1)]


def _grown(box: Array, ratio: float) -> Array:
    """Corners int64[points, 2] of a box that grew by area * ratio / perimeter, round at its corners."""
    across, down = _apart(box[0], box[1]), _apart(box[0], box[3])
    by = across * down * ratio / (2 * (across + down))
    path = [(int(x), int(y)) for x, y in box.tolist()]
    path = [point for k, point in enumerate(path) if point != path[k - 1]]
    if by < 1e-12 or len(path) < 3:
        return np.asarray(path or [(int(box[0, 0]), int(box[0, 1]))], np.int64)
    steps = min(math.pi / math.acos(1 - min(ARC, by * ARC) / by), by * math.pi)
    sin, cos = math.sin(2 * math.pi / steps), math.cos(2 * math.pi / steps)
    normals = [_normal(point, path[(k + 1) % len(path)]) for k, point in enumerate(path)]
    found = []
    for k, (x, y) in enumerate(path):
        before, after = normals[k - 1], normals[k]
        turn = before[0] * after[1] - after[0] * before[1]
        same = before[0] * after[0] + before[1] * after[1]
        way = before
        if abs(turn * by) >= 1 or same <= 0:
            angle = abs(math.atan2(min(max(turn, -1.0), 1.0), same))
            for _ in range(max(_rounded(steps / (2 * math.pi) * angle), 1)):
                found.append((_rounded(x + way[0] * by), _rounded(y + way[1] * by)))
                way = way[0] * cos - way[1] * sin, way[0] * sin + way[1] * cos
            way = after
        found.append((_rounded(x + way[0] * by), _rounded(y + way[1] * by)))
    return np.asarray(found, np.int64)


def _apart(one: Array, two: Array) -> float:
    """How far; no hypot, which machines round otherwise."""
    x, y = float(two[0] - one[0]), float(two[1] - one[1])
    return math.sqrt(x * x + y * y)


def _normal(one: tuple[int, int], two: tuple[int, int]) -> tuple[float, float]:
    x, y = float(two[0] - one[0]), float(two[1] - one[1])
    length = math.sqrt(x * x + y * y)
    return y / length, -x / length


def _rounded(value: float) -> int:
    """Halves away from zero."""
    return int(value - 0.5) if value < 0 else int(value + 0.5)
