"""onnxruntime's integer products, held to exact sums once a process, and a way around them where they are wrong.

On processors with AMX, onnxruntime 1.23.2 gives wrong sums in ConvInteger and MatMulInteger wherever a product has 32
rows or more and its number of columns leaves more than 16 over a multiple of 32: the last row of each 32 is wrong in
its last columns. Measured on an Intel Xeon with amx_int8, on random whole numbers against NumPy.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]
EXACT_FLOAT = float(1 << 24)
"""Whole numbers up to here, and their sums, are exact in float32."""

PROBES = ((33, 64, 50), (64, 7, 31), (100, 128, 17), (1, 64, 50), (65, 1024, 81))
"""Rows, depth and columns of the products that are tried; the first three are wrong where AMX is."""


@cache
def integer_kernels_are_exact() -> bool:
    """Whether this processor's integer kernels in onnxruntime give exact sums; tried on a few products."""
    return all(_is_exact(*probe) for probe in PROBES)


def _is_exact(rows: int, depth: int, columns: int) -> bool:
    random = np.random.default_rng(rows)
    a, b = (random.integers(0, 256, shape).astype(np.uint8) for shape in ((rows, depth), (depth, columns)))
    zero = np.asarray(128, np.uint8)
    nodes = [
        helper.make_node("MatMulInteger", ["a", "b", "z", "z"], ["product"]),
        helper.make_node("ConvInteger", ["x", "w", "z", "z"], ["sums"], kernel_shape=[1, 1]),
    ]
    x, w = b.reshape(1, depth, 1, columns), a.reshape(rows, depth, 1, 1)
    arrays = {"a": a, "b": b, "x": x, "w": w, "z": zero}
    held = [numpy_helper.from_array(arrays[name], name) for name in ("b", "w", "z")]
    inputs = [helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, arrays[name].shape) for name in ("a", "x")]
    outputs = [helper.make_tensor_value_info(name, onnx.TensorProto.INT32, None) for name in ("product", "sums")]
    graph = helper.make_graph(nodes, "probe", inputs, outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    product, sums = session.run(None, {"a": a, "x": x})
    exact = (a.astype(np.int64) - 128) @ (b.astype(np.int64) - 128)
    return bool(np.array_equal(product, exact) and np.array_equal(sums.reshape(exact.shape), exact))


def without_integer_kernels(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with every integer product spelled in floats, exact as well and slower.

    Weights decide how large a sum can get; where that is beyond float32, they are cut in two. Products of two
    activations are summed in float64.
    """
    known = {item.name: item for item in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    extra: list[onnx.TensorProto] = []
    for node in model.graph.node:
        if node.op_type == "ConvInteger" and node.input[1] in known:
            _spell(node, "Conv", numpy_helper.to_array(known[node.input[1]]), nodes, extra)
        elif node.op_type == "MatMulInteger" and node.input[1] in known:
            _spell(node, "MatMul", numpy_helper.to_array(known[node.input[1]]), nodes, extra)
        elif node.op_type == "MatMulInteger":
            _wide_product(node, nodes)
        else:
            nodes.append(node)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    made.graph.initializer.extend(extra)
    return made


def _spell(
    node: onnx.NodeProto, kind: str, stored: Array, nodes: list[onnx.NodeProto], extra: list[onnx.TensorProto]
) -> None:
    """One integer product with constant weights around 128 as float products, one for each digit of the weights."""
    name, weights = node.output[0], stored.astype(np.int64) - 128
    nodes.append(helper.make_node("Cast", [node.input[0]], [f"{name}/wide"], to=onnx.TensorProto.FLOAT))
    extra.append(numpy_helper.from_array(np.asarray(128, np.float32), f"{name}/zero"))
    nodes.append(helper.make_node("Sub", [f"{name}/wide", f"{name}/zero"], [f"{name}/steps"]))
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    parts = digits(weights, tuple(range(1, weights.ndim)) if kind == "Conv" else (weights.ndim - 2,))
    sums = []
    for k, (worth, part) in enumerate(parts):
        extra.append(numpy_helper.from_array(part.astype(np.float32), f"{name}/w{k}"))
        nodes.append(helper.make_node(kind, [f"{name}/steps", f"{name}/w{k}"], [f"{name}/f{k}"], **attributes))
        last = name if len(parts) == 1 else f"{name}/i{k}"
        nodes.append(helper.make_node("Cast", [f"{name}/f{k}"], [last], to=onnx.TensorProto.INT32))
        if worth > 1:
            extra.append(numpy_helper.from_array(np.asarray(worth, np.int32), f"{name}/worth{k}"))
            nodes.append(helper.make_node("Mul", [last, f"{name}/worth{k}"], [f"{name}/m{k}"]))
            last = f"{name}/m{k}"
        sums.append(last)
    for k in range(1, len(sums)):
        made = name if k == len(sums) - 1 else f"{name}/a{k}"
        nodes.append(helper.make_node("Add", [sums[0] if k == 1 else f"{name}/a{k - 1}", sums[k]], [made]))


def digits(weights: Array, axes: tuple[int, ...]) -> list[tuple[int, Array]]:
    """Weights as sums of worth * part, so that every product with values up to 128 is exact in float32.

    Args:
        weights: int64, of int8 range.
        axes: those that a product sums over.
    """
    depth = int(np.prod([weights.shape[axis] for axis in axes], dtype=np.int64))
    base = 2
    while base * 2 * 128 * depth < EXACT_FLOAT:
        base *= 2
    parts, worth, left = [], 1, weights
    while float(np.abs(left).sum(axis=axes).max(initial=0)) * 128 >= EXACT_FLOAT and base > 1:
        parts.append((worth, np.mod(left, base)))
        left, worth = np.floor_divide(left, base), worth * base
        if worth > 256:
            break  # nothing is left but a sign
    return [*parts, (worth, left)]


def _wide_product(node: onnx.NodeProto, nodes: list[onnx.NodeProto]) -> None:
    """A product of two activations in float64, which holds every sum that int32 does."""
    name = node.output[0]
    for k in range(2):
        for what, given in (("x", node.input[k]), ("z", node.input[2 + k])):
            nodes.append(helper.make_node("Cast", [given], [f"{name}/{what}{k}"], to=onnx.TensorProto.DOUBLE))
        nodes.append(helper.make_node("Sub", [f"{name}/x{k}", f"{name}/z{k}"], [f"{name}/s{k}"]))
    nodes.append(helper.make_node("MatMul", [f"{name}/s0", f"{name}/s1"], [f"{name}/product"]))
    nodes.append(helper.make_node("Cast", [f"{name}/product"], [name], to=onnx.TensorProto.INT32))
