"""Reductions, the largest's place, and the smallest few."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeflow.graph.edit import Editor, Speller, attr_of, output, set_attr
from edgeflow.graph.program import input_of, inputs_of, output_of
from edgeflow.graph.respellings.rule import Rule, around, can_reshape, give, product, spelled

PAIRS = ((2, 3), (1, 2), (0, 1))
"""Two axes of four dimensions that every reduction takes at once."""


def _reduce(s: Speller, op: Any, x: str) -> str | None:
    """One axis at a time, or a pair that the kernels have; more than four dimensions are merged to three."""
    dims, kind, out = s.dims(x), s.editor.dtype(x), output(op)
    if not dims or any(inputs_of(op, name) for name in ("AxisTensor", "AxisTensorList")):
        return None
    if kind != s.editor.dtype(out):
        return None
    rank = len(dims)
    given = attr_of(op, "dim", [])
    axes = sorted({a % rank for a in given}) if given and not attr_of(op, "reduce_all", False) else list(range(rank))
    four = rank <= 4 and (op.type != "reduce_prod" or rank == 4)
    result = _stepwise(s, op.type, x, axes) if four else _merged(s, op.type, x, axes)
    if result is None or attr_of(op, "keep_dim", False):
        return result
    gone = axes if len(axes) < rank else axes[1:]
    if not gone:
        return result
    left = [size for k, size in enumerate(s.dims(result)) if k not in gone]
    return s.squeeze(result, gone) if rank <= 4 or not can_reshape(left) else s.reshape(result, left)


def _stepwise(s: Speller, kind: str, x: str, axes: list[int]) -> str:
    left = list(axes)
    while left:
        pair = next((p for p in PAIRS if len(s.dims(x)) == 4 and set(p) <= set(left)), None)
        taken = pair or (left[-1],)
        x = _one(s, kind, x, taken)
        left = [axis for axis in left if axis not in taken]
    return x


def _one(s: Speller, kind: str, x: str, axes: tuple[int, ...]) -> str:
    dims = [1 if k in axes else size for k, size in enumerate(s.dims(x))]
    return s.add(kind, {"X": x}, dims=dims, dim=list(axes), keep_dim=True, reduce_all=False, in_dtype=-1, out_dtype=-1)


def _merged(s: Speller, kind: str, x: str, axes: list[int]) -> str | None:
    """Each run of neighbouring axes as the middle one of three dimensions, or of four for reduce_prod."""
    dims = list(s.dims(x))
    leading = [1] if kind == "reduce_prod" else []
    while axes:
        first = last = axes[0]
        while last + 1 in axes:
            last += 1
        parts = [*leading, product(dims[:first]), product(dims[first : last + 1]), product(dims[last + 1 :])]
        dims[first : last + 1] = [1] * (last + 1 - first)
        if not can_reshape(parts) or not can_reshape(dims):
            return None
        x = s.reshape(_one(s, kind, s.reshape(x, parts), (len(leading) + 1,)), dims)
        axes = [axis for axis in axes if axis > last]
    return x


def _arg_max(s: Speller, op: Any, x: str) -> str:
    """Over everything: along one long row."""
    size = product(s.dims(x))
    found = s.add(
        "arg_max",
        {"X": s.reshape(x, [1, size])},
        dims=[1],
        result_dtype=s.editor.dtype(output(op)),
        axis=np.int64(1),
        keepdims=False,
        flatten=False,
        dtype=int(attr_of(op, "dtype", 3)),
    )
    return s.reshape(found, [1] * len(s.dims(x))) if attr_of(op, "keepdims", False) and len(s.dims(x)) > 1 else found


def _smallest(editor: Editor, op: Any) -> bool:
    """The smallest are the largest of the negated values."""
    x, out = input_of(op, "X"), output_of(op, "Out")
    if editor.dtype(x) != "float32":
        return False
    s = Speller(editor)
    turned = s.scale(x, -1.0)
    before, s.ops = s.ops, []
    found = editor.fresh("top_k")
    editor.declare(found, editor.dims(out) or ())
    give(op, "X", turned)
    give(op, "Out", found, of_outputs=True)
    set_attr(op, "largest", True)
    after = s.write("scale", {"X": found}, {"Out": out}, scale=-1.0, bias=0.0, bias_after_scale=True)
    return around(editor, op, before, [after])


TABLE: dict[str, Rule] = {
    **{f"reduce_{name}": spelled(_reduce) for name in ("max", "min", "mean", "sum", "prod", "all", "any")},
    "arg_max": spelled(_arg_max),
    "top_k_v2": _smallest,
}
