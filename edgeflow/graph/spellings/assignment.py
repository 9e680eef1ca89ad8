"""x[a:b, c] = v: what lies around the region, and the value in its place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.core.tensors import PADDLE_DTYPES
from edgeflow.graph.constant_sizes import can_make
from edgeflow.graph.edit import Speller, attr_of
from edgeflow.graph.program import attribute, input_of, inputs_of
from edgeflow.graph.spellings.spelling import Spelling

TENSORS = ("StartsTensorList", "EndsTensorList", "StepsTensorList")


def _set_value(s: Speller, op: Any, x: str) -> str | None:
    dims, axes = s.dims(x), [int(a) for a in attr_of(op, "axes", [])]
    steps, decreased = attr_of(op, "steps", []), [int(a) for a in attr_of(op, "decrease_axes", [])]
    if any(inputs_of(op, name) for name in TENSORS) or attr_of(op, "none_axes", []) or {*steps} - {1}:
        return None
    ranges: dict[int, tuple[int, int]] = {}
    for axis, start, end in zip(axes, attr_of(op, "starts", []), attr_of(op, "ends", []), strict=True):
        size = dims[axis]
        if size < 0:
            if start == 0 and end >= 1 << 30:
                continue  # all of an open dimension
            return None
        low, high = (min(max(v + size if v < 0 else v, 0), size) for v in (int(start), int(end)))
        if low >= high:
            return None
        if (low, high) != (0, size):
            ranges[axis] = (low, high)
    region = [ranges[k][1] - ranges[k][0] if k in ranges else size for k, size in enumerate(dims)]
    placed = _value(s, op, x, region, decreased, ranges)
    return None if placed is None else _put(s, x, list(ranges.items()), placed)


def _put(s: Speller, x: str, left: list[tuple[int, tuple[int, int]]], placed: str) -> str:
    """Take x apart along one axis after the other, and join it again around the value."""
    if not left:
        return placed
    (axis, (low, high)), size = left[0], s.dims(x)[left[0][0]]
    parts = [s.slice(x, axis, 0, low)] if low else []
    inner = s.slice(x, axis, low, high) if len(left) > 1 else x
    parts.append(_put(s, inner, left[1:], placed))
    parts += [s.slice(x, axis, high, size)] if high < size else []
    return s.concat(parts, axis)


def _value(
    s: Speller, op: Any, x: str, region: list[int], decreased: list[int], ranges: dict[int, tuple[int, int]]
) -> str | None:
    """The value in the shape of the region; None where that takes a size that nobody knows."""
    if given := input_of(op, "ValueTensor"):
        return _tensor(s, given, region, decreased) if s.editor.dtype(given) == s.editor.dtype(x) else None
    array = _constant(op)
    if array is None:
        return None
    if -1 not in region:
        own = _with_ones(array.shape, len(region), decreased)
        if own is None or not can_make(*region):
            return None
        return s.values(np.ascontiguousarray(np.broadcast_to(array.reshape(own), region), array.dtype))
    if array.size != 1 or not math.isfinite(float(array.ravel()[0])):
        return None
    like = x
    for axis, (low, high) in ranges.items():
        like = s.slice(like, axis, low, high)
    return s.add("fill_any_like", {"X": like}, dims=region, value=float(array.ravel()[0]), dtype=-1)


def _tensor(s: Speller, given: str, region: list[int], decreased: list[int]) -> str | None:
    own = _with_ones(s.dims(given), len(region), decreased)
    if own is None or own.count(-1) > 1 or any(a not in (b, 1) for a, b in zip(own, region, strict=True)):
        return None
    shaped = given if tuple(own) == s.dims(given) else s.reshape(given, own)
    if own == region:
        return shaped
    if -1 in [b for a, b in zip(own, region, strict=True) if a != b]:
        return None
    return s.add("expand_v2", {"X": shaped}, dims=region, shape=region)


def _with_ones(dims: tuple[int, ...], rank: int, decreased: list[int]) -> list[int] | None:
    """Dims of a value among those of the region: ones where an axis was indexed, and in front."""
    own = list(dims)
    while len(own) > max(rank - len(decreased), 0) and own and own[0] == 1:
        own.pop(0)
    own = [1] * (rank - len(decreased) - len(own)) + own
    for axis in sorted(decreased):
        own.insert(axis, 1)
    return own if len(own) == rank else None


def _constant(op: Any) -> Array | None:
    """The numbers that an export writes into the op itself."""
    attr, dtype = attribute(op, "values"), PADDLE_DTYPES.get(int(attr_of(op, "dtype", 5)), "float32")
    if attr is None or dtype not in ("float32", "int32", "int64"):
        return None
    numbers = [scalar.r if scalar.HasField("r") else scalar.i for scalar in attr.scalars]
    shape = [int(d) for d in attr_of(op, "shape", [])] or [len(numbers)]
    return np.asarray(numbers, dtype).reshape(shape) if len(numbers) == math.prod(shape) else None


TABLE: dict[str, Spelling] = {"set_value": _set_value}
