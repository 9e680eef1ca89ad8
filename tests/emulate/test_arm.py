"""The arithmetic against plain NumPy that does it the slow, obvious way."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow.emulate import arm
from edgeflow.emulate.families.convolution import Window, dense_weight, integer_conv
from edgeflow.emulate.graph import Graph, Value


def evaluate(build: object, *arrays: np.ndarray) -> np.ndarray:
    """Run what `build(graph, *values)` makes of some inputs."""
    graph = Graph()
    inputs = [Value(f"i{k}", str(a.dtype), a.shape) for k, a in enumerate(arrays)]
    out = build(graph, *inputs)  # type: ignore[operator]
    session = ort.InferenceSession(graph.build(inputs, [out]).SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {v.name: a for v, a in zip(inputs, arrays, strict=True)})[0])


def half_away(value: np.float32) -> int:
    """Round half away from zero, exactly; clamp to [-127, 127]."""
    if value <= -127:
        return -127
    if value >= 127:
        return 127
    exact = Fraction(float(value))
    magnitude = math.floor(abs(exact) + Fraction(1, 2))
    return magnitude if exact > 0 else -magnitude


TIES = [
    0.5,
    1.5,
    2.5,
    -0.5,
    -1.5,
    -2.5,
    126.5,
    -126.5,
    127.5,
    -127.5,
    0.49999997,
    -0.49999997,
    0.50000006,
    1e9,
    -1e9,
    0.0,
    -0.0,
]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(TIES), min_size=1, max_size=64
    )
)
def test_quantise_rounds_half_away_and_clamps(values: list[float]) -> None:
    v = np.asarray(values + TIES, np.float32)
    got = evaluate(lambda g, x: arm.quantise(g, x), v).astype(int) - 128
    assert got.tolist() == [half_away(x) for x in v]
    positive = np.abs(v)
    got = evaluate(lambda g, x: arm.quantise(g, x, positive=True), positive).astype(int) - 128
    assert got.tolist() == [half_away(x) for x in positive]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-(2**24), 2**24), min_size=1, max_size=50),
    st.floats(2.0**-26, 1, width=32),
    st.floats(-100, 100, width=32),
)
def test_fma_rounds_once(acc: list[int], scale: float, bias: float) -> None:
    a = np.asarray(acc, np.int32)
    s, b = np.float32(scale), np.float32(bias)
    got = evaluate(lambda g, x: arm.fma(g, x, np.asarray([s]), np.asarray([b])), a)
    for value, result in zip(a.tolist(), got, strict=True):
        exact = Fraction(value) * Fraction(float(s)) + Fraction(float(b))
        # The nearest float32 to the exact value, up to the doubly rounded ties that float64 leaves: none in 2^-29 of
        # cases.
        assert abs(Fraction(float(result)) - exact) <= Fraction(float(np.spacing(np.float32(abs(result))))) * Fraction(
            500001, 1000000
        )


@pytest.mark.parametrize(
    ("groups", "channels", "filters", "kernel"), [(1, 3, 4, 3), (1, 16, 8, 1), (4, 4, 4, 3), (2, 8, 6, 5), (1, 5, 2, 7)]
)
def test_integer_convolution_is_exact(groups: int, channels: int, filters: int, kernel: int) -> None:
    source = np.random.default_rng(kernel * groups)
    x = source.integers(-127, 128, (2, channels, 9, 11))
    w = source.integers(-127, 128, (filters, channels // groups, kernel, kernel)).astype(np.int8)
    pad = kernel // 2
    win = Window((1, 2), (pad, pad, pad, 0), (1, 1))

    def build(g: Graph, biased: Value) -> Value:
        q = g.relabel(g.add("Identity", biased), "int8")
        return g.cast(integer_conv(g, q, w, win, groups), "int32")

    got = evaluate(build, (x + 128).astype(np.uint8))
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, 0)))
    wanted = np.zeros(got.shape, np.int64)
    per = channels // groups
    for f in range(filters):
        group = f // (filters // groups)
        for i in range(got.shape[2]):
            for j in range(got.shape[3]):
                part = padded[:, group * per : (group + 1) * per, i : i + kernel, 2 * j : 2 * j + kernel]
                wanted[:, f, i, j] = (part * w[f].astype(np.int64)).sum((1, 2, 3))
    assert np.array_equal(got, wanted)


def test_integer_convolution_at_the_edge_of_float() -> None:
    """Sums beyond 2^24 take the integer path and stay exact."""
    x = np.full((1, 2048, 1, 1), 127)
    w = np.full((2, 1024, 1, 1), 127, np.int8)

    def build(g: Graph, biased: Value) -> Value:
        return g.cast(
            integer_conv(g, g.relabel(g.add("Identity", biased), "int8"), w, Window((1, 1), (0,) * 4, (1, 1)), 2),
            "int32",
        )

    assert evaluate(build, (x + 128).astype(np.uint8)).ravel().tolist() == [1024 * 127 * 127] * 2


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(2.0**-20, 2.0**20, width=32), min_size=1, max_size=64))
def test_division_by_estimate_is_the_kernels(values: list[float]) -> None:
    """One Newton step from FRECPE's table: never more than 2^-16 off, and exactly what the table gives."""
    b = np.asarray([*values, 1.0, 2.0, 4.0, 1.9999999, 0.99999994], np.float32)
    got = evaluate(lambda g, x: arm.divide(g, None, x), b)
    mantissa, exponent = np.frexp(b)
    table = arm.ESTIMATES[np.floor(mantissa * 512).astype(int) - 256]
    estimate = table * np.exp2(1 - exponent).astype(np.float32)
    wanted = (np.float32(2) - b * estimate) * estimate
    assert np.allclose(got, wanted, rtol=3e-7, atol=0)
    assert np.abs(got * b.astype(np.float64) - 1).max() < 2.0**-16


def sparse(dense: np.ndarray, pixels: int) -> dict[str, object]:
    """Encode as opt does. Source: Paddle-Lite sparse_conv_detect_pass.cc ComputeSparseWeight."""
    size, pad = dense.dtype.itemsize, dense.dtype == np.float32
    values, diffs, ends, first, last, started = [], [], [], 0, 0, False
    positions: list[int] = []
    for row in dense:
        count = 0
        if pad:
            while len(values) % 4:
                values.append(0)
                positions.append(-1)
        for channel in np.flatnonzero(row):
            values.append(row[channel])
            positions.append(int(channel))
            count += 1
        ends.append(len(values))
    real = [p for p in positions if p >= 0]
    first = real[0] if real else 0
    jumps = {}
    order = [i for i, p in enumerate(positions) if p >= 0]
    for a, b in zip(order, order[1:], strict=False):
        jumps[a] = positions[b] - positions[a]
    if order:
        jumps[order[-1]] = first - positions[order[-1]]
    diffs = [jumps.get(i, 0) for i in range(len(values))]
    total, start = 0, 0
    for row, end in enumerate(ends):
        begin = -(-start // 4) * 4 if pad else start
        if end > begin:
            total += sum(diffs[begin:end])
            diffs[end - 1] = total
        start = max(end, start)
        _ = row, last, started
    return {
        "values": np.asarray(values, dense.dtype),
        "ends": np.asarray(ends, np.int32),
        "diffs": np.asarray(diffs, np.int32) * pixels * size,
        "first": first,
    }


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 12), st.floats(0, 1), st.sampled_from(["float32", "int8"]), st.integers(0, 10**6)
)
def test_sparse_weights_decode(rows: int, columns: int, density: float, dtype: str, seed: int) -> None:
    source = np.random.default_rng(seed)
    dense = (source.integers(1, 100, (rows, columns)) * (source.random((rows, columns)) < density)).astype(dtype)
    packed = sparse(dense, 49)
    got = dense_weight(
        packed["values"],
        packed["ends"],
        packed["diffs"],
        out_channels=rows,
        in_channels=columns,
        pixels=49,  # type: ignore[arg-type]
        first=int(packed["first"]),
        semi=False,
    )  # type: ignore[call-overload]
    assert np.array_equal(got[:, :, 0, 0], dense)
