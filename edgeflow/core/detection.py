"""Mean average precision of a detector: what its outputs and labels look like."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from edgeflow.core.average_precision import RULES, Boxes, average_precision
from edgeflow.core.errors import DataError
from edgeflow.core.metric import Array, Prepared, Weighed
from edgeflow.core.metric_names import Asked

COLUMNS = 6
NEEDS = "boxes [N, G, 5] of class, x1, y1, x2, y2, class -1 for none; a sixth column of 1 sets a box aside"


def mean_average_precision(outputs: Sequence[Array], labels: Array, chosen: Array | None = None) -> float:
    """COCO's AP over IoU 0.50 to 0.95; see `boxes_of` and `labelled_boxes` for what it takes.

    Args:
        chosen: indices of the pictures that count, repeats allowed; None takes all.

    Raises:
        DataError: outputs or labels of another form.
    """
    return detector("map", None)(outputs, labels, chosen)


def detector(name: str, asked: Asked | None) -> Weighed:
    """`map`, `map:50` and `map:75` as COCO counts, `map:voc07` and `map:voc12` as PASCAL VOC does."""
    rule = RULES[asked.options.get("", "coco") if asked is not None else "coco"]

    def prepare(outputs: Sequence[Array], labels: Array) -> Prepared:
        truth = labelled_boxes(name, labels)
        found = boxes_of(outputs, len(labels), name)
        return average_precision(found, truth, len(labels), rule)

    return Weighed(prepare, NEEDS, partial(_lacks, name))


def labelled_boxes(name: str, labels: Array) -> Boxes:
    """Labels as boxes: [pictures, boxes, 5] of class, x1, y1, x2, y2, class -1 where there is none, and maybe a sixth
    column, 1 for a crowd or a difficult box.

    Raises:
        DataError: another shape, a class that is no whole number, corners in another order.
    """
    if labels.ndim != 3 or labels.shape[2] not in (5, 6):
        raise DataError(
            f"metric {name}: labels have shape {list(labels.shape)}, and should have [pictures, boxes, 5]: "
            "class, x1, y1, x2, y2"
        )
    picture, place = np.nonzero(labels[..., 0] >= 0)
    rows = labels[picture, place].astype(np.float64)
    wrong = (rows[:, 0] != np.floor(rows[:, 0])) | (rows[:, 3] < rows[:, 1]) | (rows[:, 4] < rows[:, 2])
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(
            f"metric {name}: label {rows[first].tolist()} of picture {int(picture[first])} should be class, x1, y1, "
            "x2, y2 with a whole class and x1 <= x2, y1 <= y2",
            try_="corners, not width and height; the class first",
        )
    aside = rows[:, 5] > 0 if rows.shape[1] == 6 else np.zeros(len(rows), bool)
    return Boxes(picture, rows[:, 0].astype(np.int64), rows[:, 1:5], np.empty(0), aside)


def boxes_of(outputs: Sequence[Array], pictures: int, name: str = "map") -> Boxes:
    """A detector's outputs as boxes of class, score, x1, y1, x2, y2; class -1, or a score of NaN, is no box.

    Args:
        outputs: float[N, D, 6] of each picture; or float[M, 6] of all together with, in whatever place, int[N] or
            int[N, 1] how many each picture has (PaddleDetection's multiclass_nms3 gives boxes, indices, counts).

    Raises:
        DataError: another form, or counts that do not sum up to the boxes.
    """
    boxes = next((array for array in outputs if array.ndim in (2, 3) and array.shape[-1] == COLUMNS), None)
    if boxes is None or (boxes.ndim == 3 and len(boxes) != pictures):
        raise DataError(
            f"metric {name}: the outputs have the shapes {', '.join(str(list(a.shape)) for a in outputs)}, and one "
            f"should be boxes [{pictures}, boxes, 6] of class, score, x1, y1, x2, y2, or [boxes, 6] with the number "
            "of each picture's boxes as another output"
        )
    if boxes.ndim == 3:
        picture = np.repeat(np.arange(pictures), boxes.shape[1])
        rows = boxes.reshape(-1, COLUMNS)
    else:
        picture = np.repeat(np.arange(pictures), _counts(name, boxes, outputs, pictures))
        rows = boxes[: len(picture)]
    # A class that is NaN or infinite is none either, and int() of it is anything.
    there = (rows[:, 0] >= 0) & np.isfinite(rows[:, 0]) & ~np.isnan(rows[:, 1])
    rows = rows[there].astype(np.float64)
    kind = np.clip(rows[:, 0], 0, 1 << 31).astype(np.int64)
    return Boxes(picture[there], kind, rows[:, 2:], rows[:, 1], np.zeros(len(rows), bool))


def _counts(name: str, boxes: Array, outputs: Sequence[Array], pictures: int) -> Array:
    """How many boxes each picture has, from the output that says so."""
    many = len(boxes)
    if not (boxes[:, 0] >= 0).any():  # Paddle gives one row of -1 where there is no box at all
        return np.zeros(pictures, np.int64)
    said = [
        array.reshape(-1).astype(np.int64)
        for array in sorted(outputs, key=lambda array: array.ndim, reverse=True)
        if array is not boxes and array.size == pictures and array.ndim in (1, 2) and _whole(array)
    ]
    fitting = [array for array in said if int(array.sum()) == many]
    if fitting:
        return fitting[-1]  # counts have one axis, indices of boxes two
    sums = " or ".join(str(int(array.sum())) for array in said)
    raise DataError(
        f"metric {name}: {many} boxes {list(boxes.shape)} of {pictures} pictures, "
        + (f"and the counts sum up to {sums}" if said else "and no output says how many each picture has"),
        try_="the number of boxes of each picture as an output, as multiclass_nms3 gives it",
    )


def _whole(array: Array) -> bool:
    """Whether these may be counts."""
    if array.dtype.kind == "f":
        return bool(np.isfinite(array).all() and (array == np.floor(array)).all() and (array >= 0).all())
    return array.dtype.kind in "iu" and bool((array >= 0).all())


def _lacks(name: str, labels: Array) -> str:
    return "" if (~labelled_boxes(name, labels).aside).any() else "no label holds a box"
