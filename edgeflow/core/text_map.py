"""Boxes of a text detector's probability map, as the programs on the device find them (demos/text.cpp)."""

from __future__ import annotations

import numpy as np

from edgeflow.core.metric import Array

THRESHOLD = 0.3
BOX_THRESHOLD = 0.6
UNCLIP_RATIO = 1.6
SIDE_MIN = 3.0
BOXES_MAX = 1000
"""Of a pixel, of the mean in a box, how far a shrunk box grows again, its smallest side, and how many boxes there are.
Source: M. Liao et al., Real-time Scene Text Detection with Differentiable Binarization, AAAI 2020, section 3.3, and
PaddleOCR 2.7's DBPostProcess; demos/text.h has the same."""


def map_boxes(map_: Array) -> Array:
    """Text boxes float64[boxes, 4, 2] of a map [H, W], in its pixels; a pixel's centre is at + 0.5."""
    values = map_.astype(np.float64)
    boxes = []
    for ends in _components(map_ > np.float32(THRESHOLD))[:BOXES_MAX]:
        middle, along, half = _smallest(_hull(ends))
        if 2 * half.min() < SIDE_MIN or _mean_in(values, middle, along, half) < BOX_THRESHOLD:
            continue
        half = half + half.prod() * UNCLIP_RATIO / half.sum()
        across, down = along * half[0], np.asarray([-along[1], along[0]]) * half[1]
        boxes.append([middle - across - down, middle + across - down, middle + across + down, middle - across + down])
    return np.asarray(boxes, np.float64).reshape(-1, 4, 2)


def _components(on: Array) -> list[Array]:
    """The ends of the runs of each component of eight neighbours, which hold every corner of its hull.

    Runs of pixels in a row are joined with those that they touch in the row above.
    """
    edges = np.diff(np.pad(on, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, begin = np.nonzero(edges == 1)
    _, end = np.nonzero(edges == -1)  # one behind the last pixel
    root = np.arange(len(row))

    def find(k: int) -> int:
        while root[k] != k:
            root[k] = root[root[k]]
            k = int(root[k])
        return k

    starts = np.searchsorted(row, np.arange(on.shape[0] + 1))
    for y in range(1, on.shape[0]):
        above, here = slice(starts[y - 1], starts[y]), slice(starts[y], starts[y + 1])
        if above.start == above.stop or here.start == here.stop:
            continue
        low = np.searchsorted(end[above], begin[here], side="left") + above.start
        high = np.searchsorted(begin[above], end[here], side="right") + above.start
        for k, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True), start=here.start):
            for other in range(a, b):
                one, two = find(k), find(other)
                root[max(one, two)] = min(one, two)
    owner = np.asarray([find(k) for k in range(len(row))], np.int64)
    order = np.argsort(owner, kind="stable")
    cuts = np.flatnonzero(np.diff(owner[order])) + 1
    ends = np.stack([np.stack([begin, row], 1), np.stack([end - 1, row], 1)], 1) + 0.5
    return [ends[group].reshape(-1, 2) for group in np.split(order, cuts)] if len(row) else []


def _hull(points: Array) -> Array:
    """The convex hull by Andrew's monotone chain, [corners, 2]."""
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))].tolist()
    hull: list[list[float]] = []
    for side in (ordered, ordered[::-1]):
        begin = len(hull)
        for x, y in side:
            while len(hull) >= begin + 2:
                (ax, ay), (bx, by) = hull[-2:]
                if (bx - ax) * (y - by) - (by - ay) * (x - bx) > 0:
                    break
                hull.pop()
            hull.append([x, y])
        hull.pop()
    return np.asarray(hull if hull else ordered[:1])


def _smallest(hull: Array) -> tuple[Array, Array, Array]:
    """Middle, direction of the width and half sides of the smallest rectangle, half a pixel wider on each side.

    It lies along an edge of the hull. Source: H. Freeman, R. Shapira, Communications of the ACM 18 (1975).
    """
    edges = np.roll(hull, -1, 0) - hull
    length = np.hypot(*edges.T)
    along = np.where(length[:, None] > 0, edges / np.maximum(length, 1e-300)[:, None], [1.0, 0.0])
    down = np.stack([-along[:, 1], along[:, 0]], 1)
    spans = [hull @ way.T for way in (along, down)]
    low, high = ([f(span, 0) for span in spans] for f in (np.min, np.max))
    half = np.stack([(b - a) / 2 + 0.5 for a, b in zip(low, high, strict=True)], 1)
    best = int(half.prod(1).argmin())
    middle = along[best] * (low[0] + high[0])[best] / 2 + down[best] * (low[1] + high[1])[best] / 2
    way, sides = along[best], half[best]
    if abs(way[0]) < abs(way[1]):  # the width is what lies nearer to the horizontal, and points to the right
        way, sides = down[best], sides[::-1]
    return middle, -way if way[0] < 0 else way, sides


def _mean_in(values: Array, middle: Array, along: Array, half: Array) -> float:
    """The mean of the pixels whose centres lie in a rectangle; 0 without any."""
    reach = float(np.hypot(*half))
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.maximum(np.ceil(middle + reach), 0).astype(int)
    inside = values[low[1] : high[1], low[0] : high[0]]
    y, x = np.mgrid[low[1] : low[1] + inside.shape[0], low[0] : low[0] + inside.shape[1]] + 0.5
    x, y = x - middle[0], y - middle[1]
    there = (np.abs(x * along[0] + y * along[1]) <= half[0]) & (np.abs(y * along[0] - x * along[1]) <= half[1])
    return float(inside[there].mean()) if there.any() else 0.0
