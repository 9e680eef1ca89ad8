"""Repairs without which opt 2.13rc0 aborts on a program that PaddlePaddle 2.6.2 exported.

Each repair adds what opt's op classes insist on and changes no number.
Source: Paddle-Lite v2.13-rc lite/operators/{activation_ops,flatten_op,transpose_op,squeeze_op,instance_norm_op}.cc.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from edgeflow.graph.program import add_variable, arguments, attribute, schema, set_float, variable

FLOAT_DEFAULTS = {"relu6": ("threshold", 6.0), "swish": ("beta", 1.0)}
"""Attributes that Paddle's own op definition fills in, and the export leaves out."""

NEEDS_XSHAPE = ("flatten_contiguous_range", "transpose2", "squeeze2", "unsqueeze2", "reshape2", "flatten2")
NEEDS_SAVED = {"instance_norm": ("SavedMean", "SavedVariance")}


def legalise(program: Any) -> dict[str, int]:
    """Repair a program in place.

    Returns:
        How often each repair was made, such as {"relu6.threshold": 3}.
    """
    made: Counter[str] = Counter()
    for block in program.blocks:
        for index, op in enumerate(block.ops):
            if op.type in FLOAT_DEFAULTS:
                name, value = FLOAT_DEFAULTS[op.type]
                if attribute(op, name) is None:
                    set_float(op, name, value)
                    made[f"{op.type}.{name}"] += 1
            if op.type in NEEDS_XSHAPE:
                made[f"{op.type}.XShape"] += _add_output(block, op, index, "XShape")
            for name in NEEDS_SAVED.get(op.type, ()):
                made[f"{op.type}.{name}"] += _add_output(block, op, index, name)
            if op.type == "fill_constant":
                made["fill_constant.shape"] += _fill_shape(op)
    return {name: count for name, count in sorted(made.items()) if count}


def _add_output(block: Any, op: Any, index: int, parameter: str) -> int:
    """Give an op an output it lacks. The name is free: nothing reads it."""
    if arguments(op.outputs, parameter):
        return 0
    name = f"edgeflow_{op.type}_{index}_{parameter}"
    source = variable(block, (arguments(op.inputs, "X") or [""])[0])
    dims = [0, *source.type.lod_tensor.tensor.dims] if parameter == "XShape" and source is not None else [-1]
    if variable(block, name) is None:
        add_variable(block, name, dims)
    for var in op.outputs:
        if var.parameter == parameter:
            var.arguments.append(name)
            return 1
    op.outputs.add(parameter=parameter).arguments.append(name)
    return 1


def _fill_shape(op: Any) -> int:
    """A 0-D constant becomes shape [1]: Paddle Lite has no 0-D tensors."""
    shape = attribute(op, "shape")
    has_tensor = any(arguments(op.inputs, name) for name in ("ShapeTensor", "ShapeTensorList"))
    if shape is None or has_tensor:
        return 0
    if shape.type == schema().LONGS and not shape.longs:
        shape.longs.append(1)
        return 1
    if shape.type == schema().INTS and not shape.ints:
        shape.ints.append(1)
        return 1
    return 0
