"""The samples that a candidate gets most wrong, with small pictures where inputs are pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.files.png import pack_png
from edgeflow.project.reference import Reference
from edgeflow.report.record_parts import WorstInput

SHOWN = 8
SIDE_MAX = 128
ALIKE_SHOWN = 3


def worst(reference: Reference, outputs: Sequence[Array], names: Sequence[str] = ()) -> tuple[WorstInput, ...]:
    """The samples farthest from the reference, answers that changed first; see docs/report.md.

    Where none differs, the first few, so that a page shows what the model says.

    Args:
        names: of the classes, where there are as many as scores; of a text recogniser the letters after the blank.
    """
    if not outputs:
        return ()
    wanted, got = reference.outputs[0], outputs[0]
    if wanted.ndim == 0 or len(wanted) != reference.samples or got.shape != wanted.shape:
        return ()
    count = len(wanted)
    a, b = wanted.reshape(count, -1).astype(np.float64), got.reshape(count, -1).astype(np.float64)
    error = np.abs(a - b).max(1)
    scores = wanted.ndim == 2 and wanted.shape[1] > 1
    changed = a.argmax(1) != b.argmax(1) if scores else np.zeros(count, bool)
    order = np.lexsort((-np.nan_to_num(error, nan=np.inf), ~changed))[:SHOWN]
    return tuple(
        WorstInput(
            int(k),
            float(error[k]),
            _label(reference, int(k)),
            _answer(wanted[k], names, scores=scores),
            _answer(got[k], names, scores=scores),
            _picture(reference.inputs, int(k)),
        )
        for place, k in enumerate(order)
        if error[k] > 0 or np.isnan(error[k]) or (place < ALIKE_SHOWN and not error[order[0]] > 0)
    )


def _label(reference: Reference, index: int) -> int | None:
    labels = reference.labels
    return int(labels[index]) if labels is not None and labels.ndim == 1 and labels.dtype.kind in "iu" else None


def _answer(row: Array, names: Sequence[str], *, scores: bool) -> str:
    """Of one sample: the best class by its name, the text that is read, or the range of values."""
    if not np.isfinite(row).all():
        return "NaN"
    if scores:
        best = int(row.argmax())
        return f"{names[best] if len(names) == row.size else best} ({row.max():.3g})"
    if row.ndim == 2 and len(names) == row.shape[1] - 1:  # steps of CTC; the blank is class 0
        best_of = row.argmax(1)
        kept = (best_of != 0) & (best_of != np.concatenate(([0], best_of[:-1])))
        return repr("".join(names[k - 1] for k in best_of[kept]))
    return f"{row.min():.3g} .. {row.max():.3g}"


def _picture(inputs: Mapping[str, Array], index: int) -> str | None:
    """The first input that looks like a picture, stretched to its own range, as a data URI."""
    for array in inputs.values():
        if array.ndim == 4 and array.shape[1] in (1, 3) and array.dtype.kind == "f":
            picture = array[index].transpose(1, 2, 0)
            step = max(1, -(-max(picture.shape[:2]) // SIDE_MAX))
            picture = picture[::step, ::step]
            low, high = float(picture.min()), float(picture.max())
            pixels = np.round((picture - low) / (high - low or 1.0) * 255).astype(np.uint8)
            return (
                "data:image/png;base64,"
                + base64.b64encode(pack_png(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))).decode()
            )
    return None
