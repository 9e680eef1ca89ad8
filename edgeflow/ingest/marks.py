"""What annotations say of one picture, in its own pixels, and what becomes of it in the input: labels of a metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.labels import PAD
from edgeflow.core.placement import Placement, placed
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.samples import Array
from edgeflow.ingest.masks import BORDER, read_mask

BOX_COLUMNS, QUAD_COLUMNS = 6, 9
"""Class, x1, y1, x2, y2, and 1 for a crowd or a difficult box; class and four corners. Source: core/detection.py and
core/text_boxes.py, whose labels these are."""

MARKS_MAX = 4096
"""In one picture; COCO has up to 93, LVIS some hundreds."""
CELLS_MAX = 1 << 28
"""Numbers in all labels together: a gigabyte."""
SHOWN = 10

Units = Literal["input", "shares", "picture"]
"""What a model's boxes count in: pixels of its input, shares of it, or, where it is told the scale, pixels of the
picture."""


@dataclass(frozen=True, slots=True)
class Marks:
    """One picture's annotation: `rows` of boxes or of text boxes, or the file of its mask.

    `sides`: height and width that the annotation gives the picture, None where it says nothing. `shares`: rows count in
    shares of the picture.
    """

    rows: Array | None = None
    mask: Path | None = None
    sides: tuple[int, int] | None = None
    shares: bool = False


@dataclass(frozen=True, slots=True)
class Annotated:
    """Pictures, and of each what its annotation says."""

    files: tuple[Path, ...]
    marks: tuple[Marks, ...]


def labels_of(
    annotated: Annotated,
    seen: Sequence[tuple[int, tuple[int, int]]],
    steps: Preprocess,
    units: Units,
    where: str,
) -> Array:
    """Labels as the metrics take them, of the pictures that were kept: boxes float32[N, G, 6], text boxes
    float32[N, G, 9], class -1 where there is none; or masks, whole numbers [N, H, W], with 255 where the input shows
    no picture.

    Args:
        seen: the number of each picture that was kept, and its height and width as it was read.

    Raises:
        DataError: annotations of other sizes than their pictures; all of these are named.
    """
    wrong: list[str] = []
    found: list[Array] = []
    for k, (height, width) in seen:
        marks, file = annotated.marks[k], annotated.files[k]
        at = placed(steps, height, width)
        try:
            _held_to(marks.sides, (height, width))
            found.append(_mask(marks.mask, at) if marks.mask is not None else _rows(marks, at, units))
        except DataError as err:
            wrong.append(f"{file}: {err.what}")
    if wrong:
        raise together_of(wrong, len(seen), where)
    if found[0].ndim == 2 and annotated.marks[seen[0][0]].mask is not None:
        kind = np.uint8 if all(one.dtype == np.uint8 for one in found) else np.int32
        return np.stack([one.astype(kind) for one in found])
    return _stacked(found)


def together_of(wrong: Sequence[str], count: int, where: str) -> DataError:
    """Annotations that cannot be used, as one error that names the first of them."""
    rest = [f"… and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
    return DataError(
        f"{where}: {len(wrong)} of {count} annotations cannot be used",
        try_="mend them, or take picture and annotation out",
        lines=[*wrong[:SHOWN], *rest],
    )


def _held_to(said: tuple[int, int] | None, sides: tuple[int, int]) -> None:
    if said is None or said == sides:
        return
    turned = "; with [data] exif = 'apply' it may be" if said == sides[::-1] else ""
    raise DataError(f"is {sides[0]} x {sides[1]}, and its annotation is of one of {said[0]} x {said[1]}{turned}")


def _rows(marks: Marks, at: Placement, units: Units) -> Array:
    """Boxes and corners where the model sees them; what lies outside of it altogether is left out."""
    assert marks.rows is not None
    rows = np.array(marks.rows, np.float64)
    is_box = rows.shape[1] == BOX_COLUMNS
    corners = rows[:, 1:5] if is_box else rows[:, 1:]
    points = corners.reshape(len(rows), corners.shape[1] // 2, 2)
    if marks.shares:
        points = points * (at.sides[1], at.sides[0])
    if units != "picture":
        points = at.points(points)
    if is_box:  # a box ends where the picture ends, or the input
        size = at.sides if units == "picture" else at.size
        points = points.clip(0, (size[1], size[0]))
    if units == "shares":
        points = points / (at.size[1], at.size[0])
    corners[:] = points.reshape(corners.shape)
    if not is_box:
        return rows
    return np.asarray(rows[(rows[:, 3] > rows[:, 1]) & (rows[:, 4] > rows[:, 2])])


def _mask(path: Path, at: Placement) -> Array:
    classes = read_mask(path)
    _held_to((classes.shape[0], classes.shape[1]), at.sides)
    return at.class_map(classes, BORDER)


def _stacked(found: Sequence[Array]) -> Array:
    most, width = max([1, *map(len, found)]), found[0].shape[1]
    if most > MARKS_MAX or most * width * len(found) > CELLS_MAX:
        raise DataError(f"{len(found)} pictures hold up to {most} boxes each, which is more than labels can hold")
    labels = np.zeros((len(found), most, width), np.float32)
    labels[..., 0] = PAD
    for row, one in zip(labels, found, strict=True):
        row[: len(one)] = one
    return labels
