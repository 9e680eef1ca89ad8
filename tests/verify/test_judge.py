"""Judging: batches where they are safe, and nothing that could pass by mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.errors import DataError
from edgeflow.core.settings import DriftLimits, VerifySettings
from edgeflow.emulate import Emulator
from edgeflow.emulate.examined import Examined
from edgeflow.nb import write
from edgeflow.project.reference import Reference, load_reference
from edgeflow.verify.execute import Ran, outputs_of, run_here, takes_batches
from edgeflow.verify.judge import judge
from tests.conftest import GOLDEN
from tests.nb.make import model, op

LENET = GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb"


class Counting(Emulator):
    """Counts how often it is asked."""

    calls = 0

    def infer(self, feed):  # type: ignore[no-untyped-def]
        self.calls += 1
        return super().infer(feed)


def reference(count: int) -> Reference:
    x = np.random.default_rng(0).random((count, 1, 32, 32), np.float32)
    runner = Emulator(LENET)
    outputs = np.concatenate([runner.infer({"x": x[i : i + 1]})[runner.outputs[0]] for i in range(count)])
    return Reference({"x": x}, (outputs,), None)


def test_a_file_for_one_sample_is_judged_in_batches() -> None:
    wanted = reference(200)
    runner = Counting(LENET)
    assert runner.inputs[0].shape[0] == 1
    got = outputs_of(runner, wanted)
    assert np.allclose(got[0], wanted.outputs[0], atol=1e-6)
    assert runner.calls < 10


def test_a_graph_with_the_batch_written_into_it_is_run_one_by_one() -> None:
    for shape in ((1, 192), (-1, 192)):  # the second gives one row for one sample and several for several: safe
        runner = Emulator(model([op("reshape2", {"X": "x"}, {"Out": "y"}, shape=shape)]))
        x = np.random.default_rng(0).random((4, 3, 8, 8), np.float32)
        assert takes_batches(runner, Reference({"x": x}, (x.reshape(4, 192),), None)) is (shape[0] == -1)
    mixing = Emulator(model([op("softmax", {"X": "x"}, {"Out": "y"}, axis=0)]))
    assert not takes_batches(mixing, Reference({"x": x}, (np.ones_like(x),), None))
    got = outputs_of(mixing, Reference({"x": x}, (np.ones_like(x),), None))
    assert np.allclose(got[0], 1)


def test_constant_outputs_do_not_pass(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((5, 3, 8, 8), np.float32)
    write(model([op("scale", {"X": "x"}, {"Out": "y"}, scale=0.0, bias=0.0)]), tmp_path / "zero.nb")
    given = Reference({"x": x}, (x,), None)
    ran = run_here(Examined(tmp_path / "zero.nb"), given)
    verdict = judge(given, ran, VerifySettings(None, DriftLimits(cosine_min=0.5)))
    assert not verdict.passed
    assert verdict.outputs[0].drift.cosine == 0


def test_references_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    for arrays, message in (
        ({}, "should hold input"),
        ({"input/x": np.zeros(3)}, "should hold input"),
        ({"input/x": np.zeros(3), "output/1": np.zeros(3)}, "should hold input"),
        ({"input/x": np.zeros((0, 3)), "output/0": np.zeros(3)}, "samples"),
        ({"input/x": np.zeros(3), "input/z": np.zeros(4), "output/0": np.zeros(3)}, "samples"),
        ({"input/x": np.zeros(3), "output/0": np.asarray([0, np.nan, 0])}, "output/0 holds NaN in sample 1"),
        ({"input/x": np.full(3, np.inf), "output/0": np.zeros(3)}, "NaN or infinity"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=message):
            load_reference(path)
    np.savez(path, **{"input/x": np.zeros(3), "output/0": np.full(3, -np.inf)})
    assert np.isinf(load_reference(path).outputs[0]).all(), "a mask may be infinite"


def test_metric_without_labels_is_said() -> None:
    ran = run_here(Examined(LENET), reference(4))
    found = judge(reference(4), ran, VerifySettings("top1", DriftLimits(metric_drop_max=0.1)))
    assert found.verdict == "NOT JUDGED", "the one limit there is could be held against nothing"
    assert "metric top1: the reference has no labels" in found.not_checked


def test_copies_of_a_sample_count_once() -> None:
    random = np.random.default_rng(0)
    x, y = random.random((10, 4), np.float32), random.normal(size=(10, 5)).astype(np.float32)
    given = Reference({"x": np.tile(x, (45, 1))}, (np.tile(y, (45, 1)),), np.tile(y.argmax(1), 45))
    settings = VerifySettings("top1", DriftLimits(top1_agreement_min=0.97, metric_drop_max=0.02))
    ran = Ran((given.outputs[0] * np.float32(1.0001),), ("out",), "test")
    found = judge(given, ran, settings)
    assert found.verdict == "INCONCLUSIVE" and found.samples == 10 and len(found.arrays[0]) == 450
    assert any("440 of 450 samples: they are copies" in text for text in found.not_checked)
    moved = Reference({"x": given.inputs["x"] + np.arange(450, dtype=np.float32)[:, None]}, given.outputs, given.labels)
    assert judge(moved, ran, settings).samples == 450, "other inputs with the same answer are no copies"


def test_a_part_near_zero_may_be_off_by_what_float32_rounds_the_others_by() -> None:
    y = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    y[:, 4:] *= np.float32(1e-5)
    given = Reference({"x": y}, (y,), None)
    settings = VerifySettings(None, DriftLimits(sqnr_db_min=60.0))
    for off, verdict in ((1e-7, "PASS"), (1e-6, "FAIL")):
        got = y.copy()
        got[:, 4:] += np.float32(off)
        found = judge(given, Ran((got,), ("out",), "test"), settings)
        assert found.verdict == verdict and len(found.outputs[0].parts) == 2, (off, found.broken)
