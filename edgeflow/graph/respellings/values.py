"""Casts, constants, products, and what moves or places values."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.core.tensors import PADDLE_DTYPES
from edgeflow.graph.constant_sizes import can_make
from edgeflow.graph.edit import Editor, Speller, attr_of, output, set_attr
from edgeflow.graph.program import input_of, schema
from edgeflow.graph.respellings.rule import Rule, around, can_reshape, give, product, spelled
from edgeflow.nb.triggers import CASTS

FLOAT = 5
"""Paddle's number of float32."""

EXACT_IN_FLOAT = (0, 20, 21)
"""bool, uint8, int8: float32 holds all their values."""


def _cast(s: Speller, op: Any, x: str) -> str | None:
    """By way of float32, which every value of the first or the zero of the second goes through unharmed."""
    start, end = int(attr_of(op, "in_dtype", FLOAT)), int(attr_of(op, "out_dtype", FLOAT))
    if start == end:
        return x
    if (start, FLOAT) not in CASTS or (FLOAT, end) not in CASTS or not (start in EXACT_IN_FLOAT or end == 0):
        return None
    return s.cast(s.cast(x, "float32"), PADDLE_DTYPES[end])


def _assign(s: Speller, op: Any, _: str) -> str:
    """A constant of booleans: as integers, then cast."""
    given = [int(v) for v in attr_of(op, "bool_values", [])]
    shape = [int(d) for d in attr_of(op, "shape", [])]
    return s.cast(s.values(np.asarray(given, np.int32).reshape(shape)), "bool")


def _softplus(s: Speller, op: Any, x: str) -> str | None:
    """max(x, 0) + log(1 + exp(-|beta x|)) / beta, without the second term where beta x is beyond the threshold."""
    beta, threshold = float(attr_of(op, "beta", 1.0)), float(attr_of(op, "threshold", 20.0))
    if beta <= 0:
        return None
    wide = s.scale(x, beta)
    tail = s.unary("log", s.scale(s.unary("exp", s.scale(s.unary("abs", wide), -1.0)), 1.0, 1.0))
    beyond = s.add(
        "greater_than",
        {"X": wide, "Y": s.values(np.asarray([threshold], np.float32))},
        result_dtype="bool",
        axis=-1,
        force_cpu=False,
    )
    within = s.scale(s.cast(beyond, "float32"), -1.0, 1.0)
    return s.binary("add", s.unary("relu", x), s.scale(s.binary("mul", tail, within), 1.0 / beta))


def _roll(s: Speller, op: Any, x: str) -> str | None:
    """Without axes: over one dimension."""
    dims = s.dims(x)
    if not dims or not can_reshape(dims):
        return None
    inputs = {var.parameter: list(var.arguments) for var in op.inputs if var.arguments}
    size = product(dims)
    rolled = s.add("roll", {**inputs, "X": [s.reshape(x, [size])]}, dims=[size])
    for attr in op.attrs:
        if attr.name == "shifts":
            s.ops[-1].attrs.add().CopyFrom(attr)
    axis = s.ops[-1].attrs.add(name="axis", type=schema().LONGS)
    axis.longs.append(0)
    return s.reshape(rolled, dims)


def _scatter(s: Speller, op: Any, x: str) -> str | None:
    """The rows that no index names, plus a product that puts each update into its row.

    Of several updates for one row the last stays, or with overwrite = False their sum (Paddle's scatter).
    """
    ids, updates = input_of(op, "Ids"), input_of(op, "Updates")
    dims, given = s.dims(x), s.dims(updates)
    if s.editor.dtype(x) != "float32" or not dims or not given or dims[0] < 1 or given[0] < 1:
        return None
    rows, count, rest = dims[0], given[0], product(dims[1:])
    if not can_reshape(dims) or (rest < 0 and len(dims) != 2 and not can_reshape(dims[1:])):
        return None
    if not can_make(rows, count):
        return None
    overwrite, known = bool(attr_of(op, "overwrite", True)), _constant(s.editor, ids)
    if known is not None:
        place, keep = (s.values(array) for array in _places(known.ravel(), rows, overwrite))
    else:
        place, keep = _found_places(s, ids, rows, count, overwrite)
    put = s.matmul(place, s.reshape(updates, [count, rest]), dims=[rows, rest])
    kept = s.binary("mul", s.reshape(x, [rows, rest]), keep)
    return s.reshape(s.binary("add", kept, put), dims)


def _places(ids: Array, rows: int, overwrite: bool) -> tuple[Array, Array]:
    place = np.zeros((rows, ids.size), np.float32)
    for k, row in enumerate(ids):
        if overwrite:
            place[int(row)] = 0.0
        place[int(row), k] = 1.0
    return place, (place.sum(1, keepdims=True) == 0).astype(np.float32)


def _found_places(s: Speller, ids: str, rows: int, count: int, overwrite: bool) -> tuple[str, str]:
    """The same for indices that only running tells: [rows, count] and [rows, 1]."""
    column = s.values(np.arange(rows, dtype=np.float32).reshape(rows, 1))
    wide = s.reshape(ids if s.editor.dtype(ids) == "float32" else s.cast(ids, "float32"), [1, count])

    def same(a: str, b: str) -> str:
        equal = s.add("equal", {"X": a, "Y": b}, dims=[rows, count], result_dtype="bool", axis=-1, force_cpu=False)
        return s.cast(equal, "float32")

    # The operand of higher or equal rank comes first; both are spread to [rows, count] by adding zeros.
    blank = s.values(np.zeros((rows, count), np.float32))
    place = same(s.binary("add", blank, column), s.binary("add", blank, wide))
    named = s.add(
        "reduce_max", {"X": place}, dims=[rows, 1], dim=[1], keep_dim=True, reduce_all=False, in_dtype=-1, out_dtype=-1
    )
    if overwrite:
        order = s.binary("mul", place, s.values(np.arange(1, count + 1, dtype=np.float32).reshape(1, count)))
        last = s.add(
            "reduce_max",
            {"X": order},
            dims=[rows, 1],
            dim=[1],
            keep_dim=True,
            reduce_all=False,
            in_dtype=-1,
            out_dtype=-1,
        )
        place = s.binary("mul", place, same(order, s.binary("add", blank, last)))
    return place, s.scale(named, -1.0, 1.0)


def _constant(editor: Editor, name: str) -> Array | None:
    found = editor.constant(name)
    maker = editor.producer(name)
    if found is not None or maker is None or maker.type != "assign_value":
        return found
    values = attr_of(maker, "int64_values", []) or attr_of(maker, "int32_values", [])
    return np.asarray(values, np.int64) if values else None


def _matmul(s: Speller, op: Any, x: str) -> str | None:
    """A vector gets a batch; batches are made equal, or a batch of ones is left out."""
    y = input_of(op, "Y")
    a, b, out = s.dims(x), s.dims(y), s.dims(output(op))
    turned = {"trans_x": bool(attr_of(op, "trans_x", False)), "trans_y": bool(attr_of(op, "trans_y", False))}
    if len(a) == 1 and len(b) == 2 and not turned["trans_x"]:
        row = s.matmul(s.unsqueeze(x, [0]), y, dims=[1, *out], **turned)
        return s.squeeze(row, [0])
    if len(a) < 3 or len(b) < 3:
        return None
    if set(b[:-2]) == {1} and len(b) <= len(a):
        return s.matmul(x, s.reshape(y, b[-2:]), dims=[*a[:-2], *out[-2:]], **turned)
    if min(*a, *b) < 1:
        return None
    batch = np.broadcast_shapes(a[:-2], b[:-2])  # Paddle declares the batch of one operand alone
    return s.matmul(_expanded(s, x, batch), _expanded(s, y, batch), dims=[*batch, *out[-2:]], **turned)


def _expanded(s: Speller, x: str, batch: tuple[int, ...]) -> str:
    dims = s.dims(x)
    wanted = [*batch, *dims[-2:]]
    if len(dims) < len(wanted):
        x = s.reshape(x, [*[1] * (len(wanted) - len(dims)), *dims])
    return x if s.dims(x) == tuple(wanted) else s.add("expand_v2", {"X": x}, dims=wanted, shape=wanted)


def _yolo_box(editor: Editor, op: Any) -> bool:
    """iou_aware: confidence conf^(1-f) iou^f, as a logit in the place of the box's own."""
    x = input_of(op, "X")
    dims, anchors = editor.dims(x) or (), len(attr_of(op, "anchors", [])) // 2
    each, factor = 5 + int(attr_of(op, "class_num", 0)), float(attr_of(op, "iou_aware_factor", 0.5))
    if len(dims) != 4 or dims[1] != anchors * (each + 1):
        return False
    s = Speller(editor)

    def log_sigmoid(name: str) -> str:
        tail = s.unary("log", s.scale(s.unary("exp", s.scale(s.unary("abs", name), -1.0)), 1.0, 1.0))
        return s.binary("sub", s.scale(s.unary("relu", s.scale(name, -1.0)), -1.0), tail)

    parts = []
    for k in range(anchors):
        start = anchors + k * each
        own = s.scale(log_sigmoid(s.slice(x, 1, start + 4, start + 5)), 1.0 - factor)
        both = s.binary("add", own, s.scale(log_sigmoid(s.slice(x, 1, k, k + 1)), factor))
        rest = s.unary("log", s.scale(s.unary("exp", both), -1.0, 1.0))
        parts += [
            s.slice(x, 1, start, start + 4),
            s.binary("sub", both, rest),
            s.slice(x, 1, start + 5, start + each),
        ]
    give(op, "X", s.concat(parts, 1))
    set_attr(op, "iou_aware", False)
    return around(editor, op, s.ops, [])


TABLE: dict[str, Rule] = {
    "assign_value": spelled(_assign),
    "cast": spelled(_cast),
    "matmul_v2": spelled(_matmul),
    "roll": spelled(_roll),
    "scatter": spelled(_scatter),
    "softplus": spelled(_softplus),
    "yolo_box": _yolo_box,
}
