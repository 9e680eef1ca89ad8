"""Samples of several sizes in one array: each lies at the start of every axis, and what is beyond it is NaN.

Lines of text in their own width and pages in their own size are fed one by one, as a device feeds them. NaN is no
value of any input, so that an array says itself where its samples end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.errors import DataError

Array = npt.NDArray[Any]


def stacked(parts: Sequence[Array], where: str, *, sizes: bool = True) -> Array:
    """Batches joined along the samples, in the largest size that any of them has.

    Args:
        sizes: what they are for takes several.

    Raises:
        DataError: they are of several sizes where one is wanted, are whole numbers of several sizes, or differ in more.
    """
    if len({part.shape[1:] for part in parts}) == 1 and not any(map(is_ragged, parts)):
        return np.concatenate(parts)
    if len({(part.ndim, part.dtype) for part in parts}) > 1 or parts[0].ndim < 2:
        listed = ", ".join(sorted({f"{part.dtype}{list(part.shape)}" for part in parts})[:4])
        raise DataError(f"{where}: holds arrays of several kinds: {listed}", try_="one dtype and one number of axes")
    most = [int(size) for size in np.max([part.shape[1:] for part in parts], 0)]
    if not sizes or parts[0].dtype.kind != "f":
        what = "arrays of several sizes" if parts[0].dtype.kind == "f" else "whole numbers of several sizes"
        why = "nothing would tell where a sample ends" if sizes else "one size is wanted"
        raise DataError(
            f"{where}: holds {what}, up to {most}, and {why}",
            try_=f"fill each up to {most} with what is ignored, such as a padding token; pictures as uint8, of which "
            "[inputs.NAME.preprocess] makes one size; where a model takes floats of any size, -1 in the input's shape",
        )
    pieces = [
        piece
        for part in parts
        for piece in ([own(part, k)[None] for k in range(len(part))] if is_ragged(part) else [part])
    ]
    whole = np.full((sum(map(len, pieces)), *most), np.nan, parts[0].dtype)
    at = 0
    for piece in pieces:
        whole[_block(slice(at, at + len(piece)), piece.shape[1:])] = piece
        at += len(piece)
    return whole


def _block(samples: slice, size: Sequence[int]) -> Any:
    """An index: some samples, as far as a size reaches."""
    return (samples, *map(slice, size))


def is_ragged(array: Array) -> bool:
    """Samples of several sizes: the far corner of all but the largest is NaN."""
    if array.ndim < 2 or array.dtype.kind != "f" or not array.size:
        return False
    corner: Any = (slice(None),) + (-1,) * (array.ndim - 1)
    return bool(np.isnan(array[corner]).any())


def size_of(sample: Array) -> tuple[int, ...]:
    """How far one sample reaches along each axis."""
    there = sample == sample
    edges: list[Any] = [(0,) * axis + (slice(None),) + (0,) * (there.ndim - axis - 1) for axis in range(there.ndim)]
    return tuple(int(np.count_nonzero(there[edge])) for edge in edges)


def sizes_of(array: Array) -> list[tuple[int, ...]]:
    """The own size of each sample."""
    if not is_ragged(array):
        return [array.shape[1:]] * len(array)
    return [size_of(sample) for sample in array]


def own(array: Array, sample: int) -> Array:
    """One sample in its own size."""
    if not is_ragged(array):
        return np.asarray(array[sample])
    return np.asarray(array[sample][tuple(map(slice, size_of(array[sample])))])


def is_sound(array: Array) -> bool:
    """NaN lies beyond the samples alone, and nothing else does."""
    for sample in array:
        inside = tuple(map(slice, size_of(sample)))
        if not np.isfinite(sample[inside]).all() or np.count_nonzero(sample == sample) != sample[inside].size:
            return False
    return True


def cut(inputs: Mapping[str, Array], most: int) -> list[dict[str, Array]]:
    """Feeds of samples that follow each other and are of one size, at most so many each."""
    sizes = list(zip(*(sizes_of(array) for array in inputs.values()), strict=True))
    feeds, start = list[dict[str, Array]](), 0
    for at in range(1, len(sizes) + 1):
        if at < len(sizes) and sizes[at] == sizes[start] and at - start < most:
            continue
        block = {name: _block(slice(start, at), size) for name, size in zip(inputs, sizes[start], strict=True)}
        feeds.append({name: np.ascontiguousarray(array[block[name]]) for name, array in inputs.items()})
        start = at
    return feeds


def alike(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The samples that have the size of the first one, in that size."""
    if not any(map(is_ragged, inputs.values())):
        return dict(inputs)
    sizes = list(zip(*(sizes_of(array) for array in inputs.values()), strict=True))
    which = [k for k, size in enumerate(sizes) if size == sizes[0]]
    return {
        name: np.ascontiguousarray(array[which][_block(slice(None), size)])
        for (name, array), size in zip(inputs.items(), sizes[0], strict=True)
    }


def filled(array: Array, shape: Sequence[int]) -> Array:
    """An output of smaller samples, with zeros up to a shape; as it is where it has that, or another rank."""
    if (
        array.ndim != len(shape)
        or array.shape == tuple(shape)
        or any(a > b for a, b in zip(array.shape, shape, strict=True))
    ):
        return array
    whole = np.zeros(tuple(shape), array.dtype)
    whole[tuple(map(slice, array.shape))] = array
    return whole
