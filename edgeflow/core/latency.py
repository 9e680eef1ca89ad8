"""Latencies judged: percentiles, the ratio of two files with its uncertainty, and whether the device was steady."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeflow.core.errors import DataError

RESAMPLES = 2000
CONFIDENCE = 0.95
DRIFT_MAX = 0.05
"""How far the medians of the control's rounds may lie apart, relative to their median, for a comparison to count."""
HOT_C = 80.0
"""Source: raspberrypi.com documentation, "Frequency management and thermal control": cores slow down from 80 degrees
on.
"""
THROTTLED_NOW = 0xE
"""vcgencmd get_throttled: bits 1 to 3 are frequency capped, throttled, soft temperature limit. Source: the same,
vcgencmd.
"""


@dataclass(frozen=True, slots=True)
class Timing:
    """One process's measurement; `first_ms` holds what is done once, such as an NPU's compilation."""

    load_ms: float
    first_ms: float
    times_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class State:
    """What a device said of its clocks and heat at one moment; None is unreadable.

    `limit_khz` is the highest clock that the kernel allows at the moment, which cooling lowers.
    """

    limit_khz: int | None = None
    clock_khz: int | None = None
    temperature_c: float | None = None
    throttled: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A latency's figures."""

    runs: int
    min_ms: float
    p50_ms: float
    p90_ms: float
    mean_ms: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The other file's latency over the control's. `ratio` below 1: the other is faster. `refused` lists why nothing is
    concluded.
    """

    ratio: float
    low: float
    high: float
    confidence: float
    conclusion: str
    refused: tuple[str, ...] = ()

    def as_table(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        return asdict(self)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie, linear between neighbours."""
    if not values:
        raise DataError("no run was timed, and at least one should be", try_="--repeats 1 or more")
    import numpy as np

    return float(np.quantile(values, share))


def summary(times_ms: Sequence[float]) -> Summary:
    """Figures of one list of times."""
    return Summary(
        len(times_ms),
        min(times_ms, default=math.nan),
        percentile(times_ms, 0.5),
        percentile(times_ms, 0.9),
        math.fsum(times_ms) / len(times_ms),
    )


def ratio_interval(
    control: Sequence[Sequence[float]],
    other: Sequence[Sequence[float]],
    *,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> tuple[float, float, float]:
    """Ratio of medians, other to control, and its bootstrap percentile interval.

    Rounds are drawn in pairs, then runs within each: runs of one round share the device's mood and are not independent.

    Args:
        control: times by round; `other` holds as many rounds, measured in turn with these.

    Returns:
        ratio, lower bound, upper bound; the ratio always lies within the bounds.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.
    """
    import numpy as np

    if len(control) != len(other) or not control or not all(map(len, (*control, *other))):
        raise DataError(
            f"{len(control)} rounds of the control and {len(other)} of the other file were timed, and should be "
            "equally many with at least one run each",
            try_="run edgeflow bench --against again",
        )
    draw = np.random.default_rng(seed)
    first, second = ([np.asarray(times, np.float64) for times in rounds] for rounds in (control, other))
    ratio = float(np.median(np.concatenate(second)) / np.median(np.concatenate(first)))
    found = np.empty(resamples)
    for k in range(resamples):
        rounds = draw.integers(len(first), size=len(first))
        medians = [
            np.median(np.concatenate([side[r][draw.integers(len(side[r]), size=len(side[r]))] for r in rounds]))
            for side in (first, second)
        ]
        found[k] = medians[1] / medians[0]
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return ratio, min(float(low), ratio), max(float(high), ratio)


def unsteady(
    control: Sequence[Sequence[float]], states: Sequence[State], *, drift_max: float = DRIFT_MAX
) -> tuple[str, ...]:
    """Why the device was not steady enough to compare on it; none means steady as far as could be seen."""
    found = []
    medians = [percentile(times, 0.5) for times in control]
    middle = percentile(medians, 0.5)
    drift = (max(medians) - min(medians)) / middle if middle > 0 else math.inf
    if not drift <= drift_max:
        found.append(
            f"the control's medians moved by {100 * drift:.1f} % over {len(medians)} rounds, and should stay within "
            f"{100 * drift_max:g} %"
        )
    limits = [state.limit_khz for state in states if state.limit_khz]
    if limits and min(limits) < max(limits):
        found.append(f"the clock's limit fell from {max(limits) / 1000:.0f} to {min(limits) / 1000:.0f} MHz")
    heat = [state.temperature_c for state in states if state.temperature_c is not None]
    if heat and max(heat) >= HOT_C:
        found.append(f"the device reached {max(heat):.1f} degrees C, and should stay below {HOT_C:g}")
    if any((state.throttled or 0) & THROTTLED_NOW for state in states):
        found.append("the firmware says that it throttles (vcgencmd get_throttled)")
    return tuple(found)


def compare(
    control: Sequence[Sequence[float]],
    other: Sequence[Sequence[float]],
    states: Sequence[State] = (),
    *,
    seed: int = 0,
    drift_max: float = DRIFT_MAX,
) -> Comparison:
    """Judge an interleaved A/B measurement, or say why it cannot be judged."""
    ratio, low, high = ratio_interval(control, other, seed=seed)
    refused = unsteady(control, states, drift_max=drift_max)
    if refused:
        conclusion = "nothing is concluded: the device was not steady"
    elif low > 1:
        conclusion = f"the other file is slower: {100 * (ratio - 1):.1f} % more time"
    elif high < 1:
        conclusion = f"the other file is faster: {100 * (1 - ratio):.1f} % less time"
    else:
        conclusion = "no difference shown: 1 lies within the interval"
    return Comparison(ratio, low, high, CONFIDENCE, conclusion, refused)
