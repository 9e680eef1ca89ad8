"""The samples that a candidate gets most wrong, by what its output is: answers in words, small pictures with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeflow.core.agreement import agreement
from edgeflow.core.box_drift import TRUTH_SCORE_MIN, Boxes, compare_boxes, split_boxes
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.samples import Array
from edgeflow.project.reference import Reference
from edgeflow.report.record_parts import WorstInput
from edgeflow.verify.answers_in_words import boxes_in_words, in_words, label_in_words
from edgeflow.verify.sample_pictures import as_uri, drawn_boxes, extent_of, picture_of, with_answers

SHOWN = 8
ALIKE_SHOWN = 3


def worst(
    reference: Reference, outputs: Sequence[Array], kinds: Sequence[OutputKind], names: Sequence[str] = ()
) -> tuple[WorstInput, ...]:
    """The samples farthest from the reference, answers that changed first; see docs/report.md.

    Where none differs, the first few, so that a page shows what the model says.

    Args:
        names: of the classes; of a text recogniser the letters, without the blank.
    """
    index = next((k for k, kind in enumerate(kinds[: len(outputs)]) if kind.belongs_to is None), None)
    if index is None:
        return ()
    kind, count = kinds[index], reference.samples
    if kind.kind == "boxes":
        sides = [split_boxes(side, index, kind, count) for side in (reference.outputs, outputs)]
        return () if sides[0] is None or sides[1] is None else _of_boxes(reference, (sides[0], sides[1]), kind, names)
    wanted, got = reference.outputs[index], outputs[index]
    if wanted.ndim and got.size == wanted.size and len(wanted) == count:
        got = got.reshape(wanted.shape)
    elif kind.kind == "ctc" and wanted.ndim == 3 and wanted.shape == got.shape and wanted.shape[1] == count:
        wanted, got = np.swapaxes(wanted, 0, 1), np.swapaxes(got, 0, 1)  # time first
    else:
        return ()
    if not wanted.size:
        return ()
    a, b = wanted.reshape(count, -1).astype(np.float64), got.reshape(count, -1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.where(a == b, 0.0, np.abs(a - b)).max(1, initial=0.0)
    agreed = agreement(wanted, got, kind)
    kept = np.ones(count) if agreed is None or len(agreed.kept) != count else agreed.kept
    found = []
    for k in _order(1 - kept, error):
        pixels = picture_of(reference.inputs, k)
        if pixels is not None:
            pixels = with_answers(pixels, wanted[k], got[k], kind, extent_of(reference.inputs, k, kind))
        found.append(
            WorstInput(
                k,
                float(error[k]),
                _label(reference, k, kind, names),
                in_words(wanted[k], kind, names),
                in_words(got[k], kind, names),
                None if pixels is None else as_uri(pixels),
                _file(reference, k),
            )
        )
    return tuple(found)


def _of_boxes(
    reference: Reference, sides: tuple[list[Boxes], list[Boxes]], kind: OutputKind, names: Sequence[str]
) -> tuple[WorstInput, ...]:
    """Detections: the error is the share of boxes, over all thresholds, that are not found again or too many."""
    _, agreed = compare_boxes(*sides)
    moved = np.array([_moved(*pair) for pair in zip(*sides, strict=True)])
    found = []
    for k in _order(1 - agreed.kept, moved):
        pair, pixels = (sides[0][k], sides[1][k]), picture_of(reference.inputs, k)
        extent = extent_of(reference.inputs, k, kind)
        found.append(
            WorstInput(
                k,
                float(1 - agreed.kept[k]),
                _label(reference, k, kind, names),
                boxes_in_words(pair[0], names, TRUTH_SCORE_MIN),
                boxes_in_words(pair[1], names, TRUTH_SCORE_MIN),
                None if pixels is None else as_uri(pixels),
                _file(reference, k),
                tuple(drawn_boxes(pair, names, extent, TRUTH_SCORE_MIN)),
            )
        )
    return tuple(found)


def _moved(wanted: Boxes, got: Boxes) -> float:
    """Whether anything differs at all: the largest difference of the surest boxes, infinite where one has more."""
    if len(wanted.scores) != len(got.scores):
        return float(np.inf)
    a, b = (np.concatenate([x.corners, x.scores[:, None]], 1)[np.argsort(-x.scores)] for x in (wanted, got))
    return float(np.nan_to_num(np.abs(a - b), nan=np.inf).max(initial=0.0))


def _order(lost: Array, error: Array) -> list[int]:
    """Samples with the most lost first, then those with the largest error; of none that differ, a few."""
    error = np.nan_to_num(error, nan=np.inf)
    order = np.lexsort((-error, -lost))[:SHOWN]
    differs = (error > 0) | (lost > 0)
    return [int(k) for k in order if differs[k]] or [int(k) for k in order[:ALIKE_SHOWN]]


def _label(reference: Reference, index: int, kind: OutputKind, names: Sequence[str]) -> int | str | None:
    labels = reference.labels
    if labels is None or labels.ndim == 0 or len(labels) != reference.samples:
        return None
    return label_in_words(np.asarray(labels[index]), kind, names)


def _file(reference: Reference, index: int) -> str | None:
    return reference.names[index] if reference.names else None
