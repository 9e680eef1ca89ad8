"""Accepted figures for tests: of an int8, a float32 and an NPU build, and any others through Hypothesis."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from edgeflow.project.accepted import Figures, OutputFigures

INT8 = Figures(
    51046, 13, 450, (OutputFigures("y", 33.17, 0.999765, 0.8),), "top1", 0.002222, None, None, 0.06482, "RK3399"
)
FLOAT = replace(INT8, outputs=(OutputFigures("y", 126.94, 1.0, 9.5e-6),))
NPU = replace(INT8, subgraphs=2, cpu_ops=3)


def drifted(budget: Figures = INT8, **values: float) -> Figures:
    return replace(budget, outputs=(replace(budget.outputs[0], **values),))


outputs = st.builds(
    OutputFigures, st.text(max_size=8), st.floats(-20, 200) | st.just(math.inf), st.floats(-1, 1), st.floats(0, 1e6)
)
budgets = st.builds(
    Figures,
    st.integers(0, 10**9),
    st.integers(0, 5000),
    st.integers(1, 10**6),
    st.lists(outputs, min_size=1, max_size=3).map(tuple),
    st.just("top1"),
    st.none() | st.floats(-1, 1),
    st.none() | st.integers(1, 9),
    st.none() | st.integers(0, 99),
    st.none() | st.floats(0, 1e5),
    st.just("chip"),
)

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
