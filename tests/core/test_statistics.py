"""Paired statistics: known values, intervals that hold their level, and verdicts that never mislead."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from edgeflow.core.statistics import (
    binomial_interval,
    decide_bootstrap,
    decide_paired,
    decide_share,
    mcnemar,
    more_for_share,
    moved_by,
    paired_interval,
    tango,
)


@pytest.mark.parametrize(
    ("worse", "better", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (0, 5, 0.0625), (10, 2, 0.0385742), (6, 6, 1.0)]
)
def test_mcnemar_is_the_exact_binomial(worse: int, better: int, p: float) -> None:
    assert mcnemar(worse, better) == pytest.approx(p, rel=1e-4)


def test_tango_against_its_paper() -> None:
    """Tango 1998, table 3: 43 pairs of which 0 and 1 are discordant, and 44 of 54 and 9 of 54."""
    low, high = tango(1, 0, 44, 0.95)
    assert (low, high) == (pytest.approx(-0.0587, abs=2e-3), pytest.approx(0.1184, abs=2e-3))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 500))
def test_the_interval_holds_the_difference_and_shrinks(worse: int, better: int, same: int) -> None:
    count = worse + better + same + 1
    low, high = tango(worse, better, count, 0.95)
    drop = (worse - better) / count
    assert -1 <= low <= drop + 1e-9 and drop - 1e-9 <= high <= 1
    wide = high - low
    low, high = tango(4 * worse, 4 * better, 4 * count, 0.95)
    assert high - low <= wide + 1e-9


def answers(count: int, worse: int, better: int) -> tuple[np.ndarray, np.ndarray]:
    reference = np.ones(count, bool)
    candidate = reference.copy()
    candidate[:worse] = False
    reference[count - better :] = False
    return reference, candidate


@pytest.mark.parametrize(
    ("count", "worse", "better", "budget", "verdict"),
    [
        (450, 0, 0, 0.001, "INCONCLUSIVE"),
        (450, 0, 0, 0.01, "PASS"),
        (450, 0, 1, 0.01, "PASS"),
        (450, 60, 0, 0.01, "FAIL"),
        (450, 1, 1, 0.01, "PASS"),
        (450, 4, 0, 0.01, "INCONCLUSIVE"),
        (10_000, 40, 10, 0.01, "PASS"),
        (10_000, 200, 10, 0.01, "FAIL"),
        (20, 1, 0, 0.01, "INCONCLUSIVE"),
    ],
)
def test_verdicts(count: int, worse: int, better: int, budget: float, verdict: str) -> None:
    found = decide_paired(*answers(count, worse, better), budget)
    assert found.verdict == verdict and found.drop == pytest.approx((worse - better) / count)
    assert (found.more_samples is not None) == (verdict == "INCONCLUSIVE")
    if found.more_samples:
        factor = (count + found.more_samples) / count
        again = decide_paired(*answers(round(count * factor), round(worse * factor), round(better * factor)), budget)
        assert again.verdict != "INCONCLUSIVE" or abs(found.drop - budget) < 0.5 / count, "so many samples would decide"


def test_intervals_hold_their_level() -> None:
    """Of 400 draws, about 95 % of the intervals hold the true drop."""
    random, held = np.random.default_rng(0), 0
    for _ in range(400):
        changed = random.random(300)
        worse, better = int((changed < 0.04).sum()), int((changed > 0.99).sum())
        low, high = tango(worse, better, 300, 0.95)
        held += low <= 0.03 <= high
    assert 0.92 <= held / 400 <= 0.99


def test_bootstrap_agrees_and_nan_fails() -> None:
    random = np.random.default_rng(1)
    a = random.random(500)
    b = a - 0.02 + 0.01 * random.standard_normal(500)

    def means(chosen: np.ndarray) -> tuple[float, float]:
        return float(a[chosen].mean()), float(b[chosen].mean())

    assert decide_bootstrap(means, 500, 0.03).verdict == "PASS"
    assert decide_bootstrap(means, 500, 0.01).verdict == "FAIL"
    assert decide_bootstrap(means, 500, -0.03, higher_is_better=False).verdict == "FAIL", (
        "an error rate that fell by 0.02"
    )
    assert decide_bootstrap(means, 500, 0.02).verdict == "INCONCLUSIVE"
    nan = decide_bootstrap(lambda chosen: (1.0, math.nan), 10, 0.5)
    assert nan.verdict == "FAIL"
    assert decide_bootstrap(lambda chosen: (math.nan, math.nan), 10, 0.5).verdict == "INCONCLUSIVE"
    rare = iter(range(10_000))
    some = decide_bootstrap(lambda chosen: (math.nan,) * 2 if next(rare) % 10 == 5 else (1.0, 1.0), 1000, 0.01)  # type: ignore[arg-type,return-value]
    assert some.verdict == "PASS", "a draw without one of the classes has no value, and decides nothing"


@pytest.mark.parametrize(
    ("drop", "higher", "words"),
    [
        (0.02, True, "drops by 0.02"),
        (-0.02, True, "rises by 0.02"),
        (0.55, False, "rises by 0.55, lower being better"),
        (-0.02, False, "falls by 0.02, lower being better"),
        (-0.0, True, "stays as it is"),
        (math.nan, True, "is not a number"),
    ],
)
def test_a_gain_is_no_negative_drop(drop: float, higher: bool, words: str) -> None:
    assert moved_by(drop, higher_is_better=higher) == words


def test_the_sentence_says_a_gain_as_one() -> None:
    gained = decide_paired(*answers(200, 0, 4), 0.01)
    assert "the metric rises by 0.02, its loss lies in [" in gained.sentence and "drops by" not in gained.sentence
    assert "-0]" not in gained.sentence and "-0," not in gained.sentence


@given(st.integers(0, 60), st.integers(0, 300))
def test_shares_are_bounded_as_scipy_bounds_them(hits: int, rest: int) -> None:
    count = max(hits + rest, 1)
    found = binomtest(hits, count).proportion_ci(0.90, "exact")
    assert binomial_interval(hits, count) == pytest.approx((found.low, found.high), abs=1e-9)


@pytest.mark.parametrize("count", [1, 5, 20, 100, 300, 1000])
@pytest.mark.parametrize("times", [1.001, 5.0])
@pytest.mark.parametrize("churn", [0.0, 0.02])
def test_a_drop_beyond_the_budget_passes_in_one_of_twenty_sets(count: int, times: float, churn: float) -> None:
    """Both tests, at the budget and at five of them, with answers that also change to the better."""
    random, budget, sets = np.random.default_rng(0), 0.02, 400
    paired = cache(lambda worse, better: paired_interval(worse, better, count)[1] <= budget)
    passed = again = 0
    for k in range(sets):
        kind = random.random(count)
        worse, better = kind < budget * times + churn, kind > 1 - churn
        passed += paired(int(worse.sum()), int(better.sum()))
        if k < 60:
            drop = worse.astype(float) - better

            def means(chosen: np.ndarray, drop: np.ndarray = drop) -> tuple[float, float]:
                return 1.0, 1.0 - float(drop[chosen].mean())

            again += decide_bootstrap(means, count, budget, resamples=100).verdict == "PASS"
    assert passed <= 0.05 * sets + 2 * math.sqrt(0.05 * 0.95 * sets)
    assert again <= 0.05 * 60 + 2 * math.sqrt(0.05 * 0.95 * 60)


def test_agreement_is_decided_by_its_interval() -> None:
    assert decide_share(1, 50, 0.99) == "INCONCLUSIVE", "one answer of fifty is no proof against 0.99"
    assert decide_share(0, 50, 0.99) == "INCONCLUSIVE" and decide_share(0, 450, 0.99) == "PASS"
    assert decide_share(10, 50, 0.99) == "FAIL"
    more = more_for_share(0, 50, 0.99)
    assert more is not None and decide_share(0, 50 + more, 0.99) == "PASS"
