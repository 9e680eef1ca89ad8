"""Repairs without which opt 2.13rc0 aborts on a program that PaddlePaddle 2.6.2 exported.

Each repair adds what opt's op classes insist on and changes no number.
Source: Paddle-Lite v2.13-rc lite/operators/{activation_ops,flatten_op,transpose_op,squeeze_op,instance_norm_op}.cc.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from edgeflow.graph.program import (
    add_variable,
    attribute,
    input_of,
    inputs_of,
    output_of,
    outputs_of,
    schema,
    set_float,
    variable,
)
from edgeflow.graph.structure import over_programs

FLOAT_DEFAULTS = {"relu6": ("threshold", 6.0), "swish": ("beta", 1.0)}
"""Attributes that Paddle's own op definition fills in, and the export leaves out."""

NEEDS_XSHAPE = ("flatten_contiguous_range", "transpose2", "squeeze2", "unsqueeze2", "reshape2", "flatten2")
ACTIVATIONS = ("relu", "relu6", "leaky_relu", "hard_swish", "hard_sigmoid", "sigmoid", "tanh", "swish", "prelu")
NEEDS_SAVED = {"instance_norm": ("SavedMean", "SavedVariance")}


@over_programs
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
            if op.type in ("reduce_any", "reduce_all"):
                made[f"{op.type}.dim"] += _int_dim(op)
    made["conv2d.quantization_type"] = _stop_wrong_fusions(program.blocks[0])
    return {name: count for name, count in sorted(made.items()) if count}


def _stop_wrong_fusions(block: Any) -> int:
    """Stop two fusions that opt does with wrong numbers, where the program has what they match.

    A convolution and the 1x1 convolution after it: the new weights are summed over one tap of the kernel instead of
    each (conv_conv_fuser.h ComputeNewWeight). A convolution, its activation and a scale: the scale is folded through
    the activation (conv_scale_fuser.cc). Both leave graphs alone in which any op has the attribute
    `quantization_type`; the value "" means nothing else to opt or to the runtime.
    """
    if any(attribute(op, "quantization_type") is not None for op in block.ops):
        return 0
    readers = _readers(block)
    for op in block.ops:
        if op.type not in ("conv2d", "depthwise_conv2d", "conv2d_transpose"):
            continue
        follower = _next_after_folding(block, readers, op)
        merged = (
            follower is not None
            and follower.type == "conv2d"
            and _kernel(block, follower) == (1, 1)
            and _kernel(block, op) not in ((), (1, 1))
        )
        scaled = follower is not None and follower.type in ACTIVATIONS and _is_scaled(readers, follower)
        if merged or scaled:
            op.attrs.add(name="quantization_type", type=schema().STRING, s="")
            return 1  # one op keeps the whole graph safe
    return 0


Readers = Mapping[str, Sequence[Any]]
"""The ops that read each variable."""


def _readers(block: Any) -> Readers:
    found: dict[str, list[Any]] = {}
    for op in block.ops:
        for name in {name for var in op.inputs for name in var.arguments}:
            found.setdefault(name, []).append(op)
    return found


def _next_after_folding(block: Any, readers: Readers, op: Any) -> Any | None:
    """The sole reader of a convolution's result once its bias and batch norm are folded in."""
    follower = _sole_reader(readers, output_of(op, "Output"))
    while follower is not None and _folds_into_convolution(block, follower):
        follower = _sole_reader(readers, (outputs_of(follower, "Y") or outputs_of(follower, "Out"))[0])
    return follower


def _is_scaled(readers: Readers, activation: Any) -> bool:
    reader = _sole_reader(readers, output_of(activation, "Out"))
    return reader is not None and reader.type == "scale"


def _kernel(block: Any, op: Any) -> tuple[int, ...]:
    weight = variable(block, input_of(op, "Filter"))
    return () if weight is None else tuple(weight.type.lod_tensor.tensor.dims[2:])


def _sole_reader(readers: Readers, name: str) -> Any | None:
    found = readers.get(name, ())
    return found[0] if len(found) == 1 else None


def _folds_into_convolution(block: Any, op: Any) -> bool:
    if op.type == "batch_norm":
        return True
    added = variable(block, input_of(op, "Y"))
    return op.type in ("elementwise_add", "scale") and (
        op.type == "scale" or added is None or added.persistable or "reshape" in added.name
    )


def _add_output(block: Any, op: Any, index: int, parameter: str) -> int:
    """Give an op an output it lacks. The name is free: nothing reads it."""
    if outputs_of(op, parameter):
        return 0
    name = f"edgeflow_{op.type}_{index}_{parameter}"
    source = variable(block, input_of(op, "X"))
    dims = [0, *source.type.lod_tensor.tensor.dims] if parameter == "XShape" and source is not None else [-1]
    if variable(block, name) is None:
        add_variable(block, name, dims)
    for var in op.outputs:
        if var.parameter == parameter:
            var.arguments.append(name)
            return 1
    op.outputs.add(parameter=parameter).arguments.append(name)
    return 1


def _int_dim(op: Any) -> int:
    """reduce_any and reduce_all read their axes as 32-bit integers, and Paddle writes 64 (reduce_ops.cc)."""
    dim = attribute(op, "dim")
    if dim is None or dim.type == schema().INTS:
        return 0
    axes = list(dim.longs)
    dim.ClearField("longs")
    dim.type = schema().INTS
    dim.ints.extend(axes)
    return 1


def _fill_shape(op: Any) -> int:
    """A 0-D constant becomes shape [1]: Paddle Lite has no 0-D tensors."""
    shape = attribute(op, "shape")
    has_tensor = any(inputs_of(op, name) for name in ("ShapeTensor", "ShapeTensorList"))
    if shape is None or has_tensor:
        return 0
    if shape.type == schema().LONGS and not shape.longs:
        shape.longs.append(1)
        return 1
    if shape.type == schema().INTS and not shape.ints:
        shape.ints.append(1)
        return 1
    return 0
