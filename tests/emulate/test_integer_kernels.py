"""Exact sums on every processor: spelled in floats they equal NumPy's, also where one float could not hold them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from edgeflow.emulate.integer_kernels import digits, integer_kernels_are_exact, without_integer_kernels


def product(
    rows: int, depth: int, columns: int, *, constant: bool, extreme: bool = False
) -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    random = np.random.default_rng(depth)
    a, b = (random.integers(0, 256, shape).astype(np.uint8) for shape in ((rows, depth), (depth, columns)))
    if extreme:
        a, b = np.full_like(a, 255), np.full_like(b, 1)
    held = {"z": np.asarray(128, np.uint8), **({"b": b} if constant else {})}
    inputs = [("a", a)] + ([] if constant else [("b", b)])
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b", "z", "z"], ["y"])],
        "g",
        [helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, array.shape) for name, array in inputs],
        [helper.make_tensor_value_info("y", onnx.TensorProto.INT32, None)],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), a, b


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(("rows", "depth", "columns"), [(33, 64, 50), (64, 2000, 31), (3, 30000, 5)])
def test_float_sums_are_exact(rows: int, depth: int, columns: int, constant: bool) -> None:
    for extreme in (False, True):
        model, a, b = product(rows, depth, columns, constant=constant, extreme=extreme)
        spelled = without_integer_kernels(model)
        assert not any(node.op_type.endswith("Integer") for node in spelled.graph.node)
        feed = {"a": a} if constant else {"a": a, "b": b}
        got = ort.InferenceSession(spelled.SerializeToString()).run(None, feed)[0]
        np.testing.assert_array_equal(got, (a.astype(np.int64) - 128) @ (b.astype(np.int64) - 128))


def test_digits_add_up_and_stay_in_the_exact_range() -> None:
    weights = np.random.default_rng(0).integers(-127, 128, (3, 40000))
    parts = digits(weights, (1,))
    np.testing.assert_array_equal(sum(worth * part for worth, part in parts), weights)
    assert all(np.abs(part).sum(1).max() * 128 < 1 << 24 for _, part in parts)


def test_the_processor_is_asked_once() -> None:
    assert integer_kernels_are_exact() in (True, False)
    assert integer_kernels_are_exact.cache_info().currsize == 1
