"""Sums that are taken one product after the other, as a plain loop takes them: onnxruntime's own add up in blocks."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgeflow.emulate.graph import Graph, Value

CHUNK = 1 << 15
"""Sums that are taken side by side: what they need stays in a core's cache."""


def in_turn(g: Graph, body: onnx.GraphProto, start: Value, left: Value, right: Value) -> Value:
    """Carry `start` through `body` with left[k] and right[k], for each k of their first axis.

    Args:
        body: takes the sum so far, a part of `left` and one of `right`; gives the next sum.
        left: with `right`, broadcasts to `start` behind the first axis.
    """
    axis = int(np.argmax(start.shape))
    count = -(-int(np.prod(start.shape)) // CHUNK)
    step = -(-start.shape[axis] // count)

    def part(value: Value, low: int, lead: int) -> Value:
        along = axis + lead
        return value if value.shape[along] == 1 else g.slice(value, (low,), (low + step,), (along,))

    left, right = (_ranked(g, value, start.rank + 1) for value in (left, right))
    parts = [
        g.scan(body, part(start, low, 0), part(left, low, 1), part(right, low, 1))
        for low in range(0, start.shape[axis], step)
    ]
    return g.concat(parts, axis)


def _ranked(g: Graph, value: Value, rank: int) -> Value:
    """Dimensions of one after the first, until there are `rank`."""
    return g.reshape(value, value.shape[:1] + (1,) * (rank - value.rank) + value.shape[1:])


def multiply_add() -> onnx.GraphProto:
    """A float32 product, rounded, and a float32 sum, rounded: what C++ without fused instructions computes."""
    kind = TensorProto.FLOAT
    nodes = [
        helper.make_node("Mul", ["left", "right"], ["product"]),
        helper.make_node("Add", ["sum", "product"], ["next"]),
    ]
    given = [helper.make_tensor_value_info(name, kind, None) for name in ("sum", "left", "right")]
    return helper.make_graph(nodes, "multiply_add", given, [helper.make_tensor_value_info("next", kind, None)])
