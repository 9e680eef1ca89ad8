"""fc, mul, matmul, matmul_v2 and bmm, float and int8."""

from __future__ import annotations

import math

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate.arm import activate, dequantise, fma, fused_activation, quantise
from edgeflow.emulate.families.convolution import DEPTHWISE, merged, merged_bias, per_channel
from edgeflow.emulate.graph import INT8, Graph, Value
from edgeflow.emulate.step import Lowering, Step


def fc(step: Step) -> None:
    """Input [..., K] times W [K, N] plus Bias. Source: Paddle-Lite kernels/arm/fc_compute.cc, v2.13-rc."""
    g, weight = step.g, step.x("W")
    flat, shape = rows_of_fc(step)
    act, bias = fused_activation(step), step.maybe("Bias")
    if weight.dtype != "plain_int8":
        y = g.add("MatMul", flat, weight)
        if bias is not None:
            y = g.plus(y, g.reshape(bias, (weight.shape[1],)))
        step.out("Out", g.reshape(activate(g, y, act), shape))
        return
    acc = integer_matmul(g, flat, g.constant((step.weight("W").astype(np.int16) + 128).astype(np.uint8), "uint8"))
    weight_scale, given = per_channel(step, "W0_scale", weight.shape[1]), step.scale("Input0_scale")[0]
    offset = None if bias is None or bias.const is None else bias.const.astype(np.float32).ravel()
    int8_out = step.alias == "int8out"
    unit = step.scale("Out0_scale")[0] if int8_out else np.float32(1)
    scale = merged(weight_scale, given, unit if int8_out else None, DEPTHWISE)
    if int8_out:
        offset = None if offset is None else merged_bias(offset, unit, DEPTHWISE)
    y = activate(g, fma(g, acc, scale, offset), act, step_size=float(unit))
    step.out("Out", g.reshape(quantise(g, y, positive=act.positive) if int8_out else y, shape))


def rows_of_fc(step: Step) -> tuple[Value, tuple[int, ...]]:
    """The input of fc as a matrix, and the shape of its result.

    Raises:
        NbError: input and weight do not fit.
    """
    x, weight = step.x("Input"), step.x("W")
    columns = int(step.attr("in_num_col_dims", 1))
    if step.attr("op_type", "mul") in ("matmul", "matmul_v2"):
        columns = x.rank - 1
    if weight.rank != 2 or not 0 <= columns <= max(x.rank - 1, 0):
        raise NbError(f"fc: input {list(x.shape)}, weight {list(weight.shape)}, in_num_col_dims {columns} do not fit")
    rows, depth = math.prod(x.shape[:columns]), math.prod(x.shape[columns:])
    if depth != weight.shape[0]:
        raise NbError(f"fc: input {list(x.shape)} has {depth} columns, the weight {weight.shape[0]} rows")
    return step.g.reshape(x, (rows, depth)), (*x.shape[:columns], weight.shape[1])


def integer_matmul(g: Graph, a: Value, b: Value) -> Value:
    """Exact int32 product of two INT8 tensors."""
    zero = g.scalar(128, "uint8")
    return g.add("MatMulInteger", a, b, zero, zero, dtype="int32")


def mul(step: Step) -> None:
    """X flattened at x_num_col_dims times Y flattened at y_num_col_dims."""
    g, x, y = step.g, step.x("X"), step.x("Y")
    cut_x, cut_y = int(step.attr("x_num_col_dims", 1)), int(step.attr("y_num_col_dims", 1))
    if not (0 < cut_x < x.rank and 0 < cut_y < y.rank):
        raise NbError(f"mul: {list(x.shape)} and {list(y.shape)} cannot be cut at {cut_x} and {cut_y}")
    shape = (*x.shape[:cut_x], *y.shape[cut_y:])
    flat_x = g.reshape(x, (math.prod(x.shape[:cut_x]), math.prod(x.shape[cut_x:])))
    flat_y = _flat(g, y, (math.prod(y.shape[:cut_y]), math.prod(y.shape[cut_y:])))
    step.out("Out", g.reshape(_product(step, flat_x, flat_y), shape))


def _flat(g: Graph, y: Value, shape: tuple[int, int]) -> Value:
    if y.dtype == "plain_int8" and y.const is not None:
        return Value(y.name, y.dtype, shape, y.const.reshape(shape))
    return g.reshape(y, shape)


def matmul(step: Step) -> None:
    """matmul, matmul_v2 and bmm: batched, each side transposed on demand, vectors allowed."""
    g, x, y = step.g, step.x("X"), step.x("Y")
    flip_x = bool(step.attr("trans_x", step.attr("transpose_X", False)))
    flip_y = bool(step.attr("trans_y", step.attr("transpose_Y", False)))
    if y.dtype == "plain_int8" and y.const is not None:
        array = y.const.swapaxes(-1, -2) if flip_y and y.rank > 1 else y.const
        y = Value(y.name, y.dtype, array.shape, array)
    elif flip_y and y.rank > 1:
        y = g.transpose(y, [*range(y.rank - 2), y.rank - 1, y.rank - 2])
    if flip_x and x.rank > 1:
        x = g.transpose(x, [*range(x.rank - 2), x.rank - 1, x.rank - 2])
    out = _product(step, x, y)
    alpha = float(step.attr("alpha", 1.0))
    if alpha != 1.0:
        out = g.mul(out, alpha)
    step.out("Out", g.reshape(out, (1,)) if out.rank == 0 else out)


def _product(step: Step, x: Value, y: Value) -> Value:
    g = step.g
    weights = y.dtype == "plain_int8" and y.const is not None
    if x.dtype != INT8 or not (weights or y.dtype == INT8):
        if INT8 in (x.dtype, y.dtype) or weights:
            x, y = _as_float(step, x, "X0_scale"), _as_float(step, y, "Y0_scale")
        if x.rank > 1 and y.rank == 1:  # as a column: onnxruntime fuses a transposed x with a vector wrongly
            return g.reshape(g.add("MatMul", x, g.reshape(y, (*y.shape, 1))), x.shape[:-1])
        return g.add("MatMul", x, y)
    if weights and y.const is not None:
        y = g.constant((y.const.astype(np.int16) + 128).astype(np.uint8), "uint8")
        scale = per_channel(step, "Y0_scale", y.shape[-1]) * step.scale("X0_scale")[0]
    else:
        scale = step.scale("X0_scale")[:1] * step.scale("Y0_scale")[0]
    acc = integer_matmul(g, x, y)
    if "int8" in step.alias:
        unit = step.scale("Out0_scale")[0]
        return quantise(g, fma(g, acc, (scale / unit).astype(np.float32), None))
    return fma(g, acc, scale.astype(np.float32), None)


def _as_float(step: Step, value: Value, scale: str) -> Value:
    if value.dtype == INT8:
        return dequantise(step.g, value, float(step.scale(scale)[0]))
    if value.dtype == "plain_int8" and value.const is not None:
        return step.g.constant(value.const.astype(np.float32) * per_channel(step, scale, value.shape[-1]))
    return value


TABLE: dict[str, Lowering] = {"fc": fc, "mul": mul, "matmul": matmul, "matmul_v2": matmul, "bmm": matmul}
