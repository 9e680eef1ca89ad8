"""Rewrites after which opt can fuse; each keeps every number (tests run both programs and compare)."""

from __future__ import annotations

from typing import Any

from edgeflow.graph.program import arguments, attribute, consumers, producer, set_int, variable

CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "conv2d_transpose")


def canonicalise(program: Any) -> dict[str, int]:
    """Rewrite a program in place.

    Returns:
        How often each rewrite was made, such as {"conv_bias": 2}.
    """
    made = {"conv_bias": fold_conv_bias(program.blocks[0])}
    return {name: count for name, count in made.items() if count}


def fold_conv_bias(block: Any) -> int:
    """conv + add(reshape2(bias)) becomes conv + add(bias, axis=1), which opt fuses into the conv.

    Paddle 2.6 exports nn.Conv2D's bias as a reshape2 to [1, C, 1, 1] and an elementwise_add; opt's fusion wants the
    one-dimensional bias at axis 1 (Paddle-Lite v2.13-rc conv_elementwise_fuser.cc). LeNet: 11 -> 7 ops on ARM.
    """
    done: list[Any] = []
    for op in block.ops:
        if op.type != "elementwise_add":
            continue
        x, y = arguments(op.inputs, "X"), arguments(op.inputs, "Y")
        reshape = producer(block, y[0]) if y else None
        conv = producer(block, x[0]) if x else None
        if reshape is None or conv is None or reshape.type != "reshape2" or conv.type not in CONVOLUTIONS:
            continue
        bias = variable(block, arguments(reshape.inputs, "X")[0])
        shape = attribute(reshape, "shape")
        if bias is None or not bias.persistable or shape is None:
            continue
        dims = list(bias.type.lod_tensor.tensor.dims)
        wanted = list(shape.ints) or list(shape.longs)
        if len(dims) != 1 or wanted not in ([1, dims[0], 1, 1], [1, -1, 1, 1]) or consumers(block, y[0]) == []:
            continue
        for var in op.inputs:
            if var.parameter == "Y":
                var.arguments[0] = bias.name
        set_int(op, "axis", 1)
        done.append(reshape)
    removable = [op for op in done if not consumers(block, arguments(op.outputs, "Out")[0])]
    names = {name for op in removable for var in op.outputs for name in var.arguments}
    keep = [op for op in block.ops if not any(op is gone for gone in removable)]
    if len(keep) != len(block.ops):
        copies = [type(op).FromString(op.SerializeToString()) for op in keep]
        del block.ops[:]
        block.ops.extend(copies)
        variables = [type(v).FromString(v.SerializeToString()) for v in block.vars if v.name not in names]
        del block.vars[:]
        block.vars.extend(variables)
    return len(done)
