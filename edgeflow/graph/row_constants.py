"""Values that are the same for every sample, computed ahead of time: the positions of an encoder of fixed length.

Exports of PaddleNLP make positions from the ids' shape (ones like the ids in BERT, ones of their shape in ERNIE; their
running sum, minus one), and look them up, for each sample anew. Where only the batch is open, the whole is a weight,
and what was three to five ops that no NPU has is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.core.tensors import PADDLE_DTYPES
from edgeflow.graph.constant_sizes import can_make
from edgeflow.graph.edit import Editor, attr_of, output, set_attr
from edgeflow.graph.program import input_of, inputs_of
from edgeflow.graph.shape_values import known

ELEMENTWISE = ("elementwise_add", "elementwise_sub", "elementwise_mul")
SWAPPED = ("elementwise_add", "elementwise_mul")
"""Ops whose operands may change places."""
BYTES_MAX = 1 << 22
"""A row that becomes a weight takes at most so much: 512 positions of width 2048."""


def fold_rows(editor: Editor) -> int:
    """Put weights in the place of what is the same for every sample.

    Returns:
        How many operands became weights.
    """
    assert editor.parameters is not None
    rows: dict[str, Array] = {}
    for op in editor.ops:
        if len(op.outputs) and not any(len(editor.writers[name]) > 1 for v in op.outputs for name in v.arguments):
            row = _row(editor, op, rows)
            if row is not None and row.nbytes <= BYTES_MAX:
                rows[output(op)] = row
    made = sum(_placed(editor, op, rows) for op in editor.ops if op.type in ELEMENTWISE and output(op) not in rows)
    if made:
        editor.touch()
        editor.sweep()
    return made


def _row(editor: Editor, op: Any, rows: Mapping[str, Array]) -> Array | None:
    """[1, ...]: what an op gives for each sample, or None where that differs from sample to sample or is not known."""
    if op.type in ("fill_any_like", "fill_constant"):
        dims = _filled_dims(editor, op)
        dtype = PADDLE_DTYPES.get(int(attr_of(op, "dtype", -1)), editor.dtype(output(op)))
        value = float(attr_of(op, "str_value", "") or attr_of(op, "value", 0.0))
        is_known = len(dims) > 1 and min(dims[1:]) > 0 and can_make(*dims[1:])
        return np.full((1, *dims[1:]), value, dtype) if is_known else None
    if op.type in ELEMENTWISE:
        return _combined(editor, op, rows)
    x = rows.get((inputs_of(op, "X") or inputs_of(op, "Ids") or [""])[0])
    if x is None:
        return None
    if op.type == "cumsum":
        axis = int(attr_of(op, "axis", -1)) % x.ndim
        plain = not any(attr_of(op, key, False) for key in ("flatten", "exclusive", "reverse"))
        return np.cumsum(x, axis, dtype=x.dtype) if plain and axis > 0 else None
    if op.type == "cast":
        return x.astype(PADDLE_DTYPES[int(attr_of(op, "out_dtype"))])
    if op.type == "scale" and not inputs_of(op, "ScaleTensor"):
        factor, shift = float(attr_of(op, "scale", 1.0)), float(attr_of(op, "bias", 0.0))
        if x.dtype != np.float32 and not (factor.is_integer() and shift.is_integer()):
            return None  # Paddle cuts the factor of whole numbers off
        return _scaled(x, factor, shift, after=bool(attr_of(op, "bias_after_scale", True)))
    if op.type == "lookup_table_v2":
        return _looked_up(editor, op, x)
    return None


def _filled_dims(editor: Editor, op: Any) -> tuple[int, ...]:
    """Dims of a tensor of one number that has as many samples as another; none where it is not known to.

    fill_constant takes its shape from a tensor, or from one for each dimension: it begins as that other's shape does.
    """
    if op.type == "fill_any_like":
        return editor.dims(input_of(op, "X")) or ()
    names = inputs_of(op, "ShapeTensor") or inputs_of(op, "ShapeTensorList")
    if not names or inputs_of(op, "ValueTensor") or not _counts_samples(editor, names[0]):
        return ()
    sizes = [size for name in names for size in known(editor, name) or [None]]
    return () if sizes[0] is not None or None in sizes[1:] else (-1, *(size for size in sizes[1:] if size is not None))


def _counts_samples(editor: Editor, name: str) -> bool:
    """A tensor of sizes begins with the first of another tensor's, the only one of them that is open."""
    op = editor.producer(name)
    while op is not None and (op.type == "cast" or (op.type == "slice" and attr_of(op, "starts") == [0])):
        op = editor.producer((inputs_of(op, "X") or inputs_of(op, "Input"))[0])
    dims = editor.dims(input_of(op, "Input")) if op is not None and op.type == "shape" else None
    return bool(dims) and dims is not None and dims[0] == -1 and -1 not in dims[1:]


def _scaled(x: Array, factor: float, shift: float, *, after: bool) -> Array:
    by, plus = np.asarray(factor, x.dtype), np.asarray(shift, x.dtype)
    found: Array = x * by + plus if after else (x + plus) * by
    return found


def _combined(editor: Editor, op: Any, rows: Mapping[str, Array]) -> Array | None:
    sides = [inputs_of(op, key)[0] for key in ("X", "Y")]
    if not any(side in rows for side in sides) or int(attr_of(op, "axis", -1)) != -1:
        return None
    x, y = (rows.get(side, editor.constant(side)) for side in sides)
    if x is None or y is None or x.dtype != y.dtype:
        return None
    found = x + y if op.type == "elementwise_add" else x - y if op.type == "elementwise_sub" else x * y
    return found if found.shape[0] == 1 and found.ndim == max(x.ndim, y.ndim) else None


def _looked_up(editor: Editor, op: Any, ids: Array) -> Array | None:
    weight, row = editor.constant(inputs_of(op, "W")[0]), int(attr_of(op, "padding_idx", -1))
    if weight is None or weight.ndim != 2 or ids.min() < 0 or ids.max() >= len(weight):
        return None
    found: Array = weight[ids]
    if row >= 0:
        found[ids == row] = 0
    return found


def _placed(editor: Editor, op: Any, rows: Mapping[str, Array]) -> int:
    """Let an op that joins a row to what differs read the row as a weight."""
    sides = {key: inputs_of(op, key)[0] for key in ("X", "Y")}
    known = [key for key in sides if sides[key] in rows]
    if len(known) != 1 or int(attr_of(op, "axis", -1)) not in (-1, 0):
        return 0
    other = editor.dims(sides["Y" if known[0] == "X" else "X"]) or ()
    row = rows[sides[known[0]]]
    if (known[0] == "X" and op.type not in SWAPPED) or tuple(other[1:]) != row.shape[1:] or len(other) < 2:
        return 0
    held = editor.parameter("row", np.ascontiguousarray(row[0]))
    first = sides["Y"] if known[0] == "X" else sides["X"]
    for var in op.inputs:
        var.arguments[0] = first if var.parameter == "X" else held
    set_attr(op, "axis", 1)
    return 1
