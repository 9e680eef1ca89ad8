"""fc, mul and matrix products of the float16 kernels.

Source: Paddle-Lite v2.13-rc lite/kernels/arm/{fc,mul,matmul,matmul_v2}_compute.cc,
lite/backends/arm/math/fp16/{sgemm,gemm,gemv}_fp16.cc.
"""

from __future__ import annotations

import math

from edgeflow.core.errors import NbError
from edgeflow.emulate import half
from edgeflow.emulate.families import linear
from edgeflow.emulate.graph import Graph, Value
from edgeflow.emulate.half import Fused
from edgeflow.emulate.step import Lowering, Step


def fc(step: Step) -> None:
    """One row: a matrix times a vector; more: a matrix product, whose activation is applied with the bias alone."""
    g, weight = step.g, step.x("W")
    flat, shape = linear.rows_of_fc(step)
    bias, act = step.maybe("Bias"), Fused.of(step)
    if flat.shape[0] > 1:
        y = half.product(g, flat, weight)
        act = act if bias is not None else Fused()
    else:
        y = half.dot(g, flat, g.transpose(weight, (1, 0)))
        y = g.reshape(y, (1, weight.shape[1]))
    if bias is not None:
        y = half.add(g, y, g.reshape(bias, (weight.shape[1],)))
    y = half.activate(g, y, act if act.kind in ("relu", "relu6") else Fused())
    step.out("Out", g.reshape(y, shape))


def mul(step: Step) -> None:
    g, x, y = step.g, step.x("X"), step.x("Y")
    cut_x, cut_y = int(step.attr("x_num_col_dims", 1)), int(step.attr("y_num_col_dims", 1))
    if not (0 < cut_x < x.rank and 0 < cut_y < y.rank):
        raise NbError(f"mul: {list(x.shape)} and {list(y.shape)} cannot be cut at {cut_x} and {cut_y}")
    flat_x = g.reshape(x, (math.prod(x.shape[:cut_x]), math.prod(x.shape[cut_x:])))
    flat_y = g.reshape(y, (math.prod(y.shape[:cut_y]), math.prod(y.shape[cut_y:])))
    if flat_y.shape[1] == 1:
        out = g.reshape(half.dot(g, flat_x, g.transpose(flat_y, (1, 0))), (flat_x.shape[0], 1))
    else:
        out = half.product(g, flat_x, flat_y)
    step.out("Out", g.reshape(out, (*x.shape[:cut_x], *y.shape[cut_y:])))


def matmul(step: Step) -> None:
    """Batches of matrices; what the kernels refuse, and vectors, as their meaning."""
    g, x, y = step.g, step.x("X"), step.x("Y")
    if x.rank < 2 or y.rank < 2:
        linear.matmul(step)
        return
    flip_x = bool(step.attr("trans_x", step.attr("transpose_X", False)))
    flip_y = bool(step.attr("trans_y", step.attr("transpose_Y", False)))
    alpha = half.rounded(float(step.attr("alpha", 1.0)))
    if flip_x:
        x = g.transpose(x, [*range(x.rank - 2), x.rank - 1, x.rank - 2])
    if flip_y:
        y = g.transpose(y, [*range(y.rank - 2), y.rank - 1, y.rank - 2])
    if x.shape[-1] != y.shape[-2]:
        raise NbError(f"{step.op.type}: {list(x.shape)} and {list(y.shape)} do not fit")
    step.out("Out", _product(g, x, y, alpha, flipped=(flip_x, flip_y)))


def _product(g: Graph, x: Value, y: Value, alpha: float, *, flipped: tuple[bool, bool]) -> Value:
    """Source: sgemm_fp16.cc: one column or one row goes to the vector kernels, where no factor comes with it."""
    rows, depth, columns = x.shape[-2], x.shape[-1], y.shape[-1]
    if alpha != 1.0:
        return half.product(g, half.mul(g, x, alpha), y)
    if columns == 1 or rows == 1:
        matrix, vector, transposed = (x, y, flipped[0]) if columns == 1 else (y, x, not flipped[1])
        if columns == 1:
            vector = g.transpose(vector, [*range(y.rank - 2), y.rank - 1, y.rank - 2])
        else:
            matrix = g.transpose(matrix, [*range(y.rank - 2), y.rank - 1, y.rank - 2])
        way = half.dot_transposed if transposed else half.dot
        out = way(g, matrix, vector)
        return g.reshape(out, (*out.shape[:-1], *((rows, 1) if columns == 1 else (1, columns))))
    _ = depth
    return half.product(g, x, y)


TABLE: dict[str, Lowering] = {"fc": fc, "mul": mul, "matmul": matmul, "matmul_v2": matmul}
