"""Arithmetic of the ARMv8.2 half precision kernels: every result of an instruction is rounded to float16.

Values stay float32 that float16 can hold. A product of two such is exact in float32; a sum of one and a number is
rounded to float32 and then to float16, which differs from one rounding in about one of 2^13 sums. Long sums, where that
would add up, are exact: `accumulate`.
Source: Paddle-Lite v2.13-rc lite/backends/arm/math/fp16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgeflow.emulate.arm import correction, estimated, fused_activation, round16
from edgeflow.emulate.graph import Graph, Value
from edgeflow.emulate.in_turn import in_turn
from edgeflow.emulate.step import Step


def rounded(number: float) -> float:
    """A number as an attribute becomes it: cast to float16, beyond 65504 infinite."""
    with np.errstate(over="ignore"):
        return float(np.float16(number))


def add(g: Graph, a: Value, b: Value | float) -> Value:
    """a + b, rounded to float16."""
    return round16(g, g.plus(a, b))


def sub(g: Graph, a: Value, b: Value) -> Value:
    """a - b, rounded to float16."""
    return round16(g, g.add("Sub", a, b))


def mul(g: Graph, a: Value, b: Value | float) -> Value:
    """a * b, rounded to float16."""
    return round16(g, g.mul(a, b))


def div(g: Graph, a: Value, b: Value) -> Value:
    """a / b, rounded to float16."""
    return round16(g, g.add("Div", a, b))


def fma(g: Graph, total: Value | float, a: Value, b: Value | float) -> Value:
    """round16(total + a * b)."""
    return round16(g, g.plus(g.mul(a, b), total))


SPLITTER = float((1 << 42) + 1)
"""w * SPLITTER - (w * SPLITTER - w) leaves the 11 upper bits of a float64, rounded to nearest even.

Source: T. J. Dekker, A floating-point technique for extending the available precision, 1971.
"""


def _body() -> onnx.GraphProto:
    """One fused multiply-add of the running sum: product and sum are exact in float64, and rounded once.

    Beyond float16's range the exponent goes on; the finished sum is what overflows.
    """
    kind = TensorProto.DOUBLE
    constant = helper.make_tensor("value", kind, [], [SPLITTER])
    nodes = [
        helper.make_node("Constant", [], ["splitter"], value=constant),
        helper.make_node("Mul", ["left", "right"], ["product"]),
        helper.make_node("Add", ["sum", "product"], ["wide"]),
        helper.make_node("Mul", ["wide", "splitter"], ["far"]),
        helper.make_node("Sub", ["far", "wide"], ["rest"]),
        helper.make_node("Sub", ["far", "rest"], ["next"]),
    ]
    given = [helper.make_tensor_value_info(name, kind, None) for name in ("sum", "left", "right")]
    return helper.make_graph(nodes, "multiply_add", given, [helper.make_tensor_value_info("next", kind, None)])


def accumulate(g: Graph, start: Value, left: Value, right: Value) -> Value:
    """start + sum of left[k] * right[k] over their first axis, one fused multiply-add after the other."""
    start, left, right = (g.cast(value, "float64") for value in (start, left, right))
    return round16(g, g.cast(in_turn(g, _body(), start, left, right), "float32"))


EXP_MAX = 10.7421875
"""exp_ps_naive clamps its argument to +- this. Source: funcs_fp16.h c_exp_hi_f16."""

POLYNOMIAL = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
"""Source: funcs_fp16.h c_cephes_exp_p0 to p5."""

LOG2E, LN2 = 1.44269504088896341, 0.693359375
"""Source: funcs_fp16.h. The compiler adds c_cephes_exp_C1 and C2 up, which float16 cannot tell from C1 alone."""


def exp(g: Graph, x: Value) -> Value:
    """A power of two and a polynomial, each step in float16.

    Source: funcs_fp16.h exp_ps_naive as gcc 12 compiles it with the library's flags: multiplications and sums are
    fused, and the sum of polynomial and 1 is multiplied out.
    """
    x = g.clip(x, -EXP_MAX, EXP_MAX)
    power = g.add("Floor", fma(g, 0.5, x, rounded(LOG2E)))
    x = fma(g, x, power, -LN2)
    y = fma(g, rounded(POLYNOMIAL[1]), x, rounded(POLYNOMIAL[0]))
    for factor in POLYNOMIAL[2:]:
        y = fma(g, rounded(factor), y, x)
    y = fma(g, x, y, mul(g, x, x))
    unit = g.add("Pow", g.scalar(2.0), power)
    return add(g, mul(g, y, unit), unit)


def lanes(g: Graph, vector: Value, scalar: Value, inner: int, width: int) -> Value:
    """Kernels take `width` elements at a time of every `inner` by vector instructions, and the rest one by one."""
    if inner % width == 0:
        return vector
    mask = np.ones((int(np.prod(vector.shape)) // inner, inner), bool)
    mask[:, inner - inner % width :] = False
    return g.add("Where", g.constant(mask.reshape(vector.shape), "bool"), vector, scalar)


def pairwise(g: Graph, parts: Sequence[Value]) -> Value:
    """Neighbours added, then their sums, as FADDP does."""
    while len(parts) > 1:
        parts = [add(g, parts[i], parts[i + 1]) for i in range(0, len(parts), 2)]
    return parts[0]


def filled(g: Graph, first: Value | None, shape: Sequence[int]) -> Value:
    """What a sum begins with: zero, or the bias of each filter, spread to [N, groups, filters of a group, pixels]."""
    zero = g.constant(np.zeros(1, np.float32))
    if first is not None:
        zero = g.reshape(first, (1, shape[1], shape[2], 1))
    return g.add("Expand", zero, g.ints(shape))


def biased(g: Graph, y: Value, bias: Value | None) -> Value:
    """Add the bias of each channel after the sum."""
    return y if bias is None else add(g, y, g.reshape(bias, (1, bias.shape[0]) + (1,) * (y.rank - 2)))


def dot(g: Graph, vector: Value, matrix: Value) -> Value:
    """Products along the last axis, eight sums side by side, then added in pairs.

    Source: gemv_fp16.cc gemv_fp16. The vector is zero from the end to a multiple of 16.
    """
    depth = vector.shape[-1]
    steps = -(-depth // 16) * 2
    missing = steps * 8 - depth

    def lanes_of(value: Value) -> Value:
        rank = value.rank
        if missing:
            value = g.add("Pad", value, g.ints([0] * rank + [0] * (rank - 1) + [missing]), g.scalar(0.0))
        return g.transpose(g.reshape(value, (*value.shape[:-1], steps, 8)), (rank - 1, *range(rank - 1), rank))

    left, right = lanes_of(vector), lanes_of(matrix)
    shape = np.broadcast_shapes(left.shape[1:], right.shape[1:])
    start = g.add("Expand", g.constant(np.zeros(1, np.float32)), g.ints(shape))
    total = accumulate(g, start, left, right)
    parts = [g.slice(total, (i,), (i + 1,), (-1,)) for i in range(8)]
    return g.reshape(pairwise(g, parts), shape[:-1])


def dot_transposed(g: Graph, rows: Value, vector: Value) -> Value:
    """Products along the last axis, eight at a time in four sums, which are added to the result so far.

    Source: gemv_fp16.cc gemv_fp16_trans: 8 outputs at a time by vector instructions, the rest one by one.
    """
    depth = rows.shape[-1]
    missing = -depth % 8
    steps = (depth + missing) // 8
    shape = np.broadcast_shapes(rows.shape, vector.shape)[:-1]

    def padded(value: Value) -> Value:
        rank = value.rank
        if not missing:
            return value
        return g.add("Pad", value, g.ints([0] * rank + [0] * (rank - 1) + [missing]), g.scalar(0.0))

    rows, vector = padded(rows), padded(vector)

    def part(value: Value, index: int) -> Value:
        return g.reshape(g.slice(value, (index,), (index + 1,), (-1,)), value.shape[:-1])

    zero = g.add("Expand", g.constant(np.zeros(1, np.float32)), g.ints(shape))
    total, single = zero, zero
    for k in range(0, steps * 8, 8):
        sums = [fma(g, total, part(rows, k), part(vector, k))]
        sums += [mul(g, part(rows, k + i), part(vector, k + i)) for i in (1, 2, 3)]
        sums = [fma(g, sums[i], part(rows, k + 4 + i), part(vector, k + 4 + i)) for i in range(4)]
        total = pairwise(g, sums)
        if shape[-1] % 8:
            block = zero
            for i in range(k, k + 8):
                block = fma(g, block, part(rows, i), part(vector, i))
            single = add(g, single, block)
    return lanes(g, total, single, shape[-1], 8)


@dataclass(frozen=True, slots=True)
class Fused:
    """A fused activation; its numbers as float16 has them. Kinds that no float16 kernel knows do nothing.

    Source: common_preprocess.h act_acquire.
    """

    kind: str = ""
    alpha: float = 0.0
    offset: float = 0.0
    threshold: float = 6.0

    @staticmethod
    def of(step: Step) -> Fused:
        act = fused_activation(step)
        if act.kind == "relu6":
            return Fused(act.kind, rounded(act.threshold))
        if act.kind == "leaky_relu":
            return Fused(act.kind, rounded(act.alpha))
        if act.kind == "hard_swish":
            return Fused(act.kind, rounded(1.0 / act.scale), rounded(act.offset), rounded(act.threshold))
        return Fused(act.kind)


def activate(g: Graph, y: Value, act: Fused) -> Value:
    """Apply a fused activation as vector instructions do."""
    if act.kind == "relu":
        return g.add("Relu", y)
    if act.kind == "relu6":
        return g.clip(y, 0.0, act.alpha)
    if act.kind == "leaky_relu":
        return g.add("Where", g.add("GreaterOrEqual", y, g.scalar(0.0)), y, mul(g, y, act.alpha))
    if act.kind == "hard_swish":
        gate = g.clip(add(g, y, act.offset), 0.0, act.threshold)
        return mul(g, gate, mul(g, y, act.alpha))
    return y


def estimate(g: Graph, b: Value) -> Value:
    """FRECPE of float16: the table of float32's, 8 bits; not more than the smallest normal numbers need."""
    return round16(g, estimated(g, b))


def divide(g: Graph, a: Value | None, b: Value) -> Value:
    """a / b by an estimate and one Newton step. Source: funcs_fp16.h divq_ps_f16."""
    first = estimate(g, b)
    reciprocal = mul(g, first, round16(g, correction(g, b, first)))
    return reciprocal if a is None else mul(g, a, reciprocal)


def product(g: Graph, x: Value, y: Value) -> Value:
    """[..., M, K] times [..., K, N], both of rank 2 or more. Source: gemm_fp16.cc gemm_prepack_8x16."""
    rank = max(x.rank, y.rank)
    x, y = (g.reshape(v, (1,) * (rank - v.rank) + v.shape) for v in (x, y))
    left = g.transpose(x, (rank - 1, *range(rank - 1)))
    left = g.reshape(left, (*left.shape, 1))
    right = g.transpose(y, (rank - 2, *range(rank - 2), rank - 1))
    right = g.reshape(right, (*right.shape[:-1], 1, right.shape[-1]))
    return summed(g, left, right, None)


def summed(g: Graph, left: Value, right: Value, first: Value | None) -> Value:
    """Products summed over the first axis as the matrix kernel does: in turn from `first` on, a row's last columns
    that make no four apart: sums of even and of odd terms, and then `first`."""
    shape = np.broadcast_shapes(left.shape[1:], right.shape[1:])
    if first is None:
        first = g.constant(np.zeros(1, np.float32))

    def columns(value: Value, low: int, high: int) -> Value:
        return value if value.shape[-1:] in ((1,), ()) else g.slice(value, (low,), (high,), (-1,))

    def spread(value: Value, low: int, high: int) -> Value:
        return g.add("Expand", columns(value, low, high), g.ints((*shape[:-1], high - low)))

    width, whole = shape[-1], shape[-1] // 4 * 4
    parts = []
    if whole:
        start = spread(first, 0, whole)
        parts.append(accumulate(g, start, columns(left, 0, whole), columns(right, 0, whole)))
    if whole < width:
        zero = g.constant(np.zeros(1, np.float32))
        halves = []
        for odd in range(min(2, left.shape[0])):
            ends = (odd,), (left.shape[0],), (0,), (2,)
            given = [g.slice(columns(value, whole, width), *ends) for value in (left, right)]
            halves.append(accumulate(g, spread(zero, whole, width), *given))
        total = add(g, *halves) if len(halves) == 2 else halves[0]
        parts.append(add(g, total, columns(first, whole, width)))
    return g.concat(parts, len(shape) - 1)
