"""What verify --on says of rounding ties: ties only, something else, or nothing."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow.emulate import Emulator
from edgeflow.emulate.ties import Ties, explains
from edgeflow.project.reference import Reference
from edgeflow.verify import device_ties
from edgeflow.verify.device_ties import ties_sentence
from tests.conftest import GOLDEN

MODEL = GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb"


def test_ties_only_or_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator(MODEL) as runner:
        (spec,), rng = runner.inputs, np.random.default_rng(7)
        samples = rng.standard_normal((3, *spec.shape[1:]), dtype=np.float32)
        feeds = [{spec.name: samples[k : k + 1]} for k in range(3)]
        outputs = np.concatenate([next(iter(runner.infer(feed).values())) for feed in feeds])
    reference = Reference({spec.name: samples}, (outputs,), None)

    def said(device: np.ndarray) -> str | None:
        return ties_sentence(MODEL, reference, [outputs], [device], "float32")

    assert said(outputs) is None
    other = outputs.copy()
    other[1, 0] += 0.01 * np.abs(outputs[1]).max()
    assert "computes otherwise" in str(said(other))
    assert "cannot explain run 1" in str(said(other))
    monkeypatch.setattr(device_ties, "ties", lambda *_, **__: Ties(1, 9, (0.01 * float(np.abs(outputs[1]).max()),)))
    assert "by rounding ties only: 1 of 3 runs" in str(said(other))
    other[2, 0] = np.nan
    assert "cannot explain run 2" in str(said(other))
    float_file = GOLDEN / "net_lenet__fp32" / "model.nb"
    assert ties_sentence(float_file, reference, [outputs], [other], "float32") is None


def test_what_is_no_number_is_never_explained() -> None:
    good, bad = np.ones((1, 2), np.float32), np.asarray([[1, np.nan]], np.float32)
    endless = Ties(1, 2, (float("inf"),))
    assert not explains(endless, [good], [bad])
    assert not explains(endless, [bad], [good])
    assert explains(Ties(0, 0, ()), [good], [good])
