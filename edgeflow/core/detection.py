"""Mean average precision of a detector: what its outputs and labels look like."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from edgeflow.core.average_precision import RULES, Boxes, average_precision
from edgeflow.core.boxes import box_output, read_boxes
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
    picture, place = np.nonzero(~(labels[..., 0] < 0))  # NaN is no "none"
    rows = labels[picture, place].astype(np.float64)
    wrong = (rows[:, 0] != np.floor(rows[:, 0])) | (rows[:, 3] < rows[:, 1]) | (rows[:, 4] < rows[:, 2])
    wrong |= ~np.isfinite(rows).all(1)
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
    """A detector's outputs as boxes; class -1, or a score that is no number, is no box.

    Args:
        outputs: float[N, D, 6] of each picture, of class, score, x1, y1, x2, y2; or float[M, 6] of all together with,
            in whatever place, int[N] or int[N, 1] how many each picture has (PaddleDetection's multiclass_nms3 gives
            boxes, indices, counts). Other layouts come here as `core.boxes.canonical` makes them.

    Raises:
        DataError: another form, or counts that do not sum up to the boxes.
    """
    known = box_output(outputs, pictures)
    if known is None:
        raise DataError(
            f"metric {name}: the outputs have the shapes {', '.join(str(list(a.shape)) for a in outputs)}, and one "
            f"should be boxes [{pictures}, boxes, 6] of class, score, x1, y1, x2, y2, or [boxes, 6] with the number "
            "of each picture's boxes as another output",
            try_='[outputs.N] kind = "boxes" with columns and counts, where they lie otherwise',
        )
    index, kind = known
    rows = outputs[index]
    if rows.ndim == 2 and kind.counts is None and not (rows[:, 0] >= 0).any():
        outputs, index = [np.zeros((pictures, 0, COLUMNS))], 0  # no box at all, and so nothing to count
    found = read_boxes(outputs, index, kind, pictures)
    if found is None:
        sums = " or ".join(str(int(a.sum())) for k, a in enumerate(outputs) if k != index and a.size == pictures)
        raise DataError(
            f"metric {name}: {len(rows)} boxes {list(rows.shape)} of {pictures} pictures, "
            + (f"and the counts sum up to {sums}" if sums else "and no output says how many each picture has"),
            try_="the number of boxes of each picture as an output, as multiclass_nms3 gives it",
        )
    return found


def _lacks(name: str, labels: Array) -> str:
    return "" if (~labelled_boxes(name, labels).aside).any() else "no label holds a box"
