"""Labels held to the outputs that they belong to: whole numbers, in range, of a shape that fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.errors import DataError

Array = npt.NDArray[Any]
PAD = -1
"""In labels of text and of boxes: nothing here."""

VOID = (PAD, -100, 255)
"""In maps of classes: left out. Source: 255 is ignore_index of PaddleSeg and the void of VOC, Cityscapes and ADE20K;
-100 is ignore_index of Paddle's and PyTorch's cross entropy."""


def void_of(classes: int) -> tuple[int, ...]:
    """The values that are left out: 256 classes have no 255 to spare."""
    return tuple(value for value in VOID if not 0 <= value < classes)


def one_of(labels: Array, values: tuple[int, ...]) -> Array:
    """Where labels are one of a few values; what the dtype cannot hold is nowhere."""
    found = np.zeros(labels.shape, bool)
    for value in values:
        if labels.dtype.kind not in "iu" or np.iinfo(labels.dtype).min <= value <= np.iinfo(labels.dtype).max:
            found |= labels == value
    return found


def same_count(name: str, output: Array, labels: Array) -> None:
    """As many labels as samples.

    Raises:
        DataError: there are more, or fewer.
    """
    have = len(output) if output.ndim else 0
    if have != len(labels):
        raise DataError(
            f"metric {name}: {len(labels)} labels for {have} samples; the output has shape {list(output.shape)}",
            try_="an output whose first axis is the batch, and one label a sample",
        )


def classes_in(name: str, labels: Array, classes: int | None, void: tuple[int, ...] = ()) -> Array:
    """The labels as integers, each a class of 0..classes-1 or one of `void`.

    Args:
        classes: None where the output does not say how many there are.

    Raises:
        DataError: one is not; it is named with its sample.
    """
    whole = labels.dtype.kind == "f" and np.isfinite(labels).all() and np.array_equal(labels, np.floor(labels))
    if labels.dtype.kind not in "iub" and not whole:
        raise DataError(f"metric {name}: labels are of dtype {labels.dtype}, and should be classes, whole numbers")
    top = np.iinfo(np.int64).max if classes is None else classes - 1
    fine = labels.size == 0 or (labels.min() >= 0 and labels.max() <= top)
    wrong = np.zeros(0, bool) if fine else ~(((labels >= 0) & (labels <= top)) | one_of(labels, void))
    if wrong.any():
        position = int(wrong.ravel().argmax())
        value = int(labels.ravel()[position])
        sample = position // max(labels.size // len(labels), 1)
        span = "0 or above" if classes is None else f"0..{classes - 1}"
        kept = f" and not the void value ({', '.join(map(str, void))})" if void else ""
        raise DataError(
            f"metric {name}: label {value} at sample {sample} is no class {span}{kept}",
            try_=_remedy(labels, classes, value),
        )
    return labels if labels.dtype.kind in "iu" else labels.astype(np.int64)


def _remedy(labels: Array, classes: int | None, value: int) -> str:
    if value < 0:
        return "labels that are the classes of the outputs; -1 pads texts and marks what maps leave out"
    if value == classes and labels.min(initial=1) >= 1:
        return "labels, or numbers of class folders, that count from 0: these seem to count from 1"
    if value == 255:
        return "-1 for what is to be left out"
    return "labels that are the classes of the outputs, in their order; texts are padded with -1"


def class_axis(scores: tuple[int, ...], labels: tuple[int, ...]) -> int | None:
    """The axis that scores have beside those of the labels; axes of length one do not count.

    Where several fit: the last one of two or three axes, and where labels are [N, T], as texts and tokens have it, else
    the first after the batch, as pictures do.
    """
    wanted = [dim for dim in labels if dim != 1]
    found = [
        axis
        for axis in range(1, len(scores))
        if [dim for k, dim in enumerate(scores) if k != axis and dim != 1] == wanted
    ]
    if not found:
        return None
    return found[-1] if len(scores) <= 3 or len(labels) <= 2 else found[0]
