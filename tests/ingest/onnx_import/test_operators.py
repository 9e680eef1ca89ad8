"""Every operator of the table, translated and run by Paddle, against onnxruntime on the ONNX model itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.ingest.onnx_import.families import TABLE
from tests.ingest.onnx_import.nodes import NODES, Node, model_of

pytestmark = pytest.mark.build
CLOSE = 1e-5
UNTESTED = {
    "Constant",
    "ConstantOfShape",
    "Range",
    "Dropout",
    "CastLike",
    "IsInf",
    "QuantizeLinear",
    "DequantizeLinear",
}
"""Operators of test_translate.py, where they stand between others."""

TRIGONOMETRY = {"Asin", "Acos", "Acosh", "Atanh"}
"""Of an argument that random numbers leave."""


@pytest.fixture(scope="module")
def session():
    from edgeflow.paddle.session import Session

    with Session() as opened:
        yield opened


@pytest.mark.parametrize("node", NODES, ids=str)
def test_operator(node: Node, tmp_path: Path, session) -> None:
    import onnxruntime as ort

    from edgeflow.ingest.onnx_import.translate import translate

    model, feed = model_of(node)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    assert translate(path, tmp_path / "out") == (path.resolve(),)
    program = programs.load(tmp_path / "out.pdmodel")
    weights = parameters.load(program, tmp_path / "out.pdiparams")
    wanted = ort.InferenceSession(str(path)).run(None, feed)
    names = programs.fetches(program)
    found = session.run(program, weights, feed, names)
    for name, ours in zip(wanted, names, strict=True):
        compare(name, found[ours])


def compare(theirs: np.ndarray, ours: np.ndarray) -> None:
    assert theirs.shape == ours.shape or (theirs.shape == () and ours.shape == (1,))
    a, b = theirs.astype(np.float64).reshape(-1), ours.astype(np.float64).reshape(-1)
    finite = np.isfinite(a)
    assert np.array_equal(a[~finite], b[~finite], equal_nan=True)
    assert np.abs(a[finite] - b[finite]).max(initial=0.0) <= CLOSE * max(np.abs(a[finite]).max(initial=0.0), 1e-3)


def test_every_operator_is_tried() -> None:
    tried = {node.op for node in NODES}
    assert set(TABLE) - tried <= UNTESTED | TRIGONOMETRY
