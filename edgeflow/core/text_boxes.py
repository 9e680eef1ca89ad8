"""Where text lies: boxes of a probability map, and ICDAR's hmean of boxes found and labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.labels import same_count
from edgeflow.core.metric import Array, ClassScore, Metric
from edgeflow.core.quads import areas, crosses_itself, intersections
from edgeflow.core.text_map import map_boxes

IOU = 0.5
ASIDE = 0.5
"""A box of which more than this lies in a label that is set aside is neither right nor wrong. Source: both are ICDAR
2015's Robust Reading Competition, challenge 4, and PaddleOCR's DetectionIoUEvaluator."""

NEEDS = "quadrilaterals [N, G, 9] of class, x1, y1 … x4, y4: class 0 counts, 1 is set aside, -1 is none"
COLUMNS = {6: "class, score, x1, y1, x2, y2", 8: "x1, y1 … x4, y4", 9: "score and corners", 10: "class, score, corners"}


@dataclass(frozen=True, slots=True)
class Quads:
    """Quadrilaterals of each picture, float64[boxes, 4, 2]."""

    found: list[Array]

    def part(self, pictures: Array) -> Quads:
        return Quads([self.found[k] for k in pictures])


def hmean(name: str) -> Metric:
    """The harmonic mean of recall and precision of text boxes: 2 matched / (labels + answers), at IoU above 0.5."""

    def answers(outputs: Sequence[Array], labels: Array) -> Quads:
        _labelled(name, labels)
        return Quads(found_quads(name, outputs, labels))

    def compare(quads: Quads, labels: Array) -> Array:
        right, wanted, found = matched(quads.found, _labelled(name, labels)).T
        return np.asarray(np.stack([2 * right, wanted + found], 1), np.float64)

    def total(sums: Array, count: int) -> float:
        return float(sums[0] / sums[1]) if sums[1] > 0 else 0.0

    def rows(quads: Quads, labels: Array) -> tuple[ClassScore, ...]:
        right, wanted, found = matched(quads.found, _labelled(name, labels)).sum(0).tolist()
        return (
            ClassScore("recall", right / wanted if wanted else None, right, wanted, found),
            ClassScore("precision", right / found if found else None, right, wanted, found),
        )

    def note(quads: Quads, labels: Array) -> str:
        many = sum(int(aside.sum()) for _, aside in _labelled(name, labels))
        return f"{many:,} text boxes are set aside" if many else ""

    def lacks(labels: Array) -> str:
        there = any((~aside).any() for _, aside in _labelled(name, labels))
        return "" if there else "no label holds a text box"

    return Metric(answers, compare, total, needs=NEEDS, lacks=lacks, note=note, rows=rows)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which answers are which labels: `label` and `answer` are places in the lists of a picture, `picture` its number.

    `aside`: bool of each answer of all pictures, one after the other: it lies in a label that is set aside.
    """

    picture: Array
    label: Array
    answer: Array
    aside: Array


def paired(found: Sequence[Array], truth: Sequence[tuple[Array, Array]]) -> Pairs:
    """Pair labels and answers in their order, the first that overlap enough.

    Args:
        found: quadrilaterals of each picture.
        truth: quadrilaterals of each picture, and which are set aside.
    """
    sides = [list(found), [quads for quads, _ in truth]]
    owner = [np.repeat(np.arange(len(side)), [len(quads) for quads in side]) for side in sides]
    flat = [np.concatenate([*side, np.empty((0, 4, 2))]) for side in sides]
    aside = np.concatenate([*(marks for _, marks in truth), np.empty(0, bool)])
    begins = np.searchsorted(owner[0], owner[1])  # of each label, its picture's answers
    many = np.searchsorted(owner[0], owner[1], side="right") - begins
    label = np.repeat(np.arange(len(flat[1])), many)
    answer = np.arange(len(label)) - np.repeat(np.cumsum(many) - many, many) + np.repeat(begins, many)
    low, high = ([quads.min(1) for quads in flat], [quads.max(1) for quads in flat])
    near = (low[0][answer] <= high[1][label]).all(1) & (high[0][answer] >= low[1][label]).all(1)
    label, answer = label[near], answer[near]
    shared = intersections(flat[1][label], flat[0][answer])
    own, other = areas(flat[1])[label], areas(flat[0])[answer]
    over = shared > 0
    out = np.zeros(len(flat[0]), bool)
    out[answer[over & aside[label] & (shared > ASIDE * other)]] = True
    hits = over & ~aside[label] & (shared > IOU * (own + other - shared)) & ~out[answer]
    kept, taken, last = [], out.copy(), -1
    for one, two in zip(label[hits].tolist(), answer[hits].tolist(), strict=True):
        if one != last and not taken[two]:
            taken[two], last = True, one
            kept.append((one, two))
    ones, twos = np.asarray(kept, np.int64).reshape(-1, 2).T
    first = [np.searchsorted(each, np.arange(len(found))) for each in owner]
    of = owner[1][ones]
    return Pairs(of, ones - first[1][of], twos - first[0][of], out)


def matched(found: Sequence[Array], truth: Sequence[tuple[Array, Array]]) -> Array:
    """Right boxes, labels that count and answers that count of each picture, int64[pictures, 3]."""
    pairs, many = paired(found, truth), len(found)
    owner = np.repeat(np.arange(many), [len(quads) for quads in found])
    right = np.bincount(pairs.picture, minlength=many)
    wanted = np.asarray([int((~aside).sum()) for _, aside in truth], np.int64)
    counted = np.bincount(owner[~pairs.aside], minlength=many)
    return np.stack([right, wanted, counted], 1)


def found_quads(name: str, outputs: Sequence[Array], labels: Array) -> list[Array]:
    """Text boxes of each picture: of a probability map [N, 1, H, W], in its pixels, or of boxes [N, D, COLUMNS].

    Raises:
        DataError: neither.
    """
    first = outputs[0]
    same_count(name, first, labels)
    if first.ndim == 4 and first.shape[1] == 1 and first.dtype.kind == "f":
        return [map_boxes(picture[0]) for picture in first]
    if first.ndim != 3 or first.shape[2] not in COLUMNS:
        known = "; ".join(f"{width}: {what}" for width, what in COLUMNS.items())
        raise DataError(
            f"metric {name}: the output has shape {list(first.shape)}, and should be a probability map [N, 1, H, W] or "
            f"boxes [N, boxes, columns], where columns are {known}"
        )
    width = first.shape[2]
    rows = first.astype(np.float64)
    # No box: class or score below 0, or, of corners alone, all the same, such as 0 or -1.
    there = ~np.isnan(rows).any(2) & np.isfinite(rows).all(2)
    there &= (rows[..., 0] >= 0) if width != 8 else (rows != rows[..., :1]).any(2)
    corners = rows[..., -8:] if width != 6 else rows[..., [2, 3, 4, 3, 4, 5, 2, 5]]
    return [quads[kept].reshape(-1, 4, 2) for quads, kept in zip(corners, there, strict=True)]


def _labelled(name: str, labels: Array) -> list[tuple[Array, Array]]:
    """Quadrilaterals of each picture, and which are set aside.

    Raises:
        DataError: another shape, or corners in no order.
    """
    if labels.ndim != 3 or labels.shape[2] != 9:
        raise DataError(f"metric {name}: labels have shape {list(labels.shape)}, and should be {NEEDS}")
    found = []
    for index, rows in enumerate(labels.astype(np.float64)):
        rows = rows[rows[:, 0] >= 0]
        quads = rows[:, 1:].reshape(-1, 4, 2)
        crossed = crosses_itself(quads)
        if crossed.any():
            corners = quads[int(crossed.argmax())].tolist()
            raise DataError(
                f"metric {name}: a label of picture {index} crosses itself: {corners}",
                try_="the four corners in order around the text",
            )
        found.append((quads, rows[:, 0] > 0))
    return found
