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

    def part(self, step: int) -> Quads:
        return Quads(self.found[::step])


def hmean(name: str) -> Metric:
    """The harmonic mean of recall and precision of text boxes: 2 matched / (labels + answers), at IoU above 0.5."""

    def answers(outputs: Sequence[Array], labels: Array) -> Quads:
        _labelled(name, labels)
        return Quads(found_quads(name, outputs, labels))

    def compare(quads: Quads, labels: Array) -> Array:
        return np.asarray(
            [
                [2.0 * right, wanted + found]
                for right, wanted, found in (
                    matched(found, *wanted) for found, wanted in zip(quads.found, _labelled(name, labels), strict=True)
                )
            ],
            np.float64,
        )

    def total(sums: Array, count: int) -> float:
        return float(sums[0] / sums[1]) if sums[1] > 0 else 0.0

    def rows(quads: Quads, labels: Array) -> tuple[ClassScore, ...]:
        pairs = zip(quads.found, _labelled(name, labels), strict=True)
        right, wanted, found = np.sum([matched(found, *wanted) for found, wanted in pairs], axis=0).tolist()
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


def matched(found: Array, truth: Array, aside: Array) -> tuple[int, int, int]:
    """Right boxes, labels that count and answers that count of one picture. Labels and answers pair up in their order,
    the first that overlap enough.
    """
    if not len(found) or not len(truth):
        return 0, int(np.count_nonzero(~aside)), len(found)
    near = (found.min(1)[None] <= truth.max(1)[:, None]) & (found.max(1)[None] >= truth.min(1)[:, None])
    near = near.all(2)
    i, j = np.nonzero(near)
    shared = np.zeros(near.shape)
    shared[i, j] = intersections(truth[i], found[j])
    own, other = areas(truth)[:, None], areas(found)[None]
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = np.where(shared > 0, shared / (own + other - shared), 0.0)
        inside = np.where(shared > 0, shared / other, 0.0)
    free = ~(inside[aside] > ASIDE).any(0)
    counted = int(np.count_nonzero(free))
    right = 0
    for row in iou[~aside]:
        hits = np.flatnonzero((row > IOU) & free)
        if len(hits):
            free[hits[0]] = False
            right += 1
    return right, int(np.count_nonzero(~aside)), counted


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
