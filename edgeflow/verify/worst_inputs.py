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


def worst(reference: Reference, outputs: Sequence[Array]) -> tuple[WorstInput, ...]:
    """The samples farthest from the reference, answers that changed first; see docs/report.md."""
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
            _answer(a[k], scores),
            _answer(b[k], scores),
            _picture(reference.inputs, int(k)),
        )
        for k in order
        if error[k] > 0 or np.isnan(error[k])
    )


def _label(reference: Reference, index: int) -> int | None:
    labels = reference.labels
    return int(labels[index]) if labels is not None and labels.ndim == 1 and labels.dtype.kind in "iu" else None


def _answer(row: Array, scores: bool) -> str:
    if not np.isfinite(row).all():
        return "NaN"
    return f"{int(row.argmax())} ({row.max():.3g})" if scores else f"{row.min():.3g} .. {row.max():.3g}"


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
