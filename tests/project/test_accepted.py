"""Accepted figures against found ones: what counts as worse, and what is only another machine's rounding."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given

from edgeflow.project.accepted import Figures, OutputFigures, compare, is_comparable, is_worse, rounded, settled
from tests.project.budgets import FLOAT, INT8, NPU, budgets, drifted, patient


@pytest.mark.parametrize(
    ("accepted", "found", "what", "says"),
    [
        (INT8, replace(INT8, size_bytes=51047), "size_bytes", "1 bytes, 0.00196 % more"),
        (INT8, replace(INT8, ops=14), "ops", "1 ops more"),
        (INT8, replace(INT8, predicted_latency_ms=0.0656), "predicted_latency_ms", "1.2 % more"),
        (INT8, replace(INT8, metric_drop=0.0067), "metric_drop", "2.02 of 450 samples) more"),
        (INT8, drifted(sqnr_db=33.0), "outputs[0].sqnr_db", "0.17 dB less"),
        (INT8, drifted(cosine=0.9997), "outputs[0].cosine", "less"),
        (INT8, drifted(max_abs=0.9), "outputs[0].max_abs", "12.5 % more"),
        (INT8, drifted(sqnr_db=math.nan), "outputs[0].sqnr_db", "not a number"),
        (INT8, drifted(cosine=math.nan), "outputs[0].cosine", "not a number"),
        (INT8, drifted(max_abs=math.nan), "outputs[0].max_abs", "not a number"),
        (INT8, replace(INT8, metric_drop=math.nan), "metric_drop", "not a number"),
        (INT8, drifted(sqnr_db=-math.inf), "outputs[0].sqnr_db", "inf dB less"),
        (FLOAT, drifted(FLOAT, sqnr_db=60.0, max_abs=1e-3), "outputs[0].sqnr_db", "66.9 dB less"),
        (INT8, replace(INT8, metric=None, metric_drop=None), "metric_drop", "no longer measured"),
        (INT8, replace(INT8, metric="top5"), "metric", "top5 is measured instead"),
        (
            INT8,
            replace(INT8, predicted_latency_ms=None, chip=None),
            "predicted_latency_ms",
            "can no longer be predicted",
        ),
        (INT8, replace(INT8, chip="RK3588"), "chip", "RK3588 is predicted instead"),
        (INT8, replace(INT8, outputs=()), "outputs", "are 0, were 1"),
        (NPU, replace(NPU, subgraphs=3), "subgraphs", "1 subgraphs more"),
        (NPU, replace(NPU, subgraphs=None, cpu_ops=None), "subgraphs", "there is none"),
        (NPU, replace(NPU, cpu_ops=5), "cpu_ops", "2 ops more"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_worse_says_by_how_much(accepted: Figures, found: Figures, what: str, says: str) -> None:
    changes = compare(accepted, found)
    first = next(change for change in changes if change.what == what)
    assert first.judgement == "worse"
    assert says in first.text
    assert is_worse(changes)


@pytest.mark.parametrize(
    ("accepted", "found"),
    [
        (INT8, drifted(sqnr_db=33.08, cosine=0.9997605, max_abs=0.835)),
        (INT8, replace(INT8, metric_drop=0.002222 + 1 / 450)),
        (INT8, replace(INT8, predicted_latency_ms=0.0652)),
        (FLOAT, drifted(FLOAT, sqnr_db=118.0, max_abs=4e-5)),
        (FLOAT, drifted(FLOAT, sqnr_db=math.inf, max_abs=0.0)),
        (drifted(sqnr_db=-math.inf), drifted(sqnr_db=-math.inf)),
    ],
    ids=["drift", "one sample", "latency", "float32's rounding", "no rounding at all", "both infinite"],
)
def test_rounding_is_no_change(accepted: Figures, found: Figures) -> None:
    assert compare(accepted, found) == ()
    assert compare(found, accepted) == ()
    assert settled(accepted, found) == accepted


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (replace(INT8, size_bytes=50000), "size_bytes"),
        (replace(INT8, ops=10), "ops"),
        (drifted(sqnr_db=40.0), "outputs[0].sqnr_db"),
        (drifted(max_abs=0.5), "outputs[0].max_abs"),
        (replace(INT8, metric_drop=-0.01), "metric_drop"),
        (replace(INT8, predicted_latency_ms=0.05), "predicted_latency_ms"),
    ],
)
def test_better_is_named_and_no_failure(found: Figures, what: str) -> None:
    (change,) = compare(INT8, found)
    assert (change.what, change.judgement) == (what, "better")
    assert "less" in change.text or "more" in change.text


def test_neither_better_nor_worse() -> None:
    bare = replace(INT8, metric=None, metric_drop=None, predicted_latency_ms=None, chip=None)
    two = replace(INT8, outputs=(*INT8.outputs, OutputFigures("z", 20.0, 0.99, 1.0)))
    named = replace(INT8, outputs=(replace(INT8.outputs[0], name="x"),))
    for accepted, found, count in (
        (bare, INT8, 2),
        (INT8, two, 1),
        (INT8, named, 1),
        (INT8, replace(INT8, samples=100), 1),
        (INT8, NPU, 1),
    ):
        changes = compare(accepted, found)
        assert len(changes) == count
        assert {change.judgement for change in changes} == {"other"}
        assert settled(accepted, found) == rounded(found)


def test_only_comparable_figures() -> None:
    assert is_comparable(drifted(sqnr_db=math.inf))
    for found in (
        drifted(sqnr_db=math.nan),
        drifted(cosine=math.nan),
        drifted(max_abs=math.inf),
        replace(INT8, metric_drop=math.nan),
    ):
        assert not is_comparable(found)


@patient
@given(budgets)
def test_a_build_holds_its_own_lock(budget: Figures) -> None:
    assert compare(budget, budget) == ()
    assert compare(rounded(budget), budget) == ()
    assert rounded(rounded(budget)) == rounded(budget)


@patient
@given(budgets, budgets)
def test_better_one_way_is_worse_the_other(one: Figures, other: Figures) -> None:
    """For whole numbers, where the tolerance is nothing: never both, never neither."""
    there = {change.what: change.judgement for change in compare(one, other)}
    back = {change.what: change.judgement for change in compare(other, one)}
    for what in ("size_bytes", "ops"):
        assert {there.get(what), back.get(what)} in ({None}, {"better", "worse"})
    assert settled(one, settled(one, other)) == settled(one, other)


def test_a_gain_is_no_negative_drop() -> None:
    (change,) = compare(INT8, replace(INT8, metric_drop=-0.01))
    assert change.text.startswith("top1 gain 0.01, was drop 0.002222: 0.01222 (5.5 of 450 samples) less lost")
