"""Judging candidates: the order, what a simpler one beats, the front, and goals that nothing meets."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edgeflow.tuning.ranking import Goal, Tried, closest, misses, pareto, rank


def tried(name: str, steps: int, drop: float, latency: float | None, size: int, sqnr: float = 30.0) -> Tried:
    return Tried(name, {}, steps, "int8", 0.9, drop, sqnr, size, latency)


FLOAT = tried("float", 0, 0.0, 10.0, 1000, 120.0)
FP16 = tried("fp16", 1, 0.0, 5.0, 1000, 60.0)
INT8 = tried("int8", 2, 0.001, 6.0, 300)
PRUNED = tried("pruned", 3, 0.004, 3.0, 200)


def test_do_not_quantise_is_an_answer() -> None:
    found = rank([FLOAT, FP16, INT8], Goal(metric_drop_max=0.002))
    assert found.best is FP16 and found.dropped == {"int8": "fp16"}
    assert rank([FLOAT, FP16, INT8], Goal(metric_drop_max=0.002, size_bytes_max=500)).best is INT8, "size was asked for"
    slower = tried("int8", 2, 0.0, 11.0, 300)
    assert rank([FLOAT, slower], Goal(metric_drop_max=0.01)).best is FLOAT


def test_what_the_prediction_cannot_tell_apart_goes_to_the_smaller_file() -> None:
    plain = replace(tried("float", 0, 0.0, 0.165, 1000), latency_error=0.12)
    int8 = replace(tried("int8", 2, 0.0, 0.179, 250), latency_error=0.12)
    found = rank([plain, int8], Goal(metric_drop_max=0.01))
    assert found.best is int8 and found.dropped == {}
    assert found.tie.startswith("int8 (0.179 ms, 250 bytes) was preferred to float (0.165 ms") and "12%" in found.tie
    sure = rank([plain, replace(int8, latency_ms=0.2)], Goal(metric_drop_max=0.01))
    assert sure.best is plain and sure.dropped == {"int8": "float"} and sure.tie == ""


def test_goals_that_nothing_meets() -> None:
    goal = Goal(metric_drop_max=0.0005, latency_ms_max=4.0)
    found = rank([FLOAT, INT8, PRUNED], goal)
    assert found.best is None and found.ordered == ()
    assert misses(PRUNED, goal) == ["metric drop 0.004, limit <= 0.0005"]
    assert closest([FLOAT, INT8, PRUNED], goal) is FLOAT
    assert closest([], goal) is None
    assert misses(Tried("x", {}, 1, error="it crashed"), goal)[0] == "it crashed"
    assert misses(tried("nan", 2, math.nan, 1.0, 1), goal) == ["metric drop nan, limit <= 0.0005"]
    assert "is not known" in misses(tried("x", 1, 0.0, None, 1), goal)[0]


def test_what_misses_the_goal_drops_nothing_that_meets_it() -> None:
    noisy, clean = tried("noisy", 2, 0.0, 5.0, 300, sqnr=20.0), tried("clean", 3, 0.0, 5.2, 300, sqnr=30.0)
    assert rank([noisy, clean], Goal(sqnr_db_min=25)).best is clean
    slow, quick = tried("slow", 0, 0.0, 8.1, 300), tried("quick", 2, 0.0, 7.99, 300)
    assert rank([slow, quick], Goal(latency_ms_max=8.0)).best is quick
    strict = Tried("strict", {}, 1, metric_drop=0.0, breaks=("cosine 0.9, limit >= 0.98",))
    assert rank([strict], Goal(metric_drop_max=0.1)).best is strict
    assert misses(strict, Goal(as_build=True)) == ["cosine 0.9, limit >= 0.98"]


candidates = st.lists(
    st.builds(
        tried,
        st.uuids().map(str),
        st.integers(0, 4),
        st.floats(-0.1, 0.5),
        st.none() | st.floats(0.1, 100),
        st.integers(1, 10**6),
    ),
    max_size=12,
)


@given(candidates)
def test_the_front_holds_exactly_what_nothing_beats(items: list[Tried]) -> None:
    front = pareto(items)

    def axes(item: Tried) -> tuple[float, float, float]:
        return item.drift, math.inf if item.latency_ms is None else item.latency_ms, float(item.size_bytes or 0)

    for item in items:
        beaten = any(
            all(a <= b for a, b in zip(axes(o), axes(item), strict=True)) and axes(o) != axes(item) for o in items
        )
        assert (item in front) == (not beaten)


@given(candidates)
def test_the_best_meets_the_goal_and_none_that_does_is_faster_and_simpler(items: list[Tried]) -> None:
    goal = Goal(metric_drop_max=0.1)
    found = rank(items, goal)
    for item in found.ordered:
        assert not misses(item, goal) and item.name not in found.dropped
    if found.best is not None:
        latency = math.inf if found.best.latency_ms is None else found.best.latency_ms
        assert all(latency <= (math.inf if o.latency_ms is None else o.latency_ms) for o in found.ordered)
    assert (found.best is None) == all(misses(item, goal) for item in items)
