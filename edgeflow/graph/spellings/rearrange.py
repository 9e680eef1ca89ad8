"""What moves elements about: shuffles, repeats, diagonals, indices, reading backwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeflow.graph.constant_sizes import can_make
from edgeflow.graph.edit import Speller, attr_of, output
from edgeflow.graph.program import input_of, inputs_of
from edgeflow.graph.spellings.spelling import Spelling


def _shuffle(s: Speller, op: Any, x: str) -> str | None:
    dims, groups = s.dims(x), int(attr_of(op, "groups", 1))
    if attr_of(op, "data_format", "NCHW") != "NCHW" or -1 in dims[1:]:
        return None
    _, c, h, w = dims
    apart = s.transpose(s.reshape(x, [0, groups, c // groups, h, w]), [0, 2, 1, 3, 4])
    return s.reshape(apart, [0, c, h, w])


def _pixel_unshuffle(s: Speller, op: Any, x: str) -> str | None:
    dims, r = s.dims(x), int(attr_of(op, "downscale_factor", 1))
    if attr_of(op, "data_format", "NCHW") != "NCHW" or -1 in dims[1:]:
        return None
    _, c, h, w = dims
    apart = s.transpose(s.reshape(x, [0, c, h // r, r, w // r, r]), [0, 1, 3, 5, 2, 4])
    return s.reshape(apart, [0, c * r * r, h // r, w // r])


def _repeat(s: Speller, op: Any, x: str) -> str | None:
    dims, count = list(s.dims(x)), int(attr_of(op, "Repeats", 0))
    axis = int(attr_of(op, "dim", 0)) % len(dims)
    if inputs_of(op, "RepeatsTensor") or count < 1 or dims.count(-1) > 1:
        return None
    copies = s.concat([s.unsqueeze(x, [axis + 1])] * count, axis + 1)
    return s.reshape(copies, [*dims[:axis], dims[axis] * count if dims[axis] > 0 else -1, *dims[axis + 1 :]])


def _expand_as(s: Speller, op: Any, x: str) -> str | None:
    shape = [int(d) for d in attr_of(op, "target_shape", [])]
    if not shape or -1 in shape:
        return None
    return s.add("expand_v2", {"X": x}, dims=shape, shape=shape)


def _eye(s: Speller, op: Any, x: str) -> str | None:
    rows, columns = int(attr_of(op, "num_rows", 0)), int(attr_of(op, "num_columns", -1))
    dtype = s.editor.dtype(output(op))
    if dtype not in ("float32", "int32", "int64") or not can_make(rows, columns if columns > 0 else rows):
        return None
    return s.values(np.eye(rows, columns if columns > 0 else rows).astype(dtype))


def _diag_embed(s: Speller, op: Any, x: str) -> str | None:
    dims = s.dims(x)
    if (
        attr_of(op, "offset", 0) != 0
        or [a % (len(dims) + 1) for a in (attr_of(op, "dim1", -2), attr_of(op, "dim2", -1))]
        != [len(dims) - 1, len(dims)]
        or not can_make(dims[-1], dims[-1])
    ):
        return None
    return s.binary("mul", s.unsqueeze(x, [len(dims)]), s.values(np.eye(dims[-1], dtype=np.float32)))


def _diag(s: Speller, op: Any, x: str) -> str | None:
    dims = s.dims(x)
    if (
        attr_of(op, "offset", 0) != 0
        or -1 in dims
        or s.editor.dtype(x) != "float32"
        or attr_of(op, "padding_value", 0.0) != 0.0
    ):
        return None
    if not can_make(dims[0], dims[-1]):
        return None
    if len(dims) == 1:
        return s.binary("mul", s.unsqueeze(x, [1]), s.values(np.eye(dims[0], dtype=np.float32)))
    if dims[0] > dims[1]:
        x = s.slice(x, 0, 0, dims[1])
    return s.reduce("sum", s.binary("mul", x, s.values(np.eye(min(dims), dims[1], dtype=np.float32))), [1], False)


def _take_along(s: Speller, op: Any, x: str) -> str | None:
    """Each index becomes a whole coordinate, made of constants but for its own axis."""
    index = input_of(op, "Index")
    dims, taken = s.dims(x), s.dims(index)
    axis = 1 if op.type == "index_sample" else int(attr_of(op, "Axis", 0)) % len(dims)
    if len(taken) != len(dims) or not can_make(*taken):
        return None
    own = index if s.editor.dtype(index) == "int64" else s.cast(index, "int64")
    parts = []
    for k in range(len(dims)):
        grid = np.arange(taken[k]).reshape([-1 if j == k else 1 for j in range(len(taken))])
        parts.append(own if k == axis else s.values(np.broadcast_to(grid, taken).astype(np.int64).copy()))
    where = s.add("stack", {"X": parts}, dims=[*taken, len(dims)], result_dtype="int64", out="Y", axis=len(dims))
    return s.add("gather_nd", {"X": x, "Index": where}, dims=taken, result_dtype=s.editor.dtype(x))


def _flip(s: Speller, op: Any, x: str) -> str | None:
    dims = s.dims(x)
    for axis in (a % len(dims) for a in attr_of(op, "axis", [])):
        if dims[axis] < 0:
            return None
        index = s.values(np.arange(dims[axis], dtype=np.int32)[::-1].copy())
        x = s.add("gather", {"X": x, "Index": index}, dims=dims, axis=axis)
    return x


def _strided(s: Speller, op: Any, x: str) -> str | None:
    """Negative strides only: the runtime asks for terabytes. Read backwards through an index."""
    strides = attr_of(op, "strides", [])
    dims, axes = s.dims(x), attr_of(op, "axes", [])
    if (
        not any(step < 0 for step in strides)
        or attr_of(op, "decrease_axis", [])
        or (len(op.inputs) > 1 and any(var.arguments for var in op.inputs if var.parameter != "Input"))
    ):
        return None
    for axis, start, end, step in zip(axes, attr_of(op, "starts", []), attr_of(op, "ends", []), strides, strict=True):
        if dims[axis] < 0:
            return None
        index = np.arange(dims[axis])[_bounded(start, end, step, dims[axis])]
        left = list(s.dims(x))
        left[axis] = len(index)
        x = s.add("gather", {"X": x, "Index": s.values(index.astype(np.int32))}, dims=left, axis=axis)
    return x


def _bounded(start: int, end: int, step: int, size: int) -> slice:
    # Paddle 2.6 writes -1 for "to the very start" (phi/kernels/funcs/strided_slice.h StridedSliceOutDims)
    return slice(start, None if step < 0 and (end == -1 or end < -size) else end, step)


TABLE: dict[str, Spelling] = {
    "channel_shuffle": _shuffle,
    "diag_embed": _diag_embed,
    "diag_v2": _diag,
    "expand_as_v2": _expand_as,
    "eye": _eye,
    "flip": _flip,
    "index_sample": _take_along,
    "pixel_unshuffle": _pixel_unshuffle,
    "repeat_interleave": _repeat,
    "strided_slice": _strided,
    "take_along_axis": _take_along,
}
