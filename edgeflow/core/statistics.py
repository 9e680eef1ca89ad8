"""Is a loss real, and is it within the budget: paired statistics over samples; knows no models.

Source: Q. McNemar, Psychometrika 12 (1947), in its exact binomial form; T. Tango, Equivalence test and confidence
interval for
the difference in proportions for the paired-sample design, Statistics in Medicine 17 (1998); B. Efron, R. Tibshirani,
An
Introduction to the Bootstrap (1993), ch. 13.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgeflow.core.drift import shown

Array = npt.NDArray[Any]
CONFIDENCE = 0.90
"""Of the two-sided interval: each of its bounds alone holds with 95 %, as tests of non-inferiority ask.
Source: D. Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987), two one-sided tests."""

RESAMPLES = 1000
SAMPLES_MAX = 10_000_000
"""More samples than this are not asked for: the budget is then finer than any test set."""

Word = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What paired samples say about a budget. `drop` is reference minus candidate: positive is worse.

    `better` and `worse` count samples that only the candidate, or only the reference, gets right (None for metrics
    that do
    not judge samples one by one). `p_value` is for "nothing changed". `more_samples`: how many further ones would
    decide, None
    where it is decided already or no number would.
    """

    test: str
    budget: float
    drop: float
    interval: tuple[float, float]
    confidence: float
    p_value: float | None
    better: int | None
    worse: int | None
    verdict: Word
    more_samples: int | None
    sentence: str


def decide_paired(reference: Array, candidate: Array, budget: float, confidence: float = CONFIDENCE) -> Decision:
    """Compare two lists of right answers with the exact McNemar test.

    Args:
        reference, candidate: bool[samples], which samples each gets right.
        budget: share of samples that may be lost.

    Returns:
        PASS where the interval of the drop lies within the budget, or no answer changed at all; FAIL where it lies
        beyond;
        else INCONCLUSIVE.
    """
    count = len(reference)
    worse = int(np.count_nonzero(reference & ~candidate))
    better = int(np.count_nonzero(~reference & candidate))
    drop, interval = (worse - better) / count, tango(worse, better, count, confidence)
    word = _word(interval, budget)
    if worse == better == 0 and budget >= 0:
        word = "PASS"
    more = _more_paired(worse, better, count, budget, confidence) if word == "INCONCLUSIVE" else None
    found = Decision(
        "exact McNemar", budget, drop, interval, confidence, mcnemar(worse, better), better, worse, word, more, ""
    )
    return _with_sentence(found, count)


def decide_bootstrap(
    metric: Callable[[Array], tuple[float, float]],
    count: int,
    budget: float,
    *,
    higher_is_better: bool = True,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Decision:
    """Compare by any metric over resampled samples, the same ones for both.

    Args:
        metric: of the indices of samples, the reference's and the candidate's value.
    """
    random = np.random.default_rng(seed)
    sign = 1.0 if higher_is_better else -1.0
    reference, candidate = metric(np.arange(count))
    drop = sign * (reference - candidate)
    drops = []
    for _ in range(resamples):
        a, b = metric(random.integers(0, count, count))
        drops.append(sign * (a - b))
    tail = (1 - confidence) / 2
    values = np.asarray(drops)
    if not np.isfinite(values).all() or not math.isfinite(drop):
        low = high = math.nan
    else:
        low, high = (float(v) for v in np.quantile(values, (tail, 1 - tail)))
    word = _word((low, high), budget)
    more = None
    if word == "INCONCLUSIVE" and math.isfinite(high):
        # The interval shrinks with the root of the number of samples.
        half, room = (high - low) / 2, abs(budget - drop)
        more = _bounded(count * ((half / room) ** 2 - 1)) if room > 0 else None
    p_value = None if math.isnan(low) else min(1.0, 2 * min(float(np.mean(values <= 0)), float(np.mean(values >= 0))))
    found = Decision("paired bootstrap", budget, drop, (low, high), confidence, p_value, None, None, word, more, "")
    return _with_sentence(found, count, higher_is_better=higher_is_better)


def mcnemar(worse: int, better: int) -> float:
    """Two-sided exact p-value for as many changed answers one way as the other."""
    count, least = worse + better, min(worse, better)
    if count == 0:
        return 1.0
    tail = sum(
        math.exp(math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) - count * math.log(2))
        for k in range(least + 1)
    )
    return min(1.0, 2 * tail)


def tango(worse: int, better: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Score interval of (worse - better) / count; close to its level also for few or no changed answers."""
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2

    def score(delta: float) -> float:
        a = 2 * count
        b = -worse - better + (2 * count - worse + better) * delta
        c = -better * delta * (1 - delta)
        q = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (
            2 * a
        )  # the share of `better` if the true difference were delta
        variance = count * (2 * q + delta * (1 - delta))
        gap = worse - better - count * delta
        return gap * gap - z2 * max(variance, 1e-12)

    middle = (worse - better) / count
    return _root(score, middle, -1.0), _root(score, middle, 1.0)


def _root(score: Callable[[float], float], inside: float, edge: float) -> float:
    """Where the score leaves the interval, between a point inside and the edge."""
    if score(edge * (1 - 1e-12)) < 0:
        return edge
    for _ in range(80):
        middle = (inside + edge) / 2
        inside, edge = (middle, edge) if score(middle) <= 0 else (inside, middle)
    return inside


def _word(interval: tuple[float, float], budget: float) -> Word:
    low, high = interval
    if math.isnan(low) or math.isnan(high):
        return "FAIL"
    return "PASS" if high <= budget else "FAIL" if low > budget else "INCONCLUSIVE"


def _more_paired(worse: int, better: int, count: int, budget: float, confidence: float) -> int | None:
    """Double the samples at the rates seen until they decide, then halve back."""

    def decides(factor: float) -> bool:
        n = round(count * factor)
        return _word(tango(round(worse * factor), round(better * factor), n, confidence), budget) != "INCONCLUSIVE"

    high = 2.0
    while not decides(high):
        high *= 2
        if count * high > SAMPLES_MAX:
            return None
    low = high / 2
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return _bounded(count * (high - 1))


def _bounded(value: float) -> int | None:
    return math.ceil(value) if math.isfinite(value) and 0 < value <= SAMPLES_MAX else None


def _with_sentence(found: Decision, count: int, *, higher_is_better: bool = True) -> Decision:
    from dataclasses import replace

    low, high = (shown(bound) for bound in found.interval)
    changed = (
        "" if found.worse is None else (f"{found.worse} answers became wrong and {found.better} right of {count}; ")
    )
    moved = moved_by(found.drop, higher_is_better=higher_is_better)
    span = f"{changed}the metric {moved}, its loss lies in [{low}, {high}], budget {shown(found.budget)}"
    if found.verdict == "PASS" and found.interval[1] > found.budget:
        text = (
            f"no answer changed on {count} samples, so nothing speaks for a loss; "
            f"one up to {found.interval[1]:.2g} cannot be excluded"
        )
    elif found.verdict == "INCONCLUSIVE":
        text = f"{span}: these samples cannot tell" + (
            f"; about {found.more_samples} more would" if found.more_samples else ""
        )
    else:
        text = f"{span}: {'within it' if found.verdict == 'PASS' else 'beyond it'}"
    return replace(found, sentence=text)


def moved_by(drop: float, *, higher_is_better: bool = True) -> str:
    """How a metric moved, in words: `drops by 0.02`, `rises by 0.02`; where lower is better it says so."""
    if math.isnan(drop):
        return "is not a number"
    if drop == 0:
        return "stays as it is"
    size = shown(abs(drop))
    if higher_is_better:
        return f"{'drops' if drop > 0 else 'rises'} by {size}"
    return f"{'rises' if drop > 0 else 'falls'} by {size}, lower being better"
