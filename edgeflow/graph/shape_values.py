"""Sizes that a program computes while it runs, though its dims say them already: found, and written as attributes.

Exports spell `x.reshape([x.shape[0], -1])` as shape, slice, cast, concat and a reshape that takes a tensor. NPUs have
none of these ops, and each splits the graph. What is not known, such as an open batch, stays None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgeflow.graph.edit import Editor, attr_of, output, set_attr
from edgeflow.graph.program import attribute, input_of, inputs_of, schema

Sizes = list[int | None]
MOST = 64
"""Numbers of one such tensor: a few more than any tensor has dims."""

DEPTH_MAX = 64
"""Ops from a shape to where it is used; the longest chains met have 9."""

TENSORS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "reshape2": (("shape", ("ShapeTensor", "Shape")),),
    "reshape": (("shape", ("ShapeTensor", "Shape")),),
    "expand_v2": (("shape", ("Shape", "expand_shapes_tensor")),),
    "tile": (("repeat_times", ("RepeatTimes", "repeat_times_tensor")),),
    "slice": (("starts", ("StartsTensor", "StartsTensorList")), ("ends", ("EndsTensor", "EndsTensorList"))),
    "strided_slice": (
        ("starts", ("StartsTensor", "StartsTensorList")),
        ("ends", ("EndsTensor", "EndsTensorList")),
        ("strides", ("StridesTensor", "StridesTensorList")),
    ),
    "fill_constant": (("shape", ("ShapeTensor", "ShapeTensorList")),),
    "crop_tensor": (("shape", ("Shape", "ShapeTensor")), ("offsets", ("Offsets", "OffsetsTensor"))),
    "split": (("sections", ("SectionsTensorList",)), ("axis", ("AxisTensor",))),
    "top_k_v2": (("k", ("K",)),),
    "one_hot_v2": (("depth", ("depth_tensor",)),),
    "unsqueeze2": (("axes", ("AxesTensor", "AxesTensorList")),),
    "pad3d": (("paddings", ("Paddings",)),),
}
"""Op: attribute, and the inputs that are read in its place where they are given, the first before the second."""

INTERPOLATIONS = ("nearest_interp", "bilinear_interp", "bicubic_interp", "linear_interp", "trilinear_interp")
SINGLE = ("axis", "k", "depth")


def fold_shapes(editor: Editor) -> int:
    """Write known sizes into attributes; the ops that computed them go.

    Returns:
        How many ops take an attribute now where they took a tensor, or became a constant.
    """
    made = 0
    for op in list(editor.ops):
        if op.type in TENSORS:
            made += sum(_write(editor, op, name, inputs) for name, inputs in TENSORS[op.type])
        elif op.type.removesuffix("_v2") in INTERPOLATIONS:
            made += _write_size(editor, op)
    if made:
        editor.touch()
    for op in [op for op in editor.ops if op.type in ("slice", "gather") and editor.readers.get(output(op))]:
        found, name = known(editor, output(op)), output(op)
        if found is None or None in found or editor.is_fetched(name) or not _of_shape(editor, op):
            continue
        constant = np.asarray(found, editor.dtype(name)).reshape(editor.dims(name) or (1,))
        made += editor.replace(op, lambda s, constant=constant: s.values(constant))  # type: ignore[misc]
    return made


def known(editor: Editor, name: str, depth: int = 0) -> Sizes | None:
    """Value of a tensor of at most one dimension, None for each number that only running tells; None where it is no
    such tensor.
    """
    dims = editor.dims(name)
    if dims is None or len(dims) > 1 or depth > DEPTH_MAX or editor.dtype(name) not in ("int32", "int64"):
        return None
    constant = editor.constant(name)
    if constant is not None:
        return [int(v) for v in constant.ravel()] if constant.size <= MOST else None
    op = editor.producer(name)
    rule = RULES.get(op.type) if op is not None else None
    found = rule(editor, op, depth + 1) if rule is not None else None
    return found if found is not None and len(found) <= MOST else None


def _of_shape(editor: Editor, op: Any) -> bool:
    source = editor.producer((inputs_of(op, "Input") or inputs_of(op, "X"))[0])
    while source is not None and source.type == "cast":  # to int64, in which ONNX counts
        source = editor.producer(input_of(source, "X"))
    return source is not None and source.type == "shape"


# How each op makes sizes of sizes.


def _shape(editor: Editor, op: Any, depth: int) -> Sizes | None:
    dims = editor.dims(input_of(op, "Input"))
    return None if dims is None else [None if d < 0 else d for d in dims]


def _filled(editor: Editor, op: Any, depth: int) -> Sizes | None:
    if any(var.arguments for var in op.inputs):
        return None
    count, text = math.prod(attr_of(op, "shape", []) or [1]), attr_of(op, "str_value", "")
    number = float(text) if text else float(attr_of(op, "value", 0.0))
    return [int(number)] * count if count <= MOST and number.is_integer() else None


def _assigned(editor: Editor, op: Any, depth: int) -> Sizes | None:
    for key in ("int32_values", "int64_values"):
        if found := attr_of(op, key, []):
            return [int(v) for v in found]
    attr = attribute(op, "values")
    return None if attr is None else [int(scalar.i) for scalar in attr.scalars]


def _same(editor: Editor, op: Any, depth: int) -> Sizes | None:
    if any(var.arguments for var in op.inputs if var.parameter != "X"):
        return None
    return known(editor, input_of(op, "X"), depth)


def _slice(editor: Editor, op: Any, depth: int) -> Sizes | None:
    found = known(editor, input_of(op, "Input"), depth)
    if found is None or attr_of(op, "axes", []) != [0] or len([v for v in op.inputs if v.arguments]) > 1:
        return None
    start, end = attr_of(op, "starts", [0]), attr_of(op, "ends", [MOST])
    step = attr_of(op, "strides", []) or [1]
    return found[start[0] : end[0] : step[0]] if len(start) == len(end) == len(step) == 1 and step[0] else None


def _joined(editor: Editor, op: Any, depth: int) -> Sizes | None:
    parts = [known(editor, name, depth) for name in inputs_of(op, "X")]
    if int(attr_of(op, "axis", 0)) != 0 or inputs_of(op, "AxisTensor"):
        return None
    return [number for part in parts if part is not None for number in part] if None not in parts else None


def _gathered(editor: Editor, op: Any, depth: int) -> Sizes | None:
    found, at = (known(editor, input_of(op, key), depth) for key in ("X", "Index"))
    if found is None or at is None or any(k is None or not 0 <= k < len(found) for k in at):
        return None
    return [found[k] for k in at if k is not None]


def _scaled(editor: Editor, op: Any, depth: int) -> Sizes | None:
    found = _same(editor, op, depth)
    factor, shift = float(attr_of(op, "scale", 1.0)), float(attr_of(op, "bias", 0.0))
    if found is None or not (factor.is_integer() and shift.is_integer()):
        return None
    if not attr_of(op, "bias_after_scale", True):
        shift *= factor
    return [None if v is None else v * int(factor) + int(shift) for v in found]


def _product(editor: Editor, op: Any, depth: int) -> Sizes | None:
    found = _same(editor, op, depth)
    return None if found is None or None in found else [math.prod(v for v in found if v is not None)]


def _pairs(combine: Callable[[int, int], int | None]) -> Callable[[Editor, Any, int], Sizes | None]:
    def rule(editor: Editor, op: Any, depth: int) -> Sizes | None:
        x, y = (known(editor, input_of(op, key), depth) for key in ("X", "Y"))
        if x is None or y is None or (len(x) != len(y) and 1 not in (len(x), len(y))):
            return None
        count = max(len(x), len(y))
        pairs = zip(x * count if len(x) == 1 else x, y * count if len(y) == 1 else y, strict=True)
        return [None if a is None or b is None else combine(a, b) for a, b in pairs]

    return rule


def _quotient(a: int, b: int) -> int | None:
    return a // b if a >= 0 and b > 0 else None  # Paddle rounds negative ones by op and version


RULES: dict[str, Callable[[Editor, Any, int], Sizes | None]] = {
    "shape": _shape,
    "fill_constant": _filled,
    "assign_value": _assigned,
    "slice": _slice,
    "strided_slice": _slice,
    "concat": _joined,
    "stack": _joined,
    "gather": _gathered,
    "scale": _scaled,
    "reduce_prod": _product,
    "elementwise_add": _pairs(lambda a, b: a + b),
    "elementwise_sub": _pairs(lambda a, b: a - b),
    "elementwise_mul": _pairs(lambda a, b: a * b),
    "elementwise_max": _pairs(max),
    "elementwise_min": _pairs(min),
    "elementwise_div": _pairs(_quotient),
    "elementwise_floordiv": _pairs(_quotient),
    **dict.fromkeys(("cast", "assign", "reshape2", "squeeze2", "unsqueeze2", "flatten_contiguous_range"), _same),
}


# Where sizes go.


def _write(editor: Editor, op: Any, name: str, inputs: Sequence[str]) -> bool:
    """Write one attribute, where every number is known; of a reshape, all but one."""
    given = next((key for key in inputs if inputs_of(op, key)), None)
    if given is None:
        return False
    parts = [known(editor, source, 0) for source in inputs_of(op, given)]
    if None in parts:
        return False
    sizes = [number for part in parts if part is not None for number in part]
    if op.type in ("reshape2", "reshape") and sizes.count(None) == 1 and -1 not in sizes:
        sizes = [-1 if v is None else v for v in sizes]  # what is left over: the same number, or no reshape at all
    if None in sizes or not sizes or (name in SINGLE and len(sizes) != 1):
        return False
    _set(op, name, sizes[0] if name in SINGLE else sizes)
    if op.type in ("slice", "strided_slice"):
        set_attr(op, "infer_flags", [1] * len(attr_of(op, "axes", sizes)))
    for index in reversed(range(len(op.inputs))):
        if op.inputs[index].parameter in inputs:
            del op.inputs[index]
    return True


def _write_size(editor: Editor, op: Any) -> bool:
    """out_d, out_h and out_w of a resize, which stand before its scale."""
    given = next((key for key in ("SizeTensor", "OutSize") if inputs_of(op, key)), None)
    if given is None:
        return False
    parts = [known(editor, source, 0) for source in inputs_of(op, given)]
    sizes = [number for part in parts if part is not None for number in part] if None not in parts else [None]
    if None in sizes or not 1 <= len(sizes) <= 3:
        return False
    for key, size in zip(("out_d", "out_h", "out_w")[-len(sizes) :], sizes, strict=True):
        _set(op, key, size)
    if (factor := attribute(op, "scale")) is not None:  # the sizes count, as they did when they were tensors
        factor.ClearField("floats")
        factor.ClearField("f")
        if factor.type == schema().FLOAT:
            factor.f = 0.0
    for index in reversed(range(len(op.inputs))):
        if op.inputs[index].parameter in ("SizeTensor", "OutSize", "Scale"):
            del op.inputs[index]
    return True


def _set(op: Any, name: str, given: Any) -> None:
    """Overwrite an attribute in the kind that it has: 64-bit lists stay such."""
    attr = attribute(op, name)
    if attr is not None and attr.type == schema().LONGS:
        del attr.longs[:]
        attr.longs.extend(given)
    else:
        set_attr(op, name, given)
