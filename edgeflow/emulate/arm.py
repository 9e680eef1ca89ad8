"""Arithmetic of the ARM kernels: quantise, requantise, activations, fp16 rounding.

Source: Paddle-Lite v2.13-rc lite/backends/arm/math/{type_trans.cc,conv_block_utils.h,gemm_prepacked_int8.cc},
and equal to their outputs on the golden files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate.graph import INT8, Array, Graph, Value
from edgeflow.emulate.step import Step

LIMIT = 127.0
"""ARM kernels keep int8 symmetric: -128 is never produced."""

HALF_BELOW = float(np.nextafter(np.float32(0.5), np.float32(0)))
"""The largest float32 below 0.5: floor(v + HALF_BELOW) rounds v >= 0 half up without rounding 0.49999997 to 1."""

TIE = 2.0**-40
"""v + v * TIE pushes an exact tie away from zero, and moves no other float32 below 128 across one. Not written as
v * (1 + TIE): onnxruntime compares such factors with 1 in float32, and drops them."""

EXACT_FLOAT = float(1 << 24)
"""float32 counts whole numbers exactly up to here."""


def round16(g: Graph, x: Value) -> Value:
    """Round float32 to what float16 can hold."""
    return g.cast(g.cast(x, "float16"), "float32")


def quantise(g: Graph, v: Value, *, positive: bool = False) -> Value:
    """float32 in steps -> INT8: clamp to [-127, 127], round half away from zero.

    Where the graph marks ties, it watches a mask of the elements within the graph's reach of one; where
    it asks for another rounding, such elements go that way.

    Args:
        positive: v is known to be at least 0 (a ReLU came before), which saves passes.
    """
    if g.mark and g.watched is not None:
        up, down = (_quantised(g, _nudged(g, v, way), positive=positive) for way in (1, -1))
        g.watched.append(g.add("Not", g.add("Equal", g.relabel(up, "uint8"), g.relabel(down, "uint8"))))
    made = _quantised(g, _nudged(g, v, g.rounding) if g.rounding else v, positive=positive)
    return made if g.sites is None else g.sites.at(g, made)


def _nudged(g: Graph, v: Value, way: int) -> Value:
    """Each number larger (way 1) or smaller (-1) in magnitude by what is not known of it: at most one unit in the last
    place, and more behind a recurrent op.
    """
    return g.add("Add", v, g.mul(v, way * g.reach))


def _quantised(g: Graph, v: Value, *, positive: bool) -> Value:
    if positive:
        v = g.clip(v, None, LIMIT)
        v = g.add("Floor", g.plus(v, HALF_BELOW))
        return g.add("QuantizeLinear", v, g.scalar(1.0), g.scalar(128, "uint8"), dtype=INT8)
    v = g.cast(g.clip(v, -LIMIT, LIMIT), "float64")
    v = g.plus(g.add("Add", v, g.mul(v, TIE)), 128.5)
    return g.relabel(g.cast(v, "uint8"), INT8)


def dequantise(g: Graph, q: Value, scale: float) -> Value:
    """INT8 -> float32: the whole number times scale, in float32."""
    return g.add("DequantizeLinear", q, g.scalar(scale), g.scalar(128, "uint8"), dtype="float32")


def steps(g: Graph, q: Value) -> Value:
    """INT8 -> float32 holding the whole numbers themselves."""
    return dequantise(g, q, 1.0)


def fma(g: Graph, acc: Value, scale: Array, bias: Array | None) -> Value:
    """round32(acc * scale + bias), rounded once, as AArch64's FMLA does; acc holds whole numbers.

    float64 holds acc * scale exactly (24 + 24 bits), so that one rounding is left.
    """
    wide = g.cast(acc, "float64")
    wide = g.mul(wide, g.constant(scale.astype(np.float64), "float64"))
    if bias is not None and np.any(bias):
        wide = g.plus(wide, g.constant(bias.astype(np.float64), "float64"))
    return g.cast(wide, "float32")


def multiply_add(g: Graph, x: Value, factor: Value | float, bias: Value | float) -> Value:
    """round32(x * factor + bias) of float32 tensors, rounded once, as FMLA does."""

    def wide(value: Value | float) -> Value | float:
        return g.cast(value, "float64") if isinstance(value, Value) else float(np.float32(value))

    return g.cast(g.plus(g.mul(g.cast(x, "float64"), wide(factor)), wide(bias)), "float32")


EXP_MAX = 88.3762626647949
"""exp_ps clamps its argument to +- this. Source: backends/arm/math/funcs.h c_exp_hi."""

TANH_MAX = 70.00008
"""act_tanh clamps its argument to +- this. Source: backends/arm/math/activation.cc act_tanh."""


def _estimates() -> Array:
    """What FRECPE gives for a mantissa in [1, 2), by its upper 8 fraction bits.

    Source: Arm Architecture Reference Manual, shared/functions/float/fprecipestimate, RecipEstimate.
    """
    mantissa = 2 * np.arange(256, 512) + 1
    return ((((1 << 19) // mantissa) + 1) // 2 / 512).astype(np.float32)


ESTIMATES = _estimates()


def divide(g: Graph, a: Value | None, b: Value) -> Value:
    """a / b as the vector kernels do it (1 / b where a is None): an 8-bit estimate and one Newton step, about 2^-17
    off.

    b is positive and finite. Source: Paddle-Lite v2.13-rc backends/arm/math/funcs.h div_ps.
    """
    estimate = estimated(g, b)
    reciprocal = g.mul(correction(g, b, estimate), estimate)
    return reciprocal if a is None else g.mul(a, reciprocal)


def correction(g: Graph, b: Value, estimate: Value) -> Value:
    """FRECPS: 2 - b * estimate, and 2 for zero times infinity."""
    product = g.mul(b, estimate)
    number = g.add("Equal", product, product)
    return g.add("Where", number, g.add("Sub", g.scalar(2.0), product), g.scalar(2.0))


def estimated(g: Graph, b: Value) -> Value:
    """FRECPE: the reciprocal of a number that is not negative, to 8 bits."""
    power = g.add("Floor", g.mul(g.add("Log", b), 1 / np.log(2)))
    unit = g.add("Pow", g.scalar(2.0), g.add("Neg", power))
    mantissa = g.mul(b, unit)
    # The logarithm is rounded: next to a power of two the mantissa may fall just outside [1, 2).
    high = g.cast(g.add("GreaterOrEqual", mantissa, g.scalar(2.0)), "float32")
    low = g.cast(g.add("Less", mantissa, g.scalar(1.0)), "float32")
    fix = g.plus(g.add("Sub", low, g.mul(high, 0.5)), 1.0)
    unit, mantissa = g.mul(unit, fix), g.mul(mantissa, fix)
    index = g.clip(g.plus(g.add("Floor", g.mul(mantissa, 256.0)), -256.0), 0.0, 255.0)
    index = g.add("Where", g.add("GreaterOrEqual", index, g.scalar(0.0)), index, g.scalar(0.0))  # NaN has no index
    return g.mul(g.add("Gather", g.constant(ESTIMATES), g.cast(index, "int32"), axis=0), unit)


def vector_part(g: Graph, approximate: Value, exact: Value, inner: int) -> Value:
    """Kernels take four elements at a time of every `inner` and the rest one by one, exactly."""
    if inner % 4 == 0:
        return approximate
    mask = np.ones((int(np.prod(exact.shape)) // inner, inner), bool)
    mask[:, inner - inner % 4 :] = False
    return g.add("Where", g.constant(mask.reshape(exact.shape), "bool"), approximate, exact)


def sigmoid(g: Graph, x: Value) -> Value:
    """Source: activation.cc act_sigmoid."""
    exact = g.add("Sigmoid", x)
    size = int(np.prod(x.shape))
    if size < 4:
        return exact
    return vector_part(g, divide(g, None, _one_plus_exp(g, g.add("Neg", x))), exact, size)


def swish(g: Graph, x: Value, beta: float) -> Value:
    """Source: activation.cc act_swish."""
    scaled = x if beta == 1.0 else g.mul(x, beta)
    exact = g.mul(x, g.add("Sigmoid", scaled))
    size = int(np.prod(x.shape))
    if size < 4:
        return exact
    return vector_part(g, divide(g, x, _one_plus_exp(g, g.add("Neg", scaled))), exact, size)


def tanh(g: Graph, x: Value) -> Value:
    """Source: activation.cc act_tanh: (e^x - e^-x) / (e^x + e^-x)."""
    exact = g.add("Tanh", x)
    size = int(np.prod(x.shape))
    if size < 4:
        return exact
    bounded = g.clip(x, -TANH_MAX, TANH_MAX)
    up, down = g.add("Exp", bounded), g.add("Exp", g.add("Neg", bounded))
    return vector_part(g, divide(g, g.add("Sub", up, down), g.plus(up, down)), exact, size)


def softmax(g: Graph, x: Value, axis: int) -> Value:
    """Source: kernels/arm/softmax_compute.cc: estimates where what lies behind the axis is a multiple of four."""
    inner = int(np.prod(x.shape[axis + 1 :]))
    if inner % 4 or x.dtype != "float32":
        return g.add("Softmax", x, axis=axis)
    powers = g.add("Exp", g.add("Sub", x, g.reduce("ReduceMax", x, [axis], keep=True)))
    total = g.reduce("ReduceSum", powers, [axis], keep=True)
    return g.mul(powers, divide(g, None, total))


def _one_plus_exp(g: Graph, x: Value) -> Value:
    return g.plus(g.add("Exp", g.clip(x, -EXP_MAX, EXP_MAX)), 1.0)


@dataclass(frozen=True, slots=True)
class Activation:
    """A fused activation with its parameters in the units of the values it sees."""

    kind: str = ""
    threshold: float = 6.0
    alpha: float = 0.0
    scale: float = 6.0
    offset: float = 3.0
    slope: float = 0.2
    beta: float = 1.0

    @property
    def positive(self) -> bool:
        """The result is never below zero."""
        return self.kind in ("relu", "relu6", "sigmoid", "hard_sigmoid", "abs")


KINDS = (
    "",
    "relu",
    "relu6",
    "leaky_relu",
    "hard_swish",
    "hard_sigmoid",
    "prelu",
    "sigmoid",
    "tanh",
    "swish",
    "abs",
    "sigmoid_v1",
    "elu",
    "silu",
)


def fused_activation(step: Step) -> Activation:
    """The activation that opt fused into an op. Source: conv_activation_fuser.cc, operators/conv_op.h."""
    kind = ""
    if step.attr("with_act", False) or step.attr("act_type"):
        kind = step.attr("act_type", "")
    elif step.attr("fuse_relu", False):
        kind = "relu"
    elif step.attr("activation_type"):
        kind = step.attr("activation_type")
    if kind not in KINDS:
        raise NbError(f"{step.op.type}: fused activation {kind!r} is unknown; known: {', '.join(KINDS[1:])}")
    return Activation(
        kind,
        threshold=step.attr(
            "hard_swish_threshold" if kind == "hard_swish" else "fuse_brelu_threshold", step.attr("alpha", 6.0) or 6.0
        ),
        alpha=step.attr("leaky_relu_alpha", 0.0) if kind == "leaky_relu" else step.attr("Elu_alpha", 1.0),
        scale=step.attr("hard_swish_scale", 6.0),
        offset=step.attr("hard_swish_offset", 3.0) if kind == "hard_swish" else step.attr("offset", 0.5),
        slope=step.attr("slope", 0.2),
        beta=step.attr("swish_scale", step.attr("swish_beta", 1.0)),
    )


def activate(g: Graph, v: Value, act: Activation, *, step_size: float = 1.0, prelu: Value | None = None) -> Value:
    """Apply a fused activation; `step_size` is the output scale for int8_out, 1 otherwise.

    The limits of relu6 and hard_swish are divided by the output scale, since v is in steps then.
    """
    unit = np.float32(step_size)
    if act.kind in ("", None):
        return v
    if act.kind == "relu":
        return g.add("Relu", v)
    if act.kind == "relu6":
        return g.clip(v, 0.0, float(np.float32(act.threshold) / unit))
    if act.kind == "leaky_relu":
        return g.add("LeakyRelu", v, alpha=float(act.alpha))
    if act.kind == "hard_swish":
        offset, threshold, scale = (np.float32(x) / unit for x in (act.offset, act.threshold, act.scale))
        gate = g.clip(g.plus(v, float(offset)), 0.0, float(threshold))
        return g.mul(gate, g.mul(v, float(np.float32(1.0) / scale)))
    if act.kind == "hard_sigmoid":
        return g.clip(g.plus(g.mul(v, act.slope), act.offset), 0.0, 1.0)
    if act.kind == "sigmoid":
        return sigmoid(g, v)
    if act.kind == "tanh":  # Source: funcs.h vactive_f32<kTanh>
        return g.plus(g.mul(divide(g, None, _one_plus_exp(g, g.mul(v, -2.0))), 2.0), -1.0)
    if act.kind in ("swish", "silu"):
        return swish(g, v, act.beta)
    if act.kind == "abs":
        return g.add("Abs", v)
    if act.kind == "elu":
        return g.add("Elu", v, alpha=float(act.alpha))
    if act.kind == "prelu" and prelu is not None:
        return g.add("PRelu", v, prelu)
    raise NbError(f"fused activation {act.kind!r} is not supported here")
