"""Latency statistics against NumPy, against their own promises, and on devices that throttle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow.core.errors import DataError
from edgeflow.core.latency import State, compare, percentile, ratio_interval, summary, unsteady

TIMES = st.lists(st.floats(1e-3, 1e5), min_size=1, max_size=40)
ROUNDS = st.lists(TIMES, min_size=1, max_size=4)


@given(TIMES, st.floats(0, 1))
def test_percentile_is_numpys(times: list[float], share: float) -> None:
    assert percentile(times, share) == pytest.approx(float(np.quantile(times, share)), rel=1e-9)


@given(TIMES)
def test_figures_are_in_order(times: list[float]) -> None:
    found = summary(times)
    assert found.runs == len(times)
    assert found.min_ms <= found.p50_ms <= found.p90_ms <= max(times)
    assert found.min_ms * (1 - 1e-12) <= found.mean_ms <= max(times) * (1 + 1e-12)


@settings(max_examples=20, deadline=None)
@given(ROUNDS, st.floats(0.1, 10), st.integers(0, 5))
def test_interval_holds_the_ratio_and_scales(rounds: list[list[float]], factor: float, seed: int) -> None:
    other = [[factor * t for t in times] for times in rounds]
    ratio, low, high = ratio_interval(rounds, other, seed=seed, resamples=50)
    assert low <= ratio <= high
    assert ratio == pytest.approx(factor, rel=1e-9)
    assert (ratio, low, high) == ratio_interval(rounds, other, seed=seed, resamples=50)
    doubled = ratio_interval(rounds, [[2 * t for t in times] for times in other], seed=seed, resamples=50)
    assert doubled == pytest.approx((2 * ratio, 2 * low, 2 * high), rel=1e-9)


def noisy(rng: np.random.Generator, middle: float, rounds: int = 6, runs: int = 30) -> list[list[float]]:
    return [list(middle * rng.lognormal(0, 0.02, runs)) for _ in range(rounds)]


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        _, low, high = ratio_interval(noisy(rng, 10), noisy(rng, 11), resamples=200)
        covered += low <= 1.1 <= high
    assert covered >= 52  # 95 % of 60 is 57


def test_two_equal_files_show_no_difference_and_a_slower_one_does() -> None:
    rng = np.random.default_rng(0)
    same = compare(noisy(rng, 10), noisy(rng, 10))
    assert "no difference" in same.conclusion
    slower = compare(noisy(rng, 10), noisy(rng, 12))
    assert slower.low > 1
    assert "slower" in slower.conclusion
    assert "faster" in compare(noisy(rng, 12), noisy(rng, 10)).conclusion


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([State(limit_khz=1800000), State(limit_khz=1200000)], "1800 to 1200 MHz"),
        ([State(temperature_c=60.0), State(temperature_c=84.5)], "84.5 degrees"),
        ([State(throttled=0), State(throttled=0x50004)], "firmware"),
    ],
)
def test_a_throttling_device_concludes_nothing(states: list[State], word: str) -> None:
    rng = np.random.default_rng(0)
    found = compare(noisy(rng, 10), noisy(rng, 12), states)
    assert any(word in reason for reason in found.refused)
    assert "nothing is concluded" in found.conclusion


def test_a_control_that_drifts_concludes_nothing() -> None:
    rng = np.random.default_rng(0)
    control = [[t * (1 + 0.03 * k) for t in times] for k, times in enumerate(noisy(rng, 10))]
    assert "medians moved by" in unsteady(control, [])[0]
    assert unsteady(noisy(rng, 10), [State(1800000, 600000, 45.0, 0x50000)] * 3) == ()  # throttled once, not now


def test_no_runs() -> None:
    with pytest.raises(DataError, match="no run was timed"):
        percentile([], 0.5)
    with pytest.raises(DataError, match="equally many"):
        ratio_interval([[1.0]], [])
