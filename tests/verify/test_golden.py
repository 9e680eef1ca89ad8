"""Golden tensors come from the file itself, and the room a device has is the documented one."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow.core.settings import DriftLimits
from edgeflow.emulate import Emulator
from edgeflow.verify.golden import golden_tensors, max_abs
from tests.conftest import GOLDEN

MODEL = GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb"


def test_a_fixed_batch_sets_the_number_of_samples() -> None:
    with Emulator(MODEL) as emulator:
        spec = emulator.inputs[0]
        x = np.random.default_rng(0).random((9, *spec.shape[1:]), np.float32)
        found = golden_tensors(emulator, {spec.name: x})
        assert found is not None
        assert len(found.inputs[0]) == spec.shape[0] == 1
        np.testing.assert_array_equal(found.inputs[0], x[:1])
        np.testing.assert_array_equal(found.outputs[0], emulator.infer({spec.name: x[:1]})[emulator.outputs[0]])


def test_outputs_that_are_not_finite_are_no_golden_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator(MODEL) as emulator:
        plain = emulator.infer
        monkeypatch.setattr(
            emulator, "infer", lambda feed: {name: array * np.nan for name, array in plain(feed).items()}
        )
        assert (
            golden_tensors(emulator, {emulator.inputs[0].name: np.ones((1, *emulator.inputs[0].shape[1:]), np.float32)})
            is None
        )


SCORES = np.array([[3.0, -5.0], [1.0, 1.0]], np.float32)  # root mean square 3


@pytest.mark.parametrize(
    ("precision", "npu", "wanted"),
    [
        ("float32", None, 5e-4),
        ("float16", None, 0.1),
        ("int8", None, 5e-4),
        ("float32", DriftLimits(sqnr_db_min=40.0), 4 * 3 * 0.01),
        ("float32", DriftLimits(max_abs_max=0.25, sqnr_db_min=40.0), 0.25),
        ("float32", DriftLimits(cosine_min=0.995), 4 * 3 * 0.1),
        ("float32", DriftLimits(), 5e-4),
        ("int8", DriftLimits(sqnr_db_min=100.0), 0.1),
    ],
    ids=range(8),
)
def test_how_far_a_device_may_be_off(precision: str, npu: DriftLimits | None, wanted: float) -> None:
    assert max_abs([SCORES], precision, npu) == pytest.approx(wanted, rel=0.01)


def test_rounding_ties_widen_what_an_int8_device_may_show() -> None:
    assert max_abs([SCORES], "int8", None, spread=0.03) == pytest.approx(0.06, rel=0.01)
    assert max_abs([SCORES], "int8", None, spread=1e-6) == pytest.approx(5e-4, rel=0.01)


def test_the_largest_output_counts_and_whole_numbers_are_exact() -> None:
    assert max_abs([SCORES, SCORES * 100, np.array([999])], "float32", None) == pytest.approx(0.05)
    assert max_abs([np.array([3, 4])], "int8", None) == 0.0
    assert max_abs([np.zeros((2, 2), np.float32)], "float32", None) == 1e-6
