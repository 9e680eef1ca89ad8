"""Questions that the rules of ONNX nodes ask: is an input there, has it elements, does an axis or an index exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeflow.core.errors import NbError

if TYPE_CHECKING:
    from edgeflow.emulate.graph import Value

SIDE_MAX = 1 << 16
"""Strides, dilations, paddings and kernels: more than any axis of an edge network has."""

SCALAR = ((), (1,))
Inputs = Sequence["Value | None"]
Attributes = Mapping[str, Any]


def ensure(kind: str, fits: object, what: str, *shapes: Value | None) -> None:
    """Raise NbError unless `fits`; `what` says what should be, and the shapes are shown."""
    if not fits:
        shown = ", ".join(f"{v.dtype}{list(v.shape)}" for v in shapes if v is not None)
        raise NbError(f"{kind}{' of ' + shown if shown else ''}: {what}")


def given(kind: str, inputs: Inputs, count: int) -> list[Value]:
    """The first `count` inputs, all of which should be there."""
    values = [value for value in inputs[:count] if value is not None]
    ensure(kind, len(values) == count, f"should have {count} inputs, has {len(values)}")
    return values


def filled(kind: str, *values: Value | None) -> None:
    """No dimension of these tensors is 0."""
    for value in values:
        ensure(kind, value is None or 0 not in value.shape, "should have no dimension of 0", value)


def numbers(kind: str, attrs: Attributes, name: str, count: int, low: int, default: int) -> list[int]:
    """An attribute of `count` whole numbers from `low` on; `default` each where it is absent."""
    listed = attrs.get(name, [default] * count)
    numbers = [n for n in listed if isinstance(n, (int, np.integer))]
    fits = len(numbers) == len(listed) == count and all(low <= n <= SIDE_MAX for n in numbers)
    ensure(kind, fits, f"{name} is {list(listed)[:8]}, and should be {count} whole numbers from {low} to {SIDE_MAX}")
    return [int(n) for n in numbers]


def axis_of(kind: str, axis: object, rank: int, what: str = "axis") -> int:
    """An axis counted from the front, which should exist."""
    fits = isinstance(axis, (int, np.integer)) and -rank <= axis < rank
    ensure(kind, fits, f"{what} is {axis}, and should lie within {rank} dimensions")
    return int(axis) % rank  # type: ignore[call-overload, no-any-return]


def constants(kind: str, value: Value | None, what: str) -> list[int]:
    """Whole numbers that the node is given as a constant input."""
    ensure(kind, value is not None and value.const is not None and value.rank <= 1, f"{what} should be known")
    return [int(n) for n in np.ravel(value.const)]  # type: ignore[union-attr, arg-type]


def indices(kind: str, index: Value) -> None:
    """Indices are of a type that onnxruntime takes."""
    ensure(kind, index.storage in ("int32", "int64"), "indices should be int32 or int64", index)


def within(kind: str, index: Value, size: int) -> None:
    """Indices that are known lie within an axis of `size`."""
    if index.const is not None and index.const.size:
        low, high = int(index.const.min()), int(index.const.max())
        ensure(kind, -size <= low and high < size, f"indices from {low} to {high} leave an axis of {size}")
