"""What a search over compressions is after, what it tried, and which of it is worth having: judgement alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

LATENCY_TIE = 0.02
"""Two latencies closer than this are taken as one, where the predictor does not know its own error."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a candidate must hold, None where nothing is asked, and how long may be searched.

    `metric_drop_max` in units of the metric (0.003 is 0.3 points of accuracy). `as_build`: all limits that a build
    judges by. `chip`: whose latencies are predicted, a name of targets/latency.json; None is the target's own.
    """

    metric_drop_max: float | None = None
    sqnr_db_min: float | None = None
    size_bytes_max: int | None = None
    latency_ms_max: float | None = None
    budget_s: float = 600.0
    as_build: bool = False
    chip: str | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """One candidate as it was measured. `steps` counts what was done to the model: 0 is the float model itself.

    `metric_drop` is above 0 where the candidate is the worse one, whichever way the metric points. `breaks`: limits of
    a build that do not hold. `error` says why there is no result; the numbers are None then. `latency_error`: the
    predictor's mean relative error.
    """

    name: str
    changes: Mapping[str, Any]
    steps: int
    precision: str = ""
    metric: float | None = None
    metric_drop: float | None = None
    sqnr_db: float | None = None
    size_bytes: int | None = None
    latency_ms: float | None = None
    seconds: float = 0.0
    breaks: tuple[str, ...] = ()
    error: str = ""
    latency_error: float | None = None

    @property
    def drift(self) -> float:
        """What orders candidates by loss: the metric's drop where there is a metric, else the noise; NaN counts as
        the worst.
        """
        if self.metric_drop is not None:
            return math.inf if math.isnan(self.metric_drop) else self.metric_drop
        return math.inf if self.sqnr_db is None or math.isnan(self.sqnr_db) else -self.sqnr_db


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates in the order in which one would take them; `dropped` says which simpler one beats each of the
    others, `tie` which faster ones the best was preferred to, and why.
    """

    best: Tried | None
    ordered: tuple[Tried, ...]
    front: tuple[Tried, ...]
    dropped: Mapping[str, str] = field(default_factory=dict)
    tie: str = ""

    def as_table(self) -> dict[str, Any]:
        return {
            "best": None if self.best is None else self.best.name,
            "ordered": [t.name for t in self.ordered],
            "front": [t.name for t in self.front],
            "dropped": dict(self.dropped),
            "tie": self.tie,
        }


def misses(tried: Tried, goal: Goal) -> list[str]:
    """What a candidate does not hold, as sentences; NaN and what was not measured hold nothing."""
    rules = [
        ("metric drop", tried.metric_drop, "<=", goal.metric_drop_max),
        ("SQNR (dB)", tried.sqnr_db, ">=", goal.sqnr_db_min),
        ("size in bytes", tried.size_bytes, "<=", goal.size_bytes_max),
        ("latency (ms)", tried.latency_ms, "<=", goal.latency_ms_max),
    ]
    found = [tried.error] if tried.error else []
    for name, got, order, bound in rules:
        if bound is None:
            continue
        if got is None:
            found.append(f"{name} is not known, limit {order} {bound:g}")
        elif not (got >= bound if order == ">=" else got <= bound):
            found.append(f"{name} {got:.4g}, limit {order} {bound:g}")
    return [*found, *(tried.breaks if goal.as_build else ())]


def drifts_too_far(tried: Tried, goal: Goal) -> bool:
    """Whether it is the loss, not size or latency, that keeps a candidate from the goal."""
    return bool(misses(tried, replace(goal, size_bytes_max=None, latency_ms_max=None)))


def rank(tried: Iterable[Tried], goal: Goal) -> Ranking:
    """Order what meets the goal: fastest first, and what the predictor cannot tell from the fastest by size, then by
    simplicity. "Do not quantise" is an answer like any other.

    A candidate that a simpler one beats is dropped, unless it meets the goal and the simpler one does not. To beat: no
    more drift, and faster than the predictor's error, or no slower and no larger.
    """
    measured = [item for item in tried if not item.error]
    dropped: dict[str, str] = {}
    for item in measured:
        meets = not misses(item, goal)
        better = [
            other
            for other in measured
            if other.steps < item.steps and _beats(other, item, goal) and not (meets and misses(other, goal))
        ]
        if better:
            dropped[item.name] = min(better, key=lambda other: other.steps).name
    left = [item for item in measured if item.name not in dropped]
    good = [item for item in left if not misses(item, goal)]
    fastest = min((_or_inf(item.latency_ms) for item in good), default=math.inf)

    def order(item: Tried) -> tuple[float, ...]:
        latency = _or_inf(item.latency_ms)
        alike = latency <= fastest * (1 + _tie(item))
        return (fastest if alike else latency, _or_inf(item.size_bytes), item.steps, item.drift)

    ordered = sorted(good, key=order)
    best = ordered[0] if ordered else None
    return Ranking(best, tuple(ordered), pareto(measured), dropped, _tie_said(best, ordered))


def _tie(item: Tried) -> float:
    return LATENCY_TIE if item.latency_error is None else item.latency_error


def _tie_said(best: Tried | None, ordered: Sequence[Tried]) -> str:
    """Why the best is not the one with the least predicted latency."""
    if best is None or best.latency_ms is None:
        return ""
    faster = [item for item in ordered if item.latency_ms is not None and item.latency_ms < best.latency_ms]
    if not faster:
        return ""
    names = ", ".join(f"{item.name} ({item.latency_ms:.3g} ms, {item.size_bytes} bytes)" for item in faster[:3])
    return (
        f"{best.name} ({best.latency_ms:.3g} ms, {best.size_bytes} bytes) was preferred to {names}: "
        f"the prediction, good to {_tie(best):.0%}, cannot tell them apart, and the smaller file wins"
    )


def closest(tried: Iterable[Tried], goal: Goal) -> Tried | None:
    """Where nothing meets the goal: the candidate that misses the least of it, and of those the one with the least
    drift.
    """
    measured = [item for item in tried if not item.error]
    return min(measured, key=lambda item: (len(misses(item, goal)), item.drift), default=None)


def pareto(tried: Sequence[Tried]) -> tuple[Tried, ...]:
    """Candidates that no other beats in drift, latency and size at once, by drift."""

    def at_least(a: Tried, b: Tried) -> bool:
        return all(x <= y for x, y in zip(_axes(a), _axes(b), strict=True)) and _axes(a) != _axes(b)

    front = [item for item in tried if not any(at_least(other, item) for other in tried)]
    return tuple(
        sorted(front, key=lambda item: (item.drift, _or_inf(item.latency_ms), _or_inf(item.size_bytes), item.steps))
    )


def _axes(item: Tried) -> tuple[float, float, float]:
    return item.drift, _or_inf(item.latency_ms), _or_inf(item.size_bytes)


def _beats(simple: Tried, item: Tried, goal: Goal) -> bool:
    no_larger = _or_inf(simple.size_bytes) <= _or_inf(item.size_bytes)
    if simple.latency_ms is None or item.latency_ms is None:
        quick = no_larger
    else:
        clearly = simple.latency_ms * (1 + _tie(item)) < item.latency_ms and goal.size_bytes_max is None
        quick = clearly or (no_larger and simple.latency_ms <= item.latency_ms * (1 + _tie(item)))
    return quick and simple.drift <= item.drift


def _or_inf(value: float | None) -> float:
    return math.inf if value is None or math.isnan(value) else value


def as_row(tried: Tried) -> dict[str, Any]:
    """A candidate as JSON values."""
    return {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in asdict(tried).items()
    }
