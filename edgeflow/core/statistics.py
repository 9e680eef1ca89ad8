"""Is a loss real, and is it within the budget: paired statistics over samples; knows no models.

Source: Q. McNemar, Psychometrika 12 (1947), in its exact binomial form; T. Tango, Equivalence test and confidence
interval for the difference in proportions for the paired-sample design, Statistics in Medicine 17 (1998); B. Efron, R.
Tibshirani, An Introduction to the Bootstrap (1993), ch. 13.
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
from edgeflow.core.progress import counted

Array = npt.NDArray[Any]
CONFIDENCE = 0.90
"""Of the two-sided interval: each of its bounds alone holds with 95 %, as tests of non-inferiority ask.
Source: D. Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987), two one-sided tests."""

RESAMPLES = 1000
DRAWS_MIN = 0.8
"""Share of draws that must have a value: a metric may have none where a draw lacks a class."""

EXACT_MAX = 200
"""Beyond so many changed answers the score interval is as good as the exact one."""

SAMPLES_MAX = 10_000_000
"""More samples than this are not asked for: the budget is then finer than any test set."""

Word = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What paired samples say about a budget. `drop` is reference minus candidate: positive is worse.

    `better` and `worse` count samples that only the candidate, or only the reference, gets right (None for metrics that
    do not judge samples one by one). `p_value` is for "nothing changed". `more_samples`: how many further ones would
    decide, None where it is decided already or no number would.
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
        PASS where the interval of the drop lies within the budget, FAIL where it lies beyond, else INCONCLUSIVE. No
        change at all is no proof either: n samples without one leave room for a loss of about 3/n.
    """
    count = len(reference)
    worse = int(np.count_nonzero(reference & ~candidate))
    better = int(np.count_nonzero(~reference & candidate))
    drop, interval = (worse - better) / count, paired_interval(worse, better, count, confidence)
    word = _word(interval, budget)
    more = _more_paired(worse, better, count, budget, confidence) if word == "INCONCLUSIVE" else None
    found = Decision(
        "exact McNemar", budget, drop, interval, confidence, mcnemar(worse, better), better, worse, word, more, ""
    )
    return _with_sentence(found, count)


def decide_clustered(
    reference: Array, candidate: Array, groups: Array, budget: float, confidence: float = CONFIDENCE
) -> Decision:
    """The same where samples come in groups, such as the lines of a page, of which one fault may change many.

    The interval is nowhere narrower than the one that counts groups as the samples: the sum of each group's changes
    gives the variance of the ratio. Source: W. Cochran, Sampling Techniques (1977), section 9A; K.-Y. Liang, S. Zeger,
    Biometrika 73 (1986).

    Args:
        groups: int64[samples], the group of each.
    """
    found = decide_paired(reference, candidate, budget, confidence)
    change = reference.astype(np.float64) - candidate.astype(np.float64) - found.drop
    sums = np.bincount(groups, weights=change)[np.unique(groups)]
    if len(sums) < 2:
        low, high = -1.0, 1.0
    else:
        spread = math.sqrt(len(sums) / (len(sums) - 1) * float((sums**2).sum())) / len(change)
        reach = _student(len(sums) - 1, confidence) * spread
        low, high = min(found.interval[0], found.drop - reach), max(found.interval[1], found.drop + reach)
    if (low, high) == found.interval:
        return found
    word = _word((low, high), budget)
    more = None
    if word == "INCONCLUSIVE" and len(sums) > 1:
        narrow = (high - found.drop, found.drop - low)

        def decides(n: int) -> bool:
            factor = math.sqrt(len(change) / n)
            ends = found.drop - narrow[1] * factor, found.drop + narrow[0] * factor
            return _word(ends, budget) != "INCONCLUSIVE"

        more = _more(decides, len(change))
    wider = Decision(
        "exact McNemar, groups as samples",
        budget,
        found.drop,
        (low, high),
        confidence,
        found.p_value,
        found.better,
        found.worse,
        word,
        more,
        "",
    )
    return _with_sentence(wider, len(change))


def paired_interval(worse: int, better: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Tango's interval of (worse - better) / count, nowhere narrower than the exact one of the net change.

    The score interval alone is a little too short where hardly an answer changed: with none of 268 it excludes a loss
    of 1 %, which leaves no trace in 6.8 % of such sets.
    """
    low, high = tango(worse, better, count, confidence)
    net = worse - better
    if abs(net) <= EXACT_MAX:
        more, fewer = (binomial_interval(max(n, 0), count, confidence) for n in (net, -net))
        high = max(high, more[1] if net >= 0 else -fewer[0])
        low = min(low, more[0] if net > 0 else -fewer[1])
    return low, high


def binomial_interval(hits: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of a share.

    Source: C. Clopper, E. Pearson, Biometrika 26 (1934).
    """
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _share_where(lambda share: binomial_tail(hits - 1, count, share) > 1 - tail)
    high = 1.0 if hits == count else _share_where(lambda share: binomial_tail(hits, count, share) > tail)
    return low, high


def binomial_tail(hits: int, count: int, share: float) -> float:
    """How likely at most so many hits are."""
    if share <= 0 or hits >= count:
        return 1.0
    if share >= 1:
        return 0.0
    k = np.arange(1, hits + 1)
    steps = np.log((count - k + 1) / k) + math.log(share) - math.log1p(-share)
    return min(1.0, float(np.exp(np.concatenate([[0.0], np.cumsum(steps)]) + count * math.log1p(-share)).sum()))


def _share_where(likely: Callable[[float], bool]) -> float:
    """The share up to which something falling is likely."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if likely(middle) else (low, middle)
    return high


def decide_share(changed: float, count: int, kept_min: float, confidence: float = CONFIDENCE) -> Word:
    """Whether at least a share of samples is kept, where `changed` of them (parts of one allowed) are not."""
    low = binomial_interval(math.floor(changed), count, confidence)[0]
    high = binomial_interval(math.ceil(changed), count, confidence)[1]
    return _word((low, high), 1 - kept_min + 1e-12)


def more_for_share(changed: float, count: int, kept_min: float, confidence: float = CONFIDENCE) -> int | None:
    """How many further samples with changes at the same rate would decide."""
    return _more(
        lambda n: decide_share(round(changed * n / count, 6), n, kept_min, confidence) != "INCONCLUSIVE", count
    )


def decide_mean(lost: Array, allowed: float, confidence: float = CONFIDENCE) -> Word:
    """Whether samples that each lose a part lose at most `allowed` in the mean.

    Student's interval, to whose upper end one more sample is reckoned that loses all that is allowed: without it
    a few samples that lose nothing would have an interval of no width. Two samples therefore never pass.

    Args:
        lost: float64[samples], what each loses, in 0..1.
    """
    count = len(lost)
    more = np.append(lost, allowed)
    high = float(more.mean()) + _student(count, confidence) * float(more.std(ddof=1)) / math.sqrt(count + 1)
    low = float(lost.mean())
    if count > 1:
        low -= _student(count - 1, confidence) * float(lost.std(ddof=1)) / math.sqrt(count)
    if low > allowed:
        return "FAIL"
    return "PASS" if high <= allowed and count > 2 else "INCONCLUSIVE"


def _student(freedom: int, confidence: float) -> float:
    """The quantile of Student's t for a two-sided interval.

    Source: M. Abramowitz, I. Stegun, Handbook of Mathematical Functions, 26.7.5; exact for one and two degrees.
    """
    tail = 0.5 + confidence / 2
    if freedom == 1:
        return math.tan(math.pi * (tail - 0.5))
    if freedom == 2:
        return float((2 * tail - 1) * math.sqrt(2 / (4 * tail * (1 - tail))))
    z = NormalDist().inv_cdf(tail)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return math.fsum(term / float(freedom) ** k for k, term in enumerate(terms))


def decide_bootstrap(
    metric: Callable[[Array], tuple[float, float]],
    count: int,
    budget: float,
    *,
    higher_is_better: bool = True,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
    reach: float = 1.0,
) -> Decision:
    """Compare by any metric over resampled samples, the same ones for both.

    Args:
        metric: of the indices of samples, the reference's and the candidate's value. NaN where a draw has none.
        reach: how far the metric of a single sample can fall; 1 for shares. The samples are taken to have missed one
            that falls so far, for resampling never shows what no sample showed.

    Returns:
        FAIL also where only the candidate has no value, INCONCLUSIVE where the reference has none.
    """
    random = np.random.default_rng(seed)
    sign = 1.0 if higher_is_better else -1.0
    reference, candidate = metric(np.arange(count))
    drop = sign * (reference - candidate)
    drops = []
    for _ in counted(range(resamples), "draws"):
        a, b = metric(random.integers(0, count, count))
        drops.append(sign * (a - b))
    values = np.asarray(drops)
    values = values[np.isfinite(values)]
    word: Word
    if not (math.isfinite(drop) and len(values) >= resamples * DRAWS_MIN):
        low = high = math.nan
        lost = math.isfinite(reference) and not math.isfinite(candidate)
        word = "FAIL" if lost else "INCONCLUSIVE"
    else:
        spread = float(values.std())
        ends = tuple(float(v) for v in np.quantile(values, ((1 - confidence) / 2, (1 + confidence) / 2)))
        low, high = _widened(drop, ends, spread, reach / count)
        word = _word((low, high), budget)
    more = None
    if word == "INCONCLUSIVE" and math.isfinite(high):

        def decides(n: int) -> bool:
            narrow = math.sqrt(count / n)  # the interval shrinks with the root of the number of samples
            shrunk = (drop - (drop - ends[0]) * narrow, drop + (ends[1] - drop) * narrow)
            return _word(_widened(drop, shrunk, spread * narrow, reach / n), budget) != "INCONCLUSIVE"

        more = _more(decides, count)
    p_value = None if math.isnan(low) else min(1.0, 2 * min(float(np.mean(values <= 0)), float(np.mean(values >= 0))))
    found = Decision("paired bootstrap", budget, drop, (low, high), confidence, p_value, None, None, word, more, "")
    return _with_sentence(found, count, higher_is_better=higher_is_better)


def _widened(drop: float, ends: tuple[float, ...], spread: float, one: float) -> tuple[float, float]:
    """The interval with room for one sample more that is lost, and two standard errors of that.

    With k of n samples lost this is (k + 1 + 2 sqrt(k + 1)) / n, at or above the exact bound of 95 % for every k.
    """
    return min(ends[0], drop - one), max(ends[1], drop + one + 2 * math.hypot(spread, one))


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
    return "PASS" if high <= budget else "FAIL" if low > budget else "INCONCLUSIVE"


def _more_paired(worse: int, better: int, count: int, budget: float, confidence: float) -> int | None:
    """Samples at the rates seen until they decide."""

    def decides(n: int) -> bool:
        factor = n / count
        interval = paired_interval(round(worse * factor), round(better * factor), n, confidence)
        return _word(interval, budget) != "INCONCLUSIVE"

    return _more(decides, count)


def _more(decides: Callable[[int], bool], count: int) -> int | None:
    """Double the samples until they decide, then halve back."""
    high = 2 * count
    while not decides(high):
        high *= 2
        if high > SAMPLES_MAX:
            return None
    low = high // 2
    while high - low > max(high // 1000, 1):
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high - count


def _with_sentence(found: Decision, count: int, *, higher_is_better: bool = True) -> Decision:
    from dataclasses import replace

    low, high = (shown(bound) for bound in found.interval)
    changed = (
        "" if found.worse is None else (f"{found.worse} answers became wrong and {found.better} right of {count}; ")
    )
    moved = moved_by(found.drop, higher_is_better=higher_is_better)
    span = f"{changed}the metric {moved}, its loss lies in [{low}, {high}], budget {shown(found.budget)}"
    if math.isnan(found.drop) or math.isnan(found.interval[1]):
        text = (
            "the metric has no value for the candidate"
            if found.verdict == "FAIL"
            else "the metric has no value for the reference, or for too many draws of its samples"
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
