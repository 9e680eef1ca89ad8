"""Activations, scales and softmax of the float16 kernels, each step rounded as they round it.

Source: Paddle-Lite v2.13-rc lite/kernels/arm/{activation,activation_extra,scale,batch_norm,softmax}_compute.cc and
lite/backends/arm/math/{fp16/activation_fp16.cc,fp16/softmax_fp16.cc,scale.cc}, compiled by gcc 12 with the library's
flags. What is taken one by one after the last whole vector is computed in float32 and rounded once.
"""

from __future__ import annotations

import math

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate import half
from edgeflow.emulate.arm import fused_activation, round16
from edgeflow.emulate.graph import Graph, Value
from edgeflow.emulate.step import Lowering, Step


def sigmoid(step: Step) -> None:
    """Four and more at a time: 1 / (1 + exp(-x)), with float16's own exp."""
    g, x = step.g, step.x("X")
    vector = half.div(g, g.scalar(1.0), half.add(g, half.exp(g, g.add("Neg", x)), 1.0))
    step.out("Out", half.lanes(g, vector, g.add("Sigmoid", x), math.prod(x.shape), 4))


def swish(step: Step) -> None:
    g, x, beta = step.g, step.x("X"), half.rounded(float(step.attr("beta", 1.0)))
    vector = half.div(g, x, half.add(g, half.exp(g, g.add("Neg", half.mul(g, x, beta))), 1.0))
    exact = g.mul(x, g.add("Sigmoid", g.mul(x, beta)))
    step.out("Out", half.lanes(g, vector, exact, math.prod(x.shape), 4))


def tanh(step: Step) -> None:
    """Eight at a time: (e^x - e^-x) / (e^x + e^-x); beyond 11.1 float16's e^x is infinite, and the result no number."""
    g, x = step.g, step.x("X")
    bounded = g.clip(x, -half.rounded(70.00008), half.rounded(70.00008))
    up, down = (round16(g, g.add("Exp", v)) for v in (bounded, g.add("Neg", bounded)))
    vector = half.divide(g, half.sub(g, up, down), half.add(g, up, down))
    step.out("Out", half.lanes(g, vector, g.add("Tanh", x), math.prod(x.shape), 8))


def hard_sigmoid(step: Step) -> None:
    g, x = step.g, step.x("X")
    slope, offset = float(step.attr("slope", 0.2)), float(step.attr("offset", 0.5))
    vector = half.fma(g, half.rounded(offset), x, half.rounded(slope))
    exact = round16(g, g.plus(g.mul(x, slope), offset))
    step.out("Out", g.clip(half.lanes(g, vector, exact, math.prod(x.shape), 8), 0.0, 1.0))


def hard_swish(step: Step) -> None:
    g, x = step.g, step.x("X")
    scale, offset = float(step.attr("scale", 6.0)), float(step.attr("offset", 3.0))
    threshold = float(step.attr("threshold", 6.0))
    inverse = float(np.float32(1.0 / scale))
    gate = g.clip(half.add(g, x, half.rounded(offset)), 0.0, half.rounded(threshold))
    vector = half.mul(g, half.mul(g, x, half.rounded(inverse)), gate)
    exact = g.mul(g.mul(g.clip(g.plus(x, offset), 0.0, threshold), x), inverse)
    step.out("Out", half.lanes(g, vector, exact, math.prod(x.shape), 8))


def scale(step: Step) -> None:
    """Attributes become float16 first: an infinite factor turns into 0, an infinite bias stays.

    Source: scale_compute.cc ScaleCompute::Run.
    """
    g, x = step.g, step.x("X")
    if step.maybe("ScaleTensor") is not None:
        raise NbError("scale: the float16 kernel knows no factor from a tensor")
    factor, bias = (half.rounded(float(step.attr(name, default))) for name, default in (("scale", 1.0), ("bias", 0.0)))
    if not step.attr("bias_after_scale", True):
        with np.errstate(all="ignore"):
            bias = half.rounded(float(np.float32(bias) * np.float32(factor)))
    factor = 0.0 if math.isinf(factor) else factor
    y = half.fma(g, bias, x, factor)
    kind, alpha = fused_activation(step).kind, half.rounded(float(step.attr("alpha", 6.0)))
    step.out("Out", half.activate(g, y, half.Fused(kind, alpha)))


def batch_norm(step: Step) -> None:
    """One factor and one bias a channel, computed in float32 and rounded; then a fused multiply-add."""
    g, x = step.g, step.x("X")
    gain, shift, mean, variance = (
        step.weight(name).astype(np.float32).ravel() for name in ("Scale", "Bias", "Mean", "Variance")
    )
    with np.errstate(all="ignore"):
        inverse = np.float32(1) / np.sqrt(variance + np.float32(step.attr("epsilon", 1e-5)))
        bias = (shift - inverse * gain * mean).astype(np.float16).astype(np.float32)
        factor = (inverse * gain).astype(np.float16).astype(np.float32)
    shape = (1, x.shape[1]) + (1,) * (x.rank - 2)
    step.out("Y", half.fma(g, g.constant(bias.reshape(shape)), x, g.constant(factor.reshape(shape))))


def softmax(step: Step) -> None:
    """Source: softmax_compute.cc: which kernel takes which axis."""
    g, x = step.g, step.x("X")
    axis = step.axis(step.attr("axis", -1), x.rank)
    inner, size = math.prod(x.shape[axis + 1 :]), x.shape[axis]
    outer = math.prod(x.shape[:axis])
    flat = g.reshape(x, (outer, size, inner))
    top = g.reduce("ReduceMax", flat, [1], keep=True)
    if inner == 1 and size >= 8:
        result = _last_axis(g, flat, top)
    else:
        vectors = inner > 1 and inner % 8 == 0
        apart = half.sub(g, flat, top) if vectors else g.add("Sub", flat, top)
        powers = round16(g, g.add("Exp", apart))
        total = _in_turn(g, powers, pairs=vectors and size == 4)
        if vectors:
            result = half.mul(g, powers, half.divide(g, None, total))
        elif inner == 1:
            result = half.div(g, powers, total)
        else:
            result = half.mul(g, powers, round16(g, g.add("Reciprocal", total)))
    step.out("Out", g.reshape(result, x.shape))


def _in_turn(g: Graph, powers: Value, *, pairs: bool) -> Value:
    parts = [g.slice(powers, (i,), (i + 1,), (1,)) for i in range(powers.shape[1])] if pairs else []
    if pairs:
        return half.pairwise(g, parts)
    outer, size, inner = powers.shape
    left = g.transpose(powers, (1, 0, 2))
    start = g.add("Expand", g.constant(np.zeros(1, np.float32)), g.ints((outer, inner)))
    ones = g.constant(np.ones((size, 1, 1), np.float32))
    return g.reshape(half.accumulate(g, start, left, ones), (outer, 1, inner))


def _last_axis(g: Graph, x: Value, top: Value) -> Value:
    """Eight sums side by side, then four, then one; multiplied by the 8-bit estimate of the reciprocal.

    Source: softmax_fp16.cc softmax_inner1_large_axis_fp16.
    """
    outer, size, _ = x.shape
    whole, four = size // 8 * 8, size % 8 >= 4
    done = whole + (4 if four else 0)
    apart = half.sub(g, x, top)
    if done < size:
        mask = (np.arange(size) < done).reshape(1, size, 1)
        apart = g.add("Where", g.constant(mask, "bool"), apart, g.add("Sub", x, top))
    flat = g.reshape(round16(g, g.add("Exp", apart)), (outer, size))

    def zero(width: int) -> Value:
        return g.add("Expand", g.constant(np.zeros(1, np.float32)), g.ints((outer, width)))

    stacked = g.transpose(g.reshape(g.slice(flat, (0,), (whole,), (1,)), (outer, whole // 8, 8)), (1, 0, 2))
    ones = g.constant(np.ones((whole // 8, 1, 1), np.float32))
    eight = half.accumulate(g, zero(8), stacked, ones)
    sums = half.add(g, g.slice(eight, (4,), (8,), (1,)), g.slice(eight, (0,), (4,), (1,)))
    if four:
        sums = half.add(g, sums, g.slice(flat, (whole,), (whole + 4,), (1,)))
    total = round16(g, g.reduce("ReduceSum", sums, [1], keep=True))
    for index in range(done, size):
        total = half.add(g, total, g.slice(flat, (index,), (index + 1,), (1,)))
    vector = half.mul(g, flat, half.estimate(g, total))
    if done == size:
        return vector
    mask = np.arange(size) < done
    return g.add("Where", g.constant(mask, "bool"), vector, half.div(g, flat, total))


TABLE: dict[str, Lowering] = {
    "sigmoid": sigmoid,
    "swish": swish,
    "tanh": tanh,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": hard_swish,
    "scale": scale,
    "batch_norm": batch_norm,
    "softmax": softmax,
}
