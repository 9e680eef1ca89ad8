"""fused_attention: what opt makes of an int8 encoder's attention, from the projections to the weighted values.

opt writes it where an encoder was quantised as it was exported; edgeflow's own builds keep the single ops, which take
any batch.
"""

from __future__ import annotations

import math

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate import arm
from edgeflow.emulate.families.linear import integer_matmul
from edgeflow.emulate.graph import Value
from edgeflow.emulate.step import Lowering, Step


def fused_attention(step: Step) -> None:
    """Input INT8[1, L, K] times W [K, 3 * width], the queries' columns first, then keys and values; all three are
    rounded to int8, and so is the softmax of queries times keys plus Residual float32[..., L], a number a key.

    The kernel reads and writes beyond its tensors where there is more than one text, and of a mask that differs from
    token to token it takes the first row alone. Source: kernels/arm/fused_attention_compute.cc, v2.13-rc.

    Raises:
        NbError: more than one text, or sizes that do not fit.
    """
    g, x, weight = step.g, step.x("Input"), step.weight("W")
    heads, size = (int(n) for n in (*step.op.numbers("reshape_shape"), 0, 0, 0, 0)[2:4])
    if x.rank != 3 or weight.ndim != 2 or weight.shape != (x.shape[2], 3 * heads * size) or not size:
        raise NbError(
            f"fused_attention: input {list(x.shape)}, weight {list(weight.shape)}, {heads} heads of {size} do not fit"
        )
    if x.shape[0] != 1:
        raise NbError(
            f"fused_attention: the kernel computes one text at a time, and {x.shape[0]} are given; with more of them "
            "it reads beyond its tensors",
            try_="one text a run; or build the float model with edgeflow, whose int8 files take any number",
        )
    length = x.shape[1]
    whole = g.constant((weight.astype(np.int16) + 128).astype(np.uint8), "uint8")
    acc = integer_matmul(g, g.reshape(x, (length, x.shape[2])), whole)
    scale = np.broadcast_to(step.scale("fc0_scale"), (weight.shape[1],))
    bias = step.weight("Bias").astype(np.float32).ravel()
    joined = arm.quantise(g, arm.fma(g, acc, scale, bias))
    parts = g.transpose(g.reshape(joined, (length, 3, heads, size)), (1, 2, 0, 3))  # [3, heads, L, size]
    queries, keys, values = (_part(step, parts, k) for k in range(3))
    scores = integer_matmul(g, queries, g.transpose(keys, (0, 2, 1)))
    mask = step.x("Residual")
    if math.prod(mask.shape) < length:
        raise NbError(f"fused_attention: the mask {list(mask.shape)} has no number for each of {length} tokens")
    first = g.slice(g.reshape(mask, (math.prod(mask.shape),)), [0], [length], [0])
    factor = float(step.scale("fc1_scale")[0])
    shares = arm.softmax(g, arm.multiply_add(g, g.cast(scores, "float32"), factor, first), 2)
    rounded = arm.quantise(g, g.mul(shares, float(1 / step.scale("calib1_scale")[0])))
    result = arm.fma(g, integer_matmul(g, rounded, values), step.scale("fc2_scale")[:1], None)
    step.out("Out", g.reshape(result, (1, heads, length, size)))


def _part(step: Step, parts: Value, k: int) -> Value:
    cut = step.g.slice(parts, [k], [k + 1], [0])
    return step.g.reshape(cut, cut.shape[1:])


TABLE: dict[str, Lowering] = {"fused_attention": fused_attention}
