"""How far two outputs say the same, sample by sample: the answer of each kind that is not a plain distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.errors import NotComparable
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.text_metrics import ctc_texts

Array = npt.NDArray[Any]

NEAR_TIE = 1e-3
"""Share of an output's own range within which two scores are a tie: which of them is the best says nothing."""

NEIGHBOURS_MAX = 2000
"""Embeddings that are compared with each other: the table of distances grows with the square."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What each sample keeps of the reference's answer, float64[samples] in 0..1.

    `counted`: each is 0 or 1, so that shares can be judged by counting. `empty`: why nothing was there to agree on.
    """

    kept: Array
    counted: bool = False
    empty: str | None = None

    @property
    def share(self) -> float:
        """The mean over samples."""
        return float(self.kept.mean()) if self.kept.size else 1.0


def agreement(wanted: Array, got: Array, kind: OutputKind) -> Agreement | None:
    """The agreement of two arrays of one shape, whose first axis are the samples; None where the kind has none.

    Boxes are matched elsewhere (core/box_drift.py), since their number may differ.

    Raises:
        NotComparable: the output has no form that its kind can have.
    """
    if wanted.ndim == 0 or not wanted.size:
        return None
    if form := _unfit(wanted, kind):
        raise NotComparable(
            f"an output of shape {list(wanted.shape)} and dtype {wanted.dtype} is no {kind.kind}, which is {form}",
            try_='[outputs.N] kind as the output is; "tensor" where no other fits',
        )
    if kind.kind == "ids" or (kind.kind == "sequence" and wanted.dtype.kind != "f"):
        same = (wanted == got).reshape(len(wanted), -1)
        return Agreement(same.mean(1), counted=same.shape[1] == 1)
    if kind.kind in ("scores", "sequence"):
        return best_classes_agree(wanted, got, kind.axis if kind.axis is not None else -1)
    if kind.kind == "ctc":
        return texts_agree(wanted, got, kind)
    if kind.kind == "map":
        return maps_agree(wanted, got, kind.threshold)
    if kind.kind == "embedding":
        return neighbours_agree(wanted, got)
    if kind.kind == "landmarks":
        return landmarks_agree(wanted, got)
    return None


def _unfit(array: Array, kind: OutputKind) -> str:
    """The form that an output of this kind should have; empty where it has it."""
    rank, whole = array.ndim, array.dtype.kind in "iu"
    if kind.kind == "ctc" and not (rank == 2 if whole else rank == 3):
        return "scores [samples, steps, classes], or whole numbers [samples, steps]"
    if kind.kind == "landmarks" and not (rank == 3 and array.shape[2] in (2, 3)) and array[0].size % 2:
        return "points [samples, points, 2 or 3], or [samples, 2 * points]"
    return ""


def best_classes_agree(wanted: Array, got: Array, axis: int) -> Agreement | None:
    """Places whose best class is the same, near ties counting as the same; None where there are no two classes.

    A place that holds NaN in the candidate has no best class. Places with nothing but zeros in both, which lie beyond a
    shorter sample (core/ragged.py), are not counted.
    """
    if wanted.ndim < 2 or wanted.dtype.kind != "f" or wanted.shape[axis] < 2:
        return None
    known = wanted[np.isfinite(wanted)]
    margin = NEAR_TIE * float(known.max() - known.min()) if known.size else 0.0
    chosen = np.expand_dims(got.argmax(axis), axis)
    with np.errstate(invalid="ignore"):  # infinity less infinity is no near tie
        lost = wanted.max(axis, keepdims=True).astype(np.float64) - np.take_along_axis(wanted, chosen, axis)
    same = (chosen == np.expand_dims(wanted.argmax(axis), axis)) | (lost <= margin)
    same &= ~np.isnan(got).any(axis, keepdims=True)
    flat = same.reshape(len(same), -1)
    if flat.shape[1] == 1:
        return Agreement(flat.mean(1), counted=True)
    there = (wanted.any(axis, keepdims=True) | got.any(axis, keepdims=True)).reshape(flat.shape)
    many = there.sum(1)
    return Agreement(np.where(many > 0, (flat & there).sum(1) / np.maximum(many, 1), 1.0))


def texts_agree(wanted: Array, got: Array, kind: OutputKind) -> Agreement:
    """Characters kept of each text, 1 - edits / length, after greedy CTC; scores [N, T, C], or classes [N, T]."""
    classes = wanted.shape[-1]
    blank = classes - 1 if kind.blank < 0 and wanted.ndim == 3 else kind.blank
    texts = [ctc_texts(array, blank) for array in (wanted, got)]
    kept = [1.0 - min(1.0, edits(a, b) / max(len(a), 1)) for a, b in zip(*texts, strict=True)]
    if not any(texts[0]):
        return Agreement(np.asarray(kept), empty="the reference reads no text in any sample")
    return Agreement(np.asarray(kept))


def edits(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Levenshtein's distance; a table row at a time."""
    if a == b:
        return 0
    row = np.arange(len(b) + 1)
    other = np.asarray(b, np.int64)
    for i, character in enumerate(a, start=1):
        change = np.minimum(row[:-1] + (other != character), row[1:] + 1)
        # Insertions run along the row: the least of change[k] - k before here, plus the way since.
        steps = np.minimum.accumulate(np.concatenate([[i], change]) - np.arange(len(b) + 1))
        row = steps + np.arange(len(b) + 1)
    return int(row[-1])


def maps_agree(wanted: Array, got: Array, threshold: float) -> Agreement:
    """Intersection over union of what lies above a threshold, of each sample; 1 where neither has anything there."""
    a, b = (array.reshape(len(array), -1) > threshold for array in (wanted, got))
    union = (a | b).sum(1)
    kept = np.where(union > 0, (a & b).sum(1) / np.maximum(union, 1), 1.0)
    empty = None if a.any() else f"no value of the reference lies above {threshold:g}, so no mask was compared"
    return Agreement(kept, empty=empty)


def neighbours_agree(wanted: Array, got: Array) -> Agreement | None:
    """Samples whose nearest other sample, by cosine, is the same one; near ties count as the same."""
    a, b = (_directions(array[:NEIGHBOURS_MAX]) for array in (wanted, got))
    if len(a) < 3:
        return None
    near, found = a @ a.T, b @ b.T
    for table in (near, found):
        np.fill_diagonal(table, -np.inf)
    chosen = found.argmax(1)
    finite = near[np.isfinite(near)]
    margin = NEAR_TIE * float(finite.max() - finite.min())
    kept = near.max(1) - near[np.arange(len(near)), chosen] <= margin
    return Agreement(kept.astype(np.float64), counted=True)


def _directions(array: Array) -> Array:
    flat = array.reshape(len(array), -1).astype(np.float64)
    flat = np.where(np.isfinite(flat), flat, 0.0)  # counted apart, and never a PASS
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12))


def landmarks_agree(wanted: Array, got: Array) -> Agreement:
    """1 - the mean distance of the points, as a share of the diagonal of the box around the reference's points.

    Args:
        wanted, got: [N, K, 2], [N, K, 3] or [N, 2 K] of x, y pairs.
    """
    a, b = (_points(array) for array in (wanted, got))
    extent = np.linalg.norm(a.max(1) - a.min(1), axis=1)
    error = np.linalg.norm(a - b, axis=2).mean(1) / np.maximum(extent, 1e-12)
    return Agreement(1.0 - np.minimum(np.where(np.isfinite(error), error, 1.0), 1.0))


def _points(array: Array) -> Array:
    count = len(array)
    if array.ndim == 3 and array.shape[2] in (2, 3):
        return array.astype(np.float64)
    return np.asarray(array.reshape(count, -1, 2), np.float64)
