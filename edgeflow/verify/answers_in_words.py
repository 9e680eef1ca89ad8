"""What an output says of one sample, in words, by its kind: classes by name, texts, boxes, areas of a map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeflow.core.box_drift import Boxes
from edgeflow.core.labels import PAD
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.samples import Array
from edgeflow.core.text_metrics import ctc_texts

LISTED = 5
"""Boxes and areas that are named."""
TAGS_LISTED = 12


def named(names: Sequence[str], k: int) -> str:
    """A class by its name, or its number where it has none."""
    return names[k] if 0 <= k < len(names) else str(k)


def in_words(row: Array, kind: OutputKind, names: Sequence[str]) -> str:
    """One sample's answer.

    Args:
        row: the output for the sample, without the axis of the samples.
        names: of the classes; of a text recogniser the letters, without the blank.
    """
    if not row.size:
        return "nothing"
    if row.dtype.kind == "f" and not np.isfinite(row).all():
        return "NaN"
    if kind.kind == "scores" and row.ndim == 1:
        best = int(row.argmax())
        return f"{named(names, best)} ({row.max():.3g})"
    if kind.kind in ("ctc", "sequence") and row.ndim in (1, 2):
        return _tokens(row, kind, names)
    classes = class_map(row, kind)
    if classes is not None:
        return areas(classes, names)
    if kind.kind == "map":
        return f"{float((row > kind.threshold).mean()):.1%} above {kind.threshold:g}"
    if kind.kind == "ids" and row.size == 1:
        return named(names, int(row.reshape(-1)[0]))
    return f"{row.min():.3g} .. {row.max():.3g}"


def class_map(row: Array, kind: OutputKind) -> Array | None:
    """The classes of a sample's pixels, int[H, W]; None of what has none."""
    if kind.kind == "scores" and row.ndim == 3 and min(row.shape) > 1:
        axis = 0 if kind.axis in (None, 1, -3) else row.ndim - 1
        return np.asarray(row.argmax(axis))
    plane = row.squeeze() if row.ndim in (2, 3) else row
    if kind.kind == "ids" and plane.ndim == 2 and min(plane.shape) > 1 and np.isfinite(plane).all():
        return plane.astype(np.int64)
    return None


def areas(classes: Array, names: Sequence[str]) -> str:
    """The classes of a map with their shares, the largest first."""
    found, counts = np.unique(classes, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:LISTED]
    return ", ".join(f"{named(names, int(found[k]))} {counts[k] / classes.size:.1%}" for k in order)


def boxes_in_words(found: Boxes, names: Sequence[str], least: float) -> str:
    """The boxes of one sample from a score on, the surest first."""
    order = [k for k in np.argsort(-found.scores, kind="stable") if found.scores[k] >= least]
    said = ", ".join(f"{named(names, int(found.classes[k]))} {found.scores[k]:.2f}" for k in order[:LISTED])
    more = f" and {len(order) - LISTED} more" if len(order) > LISTED else ""
    return f"{said}{more}" if order else "nothing"


def label_in_words(label: Array, kind: OutputKind, names: Sequence[str]) -> str | int | None:
    """The label of one sample; None where it is of no known form."""
    if kind.kind == "boxes" and label.ndim == 2:
        kinds = label[label[:, 0] >= 0, 0].astype(np.int64).tolist()
        return ", ".join(named(names, k) for k in kinds[:LISTED]) + (" …" if len(kinds) > LISTED else "") or "nothing"
    if label.dtype.kind not in "iu":
        return None
    if label.ndim == 0:
        return names[int(label)] if 0 <= int(label) < len(names) and kind.kind != "ctc" else int(label)
    if label.ndim == 1 and kind.kind == "ctc":
        first = 1 if kind.blank == 0 else 0
        return repr("".join(named(names, int(k) - first) for k in label if k != PAD)) if names else None
    if label.ndim == 2 and min(label.shape) > 1:
        return areas(label, names)
    return None


def _tokens(row: Array, kind: OutputKind, names: Sequence[str]) -> str:
    """The text of CTC steps, or the tags of tokens."""
    if kind.kind == "sequence":
        tags = row.argmax(-1) if row.ndim == 2 else row.astype(np.int64)
        said = " ".join(named(names, int(k)) for k in tags[:TAGS_LISTED])
        return said + (" …" if len(tags) > TAGS_LISTED else "")
    classes = row.shape[-1] if row.ndim == 2 else len(names) + 1
    if len(names) != classes - 1:
        return f"{row.min():.3g} .. {row.max():.3g}"
    blank = classes - 1 if kind.blank < 0 else kind.blank
    text = ctc_texts(row[None], blank)[0]
    return repr("".join(named(names, k - (k > blank)) for k in text))
