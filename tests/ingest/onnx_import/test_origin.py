"""A translation is held to its ONNX file in onnxruntime, whose outputs are kept for the waterfall."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto as T
from onnx import helper

from edgeflow.core.errors import ModelError
from edgeflow.ingest.onnx_import.origin import difference, hold_to_origin, load_origin
from tests.ingest.onnx_import.nodes import model_from


def test_outputs_are_kept_and_others_are_refused(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, T.FLOAT, ["n", 3]) for name in "xy")
    path = tmp_path / "m.onnx"
    graph = helper.make_graph([helper.make_node("Exp", ["x"], ["y"])], "g", [x], [y])
    path.write_bytes(model_from(graph).SerializeToString())
    given = np.random.default_rng(0).standard_normal((70, 3)).astype(np.float32)
    with pytest.raises(ModelError, match="output 'y' of its translation differs by"):
        hold_to_origin(path, {"x": given}, {"y": np.exp(given) * 1.01}, tmp_path)
    assert load_origin(tmp_path) is None
    hold_to_origin(path, {"x": given}, {"y": np.exp(given)}, tmp_path)
    (kept,) = load_origin(tmp_path) or ()
    assert np.allclose(kept, np.exp(given), rtol=1e-6)


def test_what_counts_as_different() -> None:
    a = np.asarray([1.0, 100.0, np.inf], np.float32)
    assert difference(a, a) == ""
    assert difference(a + np.float32(0.01), a) == ""
    assert "differs by" in difference(a + np.float32(0.2), a)
    assert "infinities" in difference(np.asarray([1.0, 100.0, 5.0], np.float32), a)
    assert "has dims" in difference(a[:2], a)
    assert difference(np.zeros(4, np.float32) + np.float32(1e-7), np.zeros(4, np.float32)) == ""
    assert "equals in 50.0%" in difference(np.asarray([1, 2]), np.asarray([1, 3]))
