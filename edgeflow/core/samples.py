"""Samples as arrays by name: cut into feeds and joined again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.errors import DataError
from edgeflow.core.ragged import cut, filled, is_ragged
from edgeflow.core.tensors import TensorSpec

Array = npt.NDArray[Any]
LABEL = "label"


def joined(parts: Sequence[Mapping[str, Array]], counts: Sequence[int] = ()) -> dict[str, Array]:
    """Join the outputs of several feeds along the samples; an output without samples is taken from the first feed.

    Outputs that follow the sizes of their samples get zeros up to the largest.

    Args:
        counts: samples of each feed, by which an output is told whose first axis is the time and the second the batch.
    """
    return {
        name: _concatenated([part[name] for part in parts], counts) if array.ndim else array
        for name, array in parts[0].items()
    }


def _concatenated(arrays: Sequence[Array], counts: Sequence[int]) -> Array:
    axis = _batch_axis(arrays, counts)
    if axis == 0 and len({array.shape[1:] for array in arrays}) > 1 and len({array.ndim for array in arrays}) == 1:
        most = np.max([array.shape[1:] for array in arrays], 0)
        arrays = [filled(array, (len(array), *most)) for array in arrays]
    return np.concatenate(arrays, axis)


def _batch_axis(arrays: Sequence[Array], counts: Sequence[int]) -> int:
    """The second axis where it has as many entries as samples in every feed, and the first has as many in none."""
    if len(arrays) < 2 or len(counts) != len(arrays) or arrays[0].ndim != 3:
        return 0
    second = all(array.shape[1] == count for array, count in zip(arrays, counts, strict=True))
    first = any(array.shape[0] == count for array, count in zip(arrays, counts, strict=True))
    return 1 if second and not first and len({array.shape[0] for array in arrays}) == 1 else 0


def batches(
    samples: Mapping[str, Array], inputs: Sequence[TensorSpec], most: int, *, free: bool = False
) -> list[dict[str, Array]]:
    """Cut samples into feeds: `most` a call where the batch is open, the declared number where it is fixed.

    Samples of several sizes (core/ragged.py) go in their own, with those beside them that have the same.

    Args:
        free: take a fixed batch as open.

    Raises:
        DataError: the samples do not make up whole batches of a fixed size.
    """
    count = len(next(iter(samples.values())))
    fixed = inputs[0].shape[0] if inputs and inputs[0].shape and not free else -1
    size = fixed if fixed > 0 else most
    if fixed > 1 and any(is_ragged(samples[spec.name]) for spec in inputs):
        raise DataError(
            f"samples of several sizes do not make batches of {fixed}, the model's fixed batch size",
            try_="declare the first dimension as -1 or 1",
        )
    if fixed > 0 and count % fixed:
        raise DataError(
            f"{count} samples do not make whole batches of {fixed}, the model's fixed batch size",
            try_=f"give a multiple of {fixed} samples, or declare the first dimension as -1",
        )
    return cut({spec.name: samples[spec.name] for spec in inputs}, size)
