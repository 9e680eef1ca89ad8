"""Rounding ties: found where they are, and told from real differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from edgeflow.emulate import Emulator, arm
from edgeflow.emulate.graph import Graph, Value
from edgeflow.emulate.ties import Ties, explains, ties
from edgeflow.nb import read
from tests.conftest import golden_cases


def test_a_mask_names_what_lies_within_a_unit_of_half_a_step() -> None:
    below, above = np.nextafter(np.float32(53.5), np.float32(0)), np.nextafter(np.float32(2.5), np.float32(9))
    values = np.asarray([53.5, below, 53.4999, -0.5, 0.25, above, 2.5001, 126.99], np.float32)

    graph = Graph(mark=True)
    x = Value("x", "float32", values.shape)
    arm.quantise(graph, x)
    assert graph.watched is not None
    session = ort.InferenceSession(
        graph.build([x], graph.watched).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (mask,) = session.run(None, {"x": values})
    assert mask.tolist() == [True, True, False, True, False, False, False, False]


def test_a_device_that_rounds_ties_otherwise_is_told_from_a_wrong_one() -> None:
    case = next(c for c in golden_cases() if c.name == "net_mobilenet_v2__int8_ptq_hist")
    model = read(Path(case.model))
    runner = Emulator(model, threads=1)
    feed = {spec.name: array for spec, array in zip(runner.inputs, case.inputs(), strict=True)}
    outputs = list(runner.infer(feed).values())
    found = ties(model, feed)
    assert found.elements > 30_000
    assert explains(found, outputs, outputs)
    other = [array + 0.02 * np.abs(array).max() for array in outputs]
    assert not explains(Ties(0, found.elements, tuple(0.0 for _ in outputs)), outputs, other)
    assert explains(Ties(1, found.elements, tuple(0.02 * float(np.abs(a).max()) for a in outputs)), outputs, other)


def test_behind_a_recurrent_op_a_tie_is_as_wide_as_its_approximations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded GRU before an int8 layer: two values fell the other way at 2e-6 and 2.5e-5 of themselves from a tie."""
    case = next(c for c in golden_cases() if c.name == "net_crnn_lstm__int8_ptq_hist")
    model = read(Path(case.model))

    def marked() -> dict[int, int]:
        runner = Emulator(model, threads=1)
        feed = {spec.name: array for spec, array in zip(runner.inputs, case.inputs(), strict=True)}
        return {found.index: int(found.array.sum()) for found in runner.ties(feed)}

    wide = marked()
    monkeypatch.setattr("edgeflow.emulate.lower.AFTER_RECURRENT", 2.0**-23)
    narrow = marked()
    recurrent = next(k for k, op in enumerate(model.blocks[0].operations) if op.type == "rnn")
    assert all(wide[k] == narrow[k] for k in wide if k < recurrent)
    monkeypatch.setattr("edgeflow.emulate.lower.AFTER_RECURRENT", 2.0**-6)
    assert any(k > recurrent and count > narrow[k] for k, count in marked().items())
