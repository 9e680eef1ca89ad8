"""Normalisation: batch, layer, instance, group, L2 and local response."""

from __future__ import annotations

import math

import numpy as np

from edgeflow.emulate.arm import multiply_add
from edgeflow.emulate.graph import Graph, Value
from edgeflow.emulate.step import Lowering, Step


def batch_norm(step: Step) -> None:
    """y = (x - mean) / sqrt(variance + epsilon) * scale + bias, folded into one factor and one offset.

    Source: kernels/arm/batch_norm_compute.cc, v2.13-rc: a fused multiply-add.
    """
    g, x = step.g, step.x("X")
    names = ("Scale", "Bias", "Mean", "Variance")
    gamma, beta, mean, variance = (step.weight(name).astype(np.float32) for name in names)
    factor = (gamma / np.sqrt(variance + np.float32(step.attr("epsilon", 1e-5)))).astype(np.float32)
    offset = (beta - mean * factor).astype(np.float32)
    shape = (-1,) + (1,) * (x.rank - 2) if x.rank > 1 else (-1,)
    step.out("Y", multiply_add(g, x, g.constant(factor.reshape(shape)), g.constant(offset.reshape(shape))))


def _normalised(g: Graph, x: Value, axes: list[int], epsilon: float) -> Value:
    mean = g.reduce("ReduceMean", x, axes, keep=True)
    centred = g.add("Sub", x, mean)
    variance = g.reduce("ReduceMean", g.mul(centred, centred), axes, keep=True)
    return g.add("Div", centred, g.add("Sqrt", g.plus(variance, epsilon)))


def layer_norm(step: Step) -> None:
    g, x = step.g, step.x("X")
    axis = step.axis(step.attr("begin_norm_axis", 1), x.rank)
    y = _normalised(g, x, list(range(axis, x.rank)), float(step.attr("epsilon", 1e-5)))
    for name, op in (("Scale", "Mul"), ("Bias", "Add")):
        if (weight := step.maybe(name)) is not None:
            y = g.add(op, y, g.reshape(weight, x.shape[axis:]))
    step.out("Y", y)


def instance_norm(step: Step) -> None:
    g, x = step.g, step.x("X")
    y = _normalised(g, x, list(range(2, x.rank)), float(step.attr("epsilon", 1e-5)))
    step.out("Y", _channel_affine(step, y))


def group_norm(step: Step) -> None:
    g, x = step.g, step.x("X")
    groups = int(step.attr("groups", 1))
    grouped = g.reshape(x, (x.shape[0], groups, math.prod(x.shape[1:]) // max(groups, 1)))
    y = _normalised(g, grouped, [2], float(step.attr("epsilon", 1e-5)))
    step.out("Y", _channel_affine(step, g.reshape(y, x.shape)))


def _channel_affine(step: Step, y: Value) -> Value:
    shape = (y.shape[1],) + (1,) * (y.rank - 2)
    for name, op in (("Scale", "Mul"), ("Bias", "Add")):
        if (weight := step.maybe(name)) is not None:
            y = step.g.add(op, y, step.g.reshape(weight, shape))
    return y


def affine_channel(step: Step) -> None:
    g, x = step.g, step.x("X")
    shape = (x.shape[1],) + (1,) * (x.rank - 2)
    step.out("Out", g.plus(g.mul(x, g.reshape(step.x("Scale"), shape)), g.reshape(step.x("Bias"), shape)))


def norm(step: Step) -> None:
    """x / sqrt(sum(x^2) + epsilon) along one axis."""
    g, x = step.g, step.x("X")
    axis = step.axis(step.attr("axis", 1), x.rank)
    total = g.reduce("ReduceSumSquare", x, [axis], keep=True)
    size = g.add("Sqrt", g.plus(total, float(step.attr("epsilon", 1e-10))))
    step.out("Norm", size)
    step.out("Out", g.add("Div", x, size))


def p_norm(step: Step) -> None:
    g, x = step.g, step.x("X")
    order, keep = float(step.attr("porder", 2.0)), bool(step.attr("keepdim", False))
    axes = list(range(x.rank)) if step.attr("asvector", False) else [step.axis(step.attr("axis", -1), x.rank)]
    magnitude = g.add("Abs", x)
    if math.isinf(order):
        y = g.reduce("ReduceMax" if order > 0 else "ReduceMin", magnitude, axes, keep)
    elif order == 0:
        y = g.reduce("ReduceSum", g.cast(g.add("Greater", magnitude, g.scalar(0.0)), "float32"), axes, keep)
    elif order == 1:
        y = g.reduce("ReduceSum", magnitude, axes, keep)
    elif order == 2:
        y = g.reduce("ReduceL2", x, axes, keep)
    else:
        total = g.reduce("ReduceSum", g.add("Pow", magnitude, g.scalar(order)), axes, keep)
        y = g.add("Pow", total, g.scalar(1 / order))
    step.out("Out", g.reshape(y, (1,)) if y.rank == 0 else y)


def lrn(step: Step) -> None:
    """Source: Paddle-Lite lite/kernels/arm/lrn_compute.cc: y = x / (k + alpha * sum(x^2)) ^ beta over n channels."""
    g, x = step.g, step.x("X")
    size = int(step.attr("n", 5))
    y = g.add(
        "LRN",
        x,
        size=size,
        alpha=float(step.attr("alpha", 1e-4)) * size,
        beta=float(step.attr("beta", 0.75)),
        bias=float(step.attr("k", 1.0)),
    )
    step.out("Out", y)


TABLE: dict[str, Lowering] = {
    "batch_norm": batch_norm,
    "sync_batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "instance_norm": instance_norm,
    "group_norm": group_norm,
    "affine_channel": affine_channel,
    "norm": norm,
    "p_norm": p_norm,
    "lrn": lrn,
}
