"""Measures with known answers, and judgements in which NaN never passes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeflow.core.drift import broken, finite, measure
from edgeflow.core.errors import DataError
from edgeflow.core.metric_names import METRIC_NAMES
from edgeflow.core.metrics import METRICS
from edgeflow.core.settings import DriftLimits

TENSORS = arrays(np.float32, (3, 4), elements=st.floats(-100, 100, width=32))


@given(TENSORS)
def test_no_drift(x: np.ndarray) -> None:
    found = measure(x, x.copy())
    assert found.max_abs == found.mean_abs == 0
    assert found.sqnr_db == math.inf
    assert found.cosine == pytest.approx(1.0)


@given(TENSORS, TENSORS)
def test_drift_is_symmetric_where_it_should_be(x: np.ndarray, y: np.ndarray) -> None:
    a, b = measure(x, y), measure(y, x)
    assert a.max_abs == b.max_abs
    assert a.cosine == pytest.approx(b.cosine)
    assert 0 <= a.mean_abs <= a.max_abs


def test_known_values() -> None:
    found = measure(np.asarray([[3.0, 4.0]]), np.asarray([[3.0, 3.0]]))
    assert found.max_abs == 1
    assert found.mean_abs == 0.5
    assert found.sqnr_db == pytest.approx(10 * math.log10(25))
    assert found.cosine == pytest.approx(21 / (5 * math.sqrt(18)))


def test_shapes_must_agree_up_to_a_missing_axis() -> None:
    assert measure(np.zeros((1,)), np.zeros(())).max_abs == 0
    with pytest.raises(DataError, match="cannot be compared"):
        measure(np.zeros(3), np.zeros(4))


def test_nan_never_passes() -> None:
    found = measure(np.asarray([[1.0, 2.0]]), np.asarray([[np.nan, 2.0]]))
    assert broken(found, DriftLimits())
    assert broken(found, DriftLimits(cosine_min=0.0, max_abs_max=1e9))


LIMITS = DriftLimits(max_abs_max=1e9, mean_abs_max=1e9, cosine_min=-1.0, sqnr_db_min=-1e9)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("shape", [(), (3,), (2, 4), (2, 1, 3, 3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_no_number_is_beyond_every_limit_and_raises_nothing(value: float, shape, dtype) -> None:  # type: ignore[no-untyped-def]
    plain, odd = np.ones(shape, dtype), np.ones(shape, dtype)
    odd.reshape(-1)[-1] = value
    found = broken(measure(plain, odd), LIMITS)
    assert len(found) == 5 and ("NaN" if math.isnan(value) else "infinities") in found[-1]
    assert broken(measure(odd, plain), LIMITS)
    assert broken(measure(plain, odd), DriftLimits()), "also where no limit is set"
    if not math.isnan(value):
        same = measure(odd, odd.copy())
        assert not broken(same, DriftLimits(max_abs_max=0, cosine_min=1 - 1e-12, sqnr_db_min=300))
        assert broken(measure(odd, -odd), LIMITS), "infinities of opposite signs"


@pytest.mark.parametrize("shape", [(0,), (0, 5), (3, 0), (2, 0, 4)])
def test_outputs_without_elements_are_equal(shape: tuple[int, ...]) -> None:
    found = measure(np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    assert found.max_abs == 0 and found.sqnr_db == math.inf


def test_whole_numbers_and_truths_are_measured_exactly() -> None:
    assert measure(np.asarray([2**60]), np.asarray([2**60 + 1])).max_abs == 1
    assert measure(np.asarray([0, 255], np.uint8), np.asarray([255, 0], np.uint8)).max_abs == 255
    assert measure(np.asarray([True, False]), np.asarray([True, True])).max_abs == 1
    assert measure(np.asarray([3e38, 1.0]), np.asarray([-3e38, 1.0])).sqnr_db == pytest.approx(20 * math.log10(0.5))


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        (DriftLimits(), 0),
        (DriftLimits(max_abs_max=0.5), 1),
        (DriftLimits(max_abs_max=2), 0),
        (DriftLimits(sqnr_db_min=20), 1),
        (DriftLimits(cosine_min=0.9999, mean_abs_max=0.1), 2),
        (DriftLimits(metric_drop_max=0.01), 1),
    ],
)
def test_limits(limits: DriftLimits, count: int) -> None:
    found = measure(np.asarray([[3.0, 4.0]]), np.asarray([[3.0, 3.0]]))
    assert len(broken(found, limits, metric_drop=0.02)) == count


def test_limits_override() -> None:
    base = DriftLimits(cosine_min=0.9, sqnr_db_min=10)
    assert base.overridden(DriftLimits(cosine_min=0.5)) == DriftLimits(cosine_min=0.5, sqnr_db_min=10)


def test_metrics() -> None:
    scores = np.asarray([[0.1, 0.9, 0], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    assert METRICS["top1"]([scores], np.asarray([1, 0, 0])) == pytest.approx(2 / 3)
    assert METRICS["top5"]([scores], np.asarray([1, 0, 0])) == 1.0
    assert {*METRICS, "map", "spearman"} == set(METRIC_NAMES)
    with pytest.raises(DataError, match="2 labels for 3 samples"):
        METRICS["top1"]([scores], np.asarray([1, 0]))


def test_json_has_no_infinity() -> None:
    assert finite({"a": math.inf, "b": math.nan, "c": 1.5}) == {"a": "inf", "b": "nan", "c": 1.5}
