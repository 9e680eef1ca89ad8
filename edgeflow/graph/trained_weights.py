"""Weights that no trained model has: NaN, infinity in a layer, a layer of nothing but zeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgeflow.core.errors import ModelError
from edgeflow.core.samples import Array
from edgeflow.graph.edit import output

MATRICES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("conv2d", "depthwise_conv2d", "conv2d_transpose", "depthwise_conv2d_transpose"), ("Filter",)),
    **dict.fromkeys(("conv3d", "conv3d_transpose"), ("Filter",)),
    "mul": ("Y",),
    "matmul": ("X", "Y"),
    "matmul_v2": ("X", "Y"),
    "fc": ("W",),
}
"""Layers that give nothing where this weight is zero. Biases, masks and shifts may well be zero."""

OTHERS: dict[str, tuple[str, ...]] = {
    "batch_norm": ("Scale", "Bias", "Mean", "Variance"),
    "layer_norm": ("Scale", "Bias"),
    "group_norm": ("Scale", "Bias"),
    "instance_norm": ("Scale", "Bias"),
    "prelu": ("Alpha",),
    "lookup_table_v2": ("W",),
    "rnn": ("WeightList",),
}
"""Further inputs in which infinity is a fault. A mask that is added may hold it."""


def validate_weights(program: Any, weights: Mapping[str, Array], where: str) -> None:
    """Look at every weight that an op reads.

    Raises:
        ModelError: one holds NaN or infinity, or a convolution or fully connected layer is all zeros; names it.
    """
    layers = {output(op) for op in program.blocks[0].ops if op.type in MATRICES}
    finite: dict[str, bool] = {}
    for op in program.blocks[0].ops:
        for var in op.inputs:
            for name in var.arguments:
                array = weights.get(name)
                if array is None or array.dtype.kind != "f":
                    continue
                if name not in finite:
                    finite[name] = bool(np.isfinite(array).all())
                if not finite[name]:
                    _finite(op, var.parameter, name, array, layers, where)
                if var.parameter in MATRICES.get(op.type, ()) and array.ndim > 1 and array.size and not array.any():
                    raise ModelError(
                        f"{where}: the weight {name!r} of {op.type} is zero throughout: the layer computes nothing",
                        try_="check that the trained weights were loaded before the export; take such a layer out",
                    )


def _finite(op: Any, parameter: str, name: str, array: Array, layers: set[str], where: str) -> None:
    bias = op.type == "elementwise_add" and any(other in layers for var in op.inputs for other in var.arguments)
    computes = bias or parameter in (*MATRICES.get(op.type, ()), *OTHERS.get(op.type, ()))
    nan = int(np.isnan(array).sum())
    if nan or computes:
        what = f"{nan} NaN" if nan else f"{int(np.isinf(array).sum())} infinite"
        raise ModelError(
            f"{where}: the weight {name!r} of {op.type} holds {what} of {array.size} values",
            try_="export the weights of an earlier checkpoint: the training diverged, or the file is damaged",
        )
