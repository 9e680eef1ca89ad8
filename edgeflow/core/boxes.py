"""Outputs of a detector read as boxes, of each sample its own: one reader, for drift, metrics and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.average_precision import Boxes
from edgeflow.core.output_kind import BOX_COLUMNS, OutputKind

Array = npt.NDArray[Any]

NOTHING = -1
"""The one value of an output that found no box in any picture. Source: Paddle 2.6.2, multiclass_nms_op.cc."""

CLASSES_MAX = 1 << 31
"""A class beyond is held to this: int64 of it is anything."""


def read_boxes(outputs: Sequence[Array], index: int, kind: OutputKind, samples: int) -> Boxes | None:
    """The boxes of an output: [N, D, C] of each sample, or [M, C] of all together with the counts in another output.

    A class below 0, and a class or score that is not a finite number, is no box.

    Args:
        kind: its columns and counts; without counts a single sample has all rows.

    Returns:
        None where the output has another form, or its counts do not fit.
    """
    columns = kind.columns or BOX_COLUMNS
    array = _rows(outputs[index], columns)
    if array.ndim < 2 or array.shape[-1] != len(columns):
        return None
    if array.ndim == 3 and len(array) == samples:
        sample = np.repeat(np.arange(samples), array.shape[1])
        rows = array.reshape(-1, len(columns))
    elif array.ndim != 2:
        return None
    elif kind.counts is None or kind.counts >= len(outputs):
        if samples != 1:
            return None
        rows, sample = array, np.zeros(len(array), np.int64)
    else:
        counts = outputs[kind.counts].reshape(-1)
        counted = counted_rows(array, counts, columns) if _may_count(counts, samples) else None
        if counted is None:
            # One sample has all of it, whatever another output counts.
            if samples != 1:
                return None
            counts, counted = np.array([len(array)]), array
        rows, sample = counted, np.repeat(np.arange(samples), counts.astype(np.int64))
    return _boxes(rows.astype(np.float64), sample, columns)


def box_output(outputs: Sequence[Array], samples: int) -> tuple[int, OutputKind] | None:
    """The output that looks like boxes of class, score, x1, y1, x2, y2, and the one that counts them; None where none
    does.
    """
    for index, array in enumerate(outputs):
        if array.ndim in (2, 3) and array.shape[-1] == len(BOX_COLUMNS):
            if array.ndim == 3 and len(array) != samples:
                return None
            counts = None if array.ndim == 3 else fitting_counts(outputs, index, samples)
            return index, OutputKind("boxes", columns=BOX_COLUMNS, counts=counts)
    return None


def fitting_counts(outputs: Sequence[Array], index: int, samples: int) -> int | None:
    """The output that says how many rows of this one each sample has: one axis before two, the last before others."""
    fits = [
        (array.ndim == 1, k)
        for k, array in enumerate(outputs)
        if k != index
        and array.ndim in (1, 2)
        and _may_count(array.reshape(-1), samples)
        and counted_rows(outputs[index], array.reshape(-1), BOX_COLUMNS) is not None
    ]
    return max(fits)[1] if fits else None


def counted_rows(rows: Array, counts: Array, columns: Sequence[str]) -> Array | None:
    """The rows that the counts are of: all, or all that are boxes; None where they count neither.

    Paddle gives one row of class -1 for a run that finds nothing, and counts no box for it; such rows lie among those
    of other runs.
    """
    there = _counted(rows, counts, columns)
    return None if there is None else rows[there]


def _counted(rows: Array, counts: Array, columns: Sequence[str]) -> Array | None:
    """Which rows the counts are of, bool[M]; see counted_rows."""
    wanted, there = int(counts.astype(np.int64).sum()), np.ones(len(rows), bool)
    if wanted != len(rows) and "class" in columns:
        there = rows[:, columns.index("class")] >= 0
    return there if wanted == int(there.sum()) else None


def canonical(outputs: Sequence[Array], kinds: Sequence[OutputKind], samples: int) -> list[Array] | None:
    """The first output of boxes as class, score, x1, y1, x2, y2, float64[M, 6], and their counts, int64[N]; None where
    none of the kinds is boxes, or they cannot be read.
    """
    index = next((k for k, kind in enumerate(kinds[: len(outputs)]) if kind.kind == "boxes"), None)
    found = None if index is None else read_boxes(outputs, index, kinds[index], samples)
    if found is None:
        return None
    rows = np.concatenate([found.kind[:, None], found.score[:, None], found.corners], 1)
    return [rows.astype(np.float64), np.bincount(found.picture, minlength=samples)]


def chosen(
    outputs: Sequence[Array], kinds: Sequence[OutputKind], samples: int, which: Array
) -> tuple[Array, ...] | None:
    """The outputs for some samples alone; rows of boxes, and what belongs to them, go with their counts. None where
    samples cannot be told apart.

    Args:
        which: numbers of samples, in order.
    """
    rows: dict[int, Array] = {}
    for k, kind in enumerate(kinds[: len(outputs)]):
        if kind.kind != "boxes" or kind.counts is None or outputs[k].ndim != 2:
            continue
        counts = outputs[kind.counts].reshape(-1)
        if not _may_count(counts, samples):
            return None
        taken = np.isin(np.repeat(np.arange(samples), counts.astype(np.int64)), which)
        columns = kind.columns or BOX_COLUMNS
        array = _rows(outputs[k], columns)
        real = _counted(array, counts, columns)
        if real is None:
            return None
        at = np.flatnonzero(real)[taken]
        rows[k] = array[at]
        for j, other in enumerate(kinds[: len(outputs)]):
            if other.belongs_to == k and j != kind.counts and len(outputs[j]) == len(outputs[k]):
                rows[j] = outputs[j][at]
    if any(array.ndim == 0 or len(array) != samples for k, array in enumerate(outputs) if k not in rows):
        return None
    return tuple(rows[k] if k in rows else array[which] for k, array in enumerate(outputs))


def _rows(array: Array, columns: Sequence[str]) -> Array:
    """The rows of an output; none of one that only says that nothing was found."""
    nothing = array.shape == (1, 1) and len(columns) > 1 and array[0, 0] == NOTHING
    return np.empty((0, len(columns)), array.dtype) if nothing else array


def _may_count(counts: Array, samples: int) -> bool:
    if len(counts) != samples:
        return False
    if counts.dtype.kind == "f":
        return bool(np.isfinite(counts).all() and (counts == np.floor(counts)).all() and (counts >= 0).all())
    return counts.dtype.kind in "iu" and bool((counts >= 0).all())


def _boxes(rows: Array, sample: Array, columns: Sequence[str]) -> Boxes:
    place = {name: k for k, name in enumerate(columns) if name}
    score = rows[:, place["score"]] if "score" in place else np.ones(len(rows))
    kind = rows[:, place["class"]] if "class" in place else np.zeros(len(rows))
    real = np.isfinite(kind) & (kind >= 0) & np.isfinite(score)
    rows, kind, score = rows[real], kind[real], score[real]
    if "w" in place:
        centre, size = rows[:, [place["x"], place["y"]]], rows[:, [place["w"], place["h"]]]
        corners = np.concatenate([centre - size / 2, centre + size / 2], 1)
    else:
        corners = rows[:, [place[name] for name in ("x1", "y1", "x2", "y2")]]
    whole = np.round(np.clip(kind, 0, CLASSES_MAX)).astype(np.int64)
    return Boxes(sample[real], whole, corners, score, np.zeros(len(rows), bool))
