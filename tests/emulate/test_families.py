"""Ops against plain loops, over attributes that no golden case has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow.emulate import Emulator
from tests.nb.make import DType, model, op


def run(
    ops: list[object], x: np.ndarray, weights: dict[str, np.ndarray] | None = None, outputs: tuple[str, ...] = ("y",)
) -> list[np.ndarray]:
    dtype = {"float32": DType.FP32, "int64": DType.INT64, "int32": DType.INT32}[str(x.dtype)]
    made = model(ops, weights, {"x": x.shape}, outputs, dtype=dtype)  # type: ignore[arg-type]
    return list(Emulator(made, threads=1).infer({"x": x}).values())


@settings(max_examples=80, deadline=None)
@given(
    size=st.tuples(st.integers(4, 11), st.integers(4, 11)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.integers(0, 1),
    ceil=st.booleans(),
    kind=st.sampled_from(["max", "avg"]),
    seed=st.integers(0, 1000),
)
def test_pooling(
    size: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int], pad: int, ceil: bool, kind: str, seed: int
) -> None:
    pad = min(pad, min(kernel) - 1)
    x = np.random.default_rng(seed).normal(size=(1, 2, *size)).astype(np.float32)
    outs = [(n + 2 * pad - k + (s - 1 if ceil else 0)) // s + 1 for n, k, s in zip(size, kernel, strides, strict=True)]
    wanted = np.full((1, 2, *outs), np.nan, np.float32)
    for i in range(outs[0]):
        for j in range(outs[1]):
            top, left = max(i * strides[0] - pad, 0), max(j * strides[1] - pad, 0)
            part = x[
                :, :, top : max(i * strides[0] - pad + kernel[0], 0), left : max(j * strides[1] - pad + kernel[1], 0)
            ]
            if part.size:
                wanted[:, :, i, j] = part.max((2, 3)) if kind == "max" else part.mean((2, 3))
    (got,) = run(
        [
            op(
                "pool2d",
                {"X": "x"},
                {"Out": "y"},
                ksize=kernel,
                strides=strides,
                paddings=(pad, pad),
                ceil_mode=ceil,
                pooling_type=kind,
                exclusive=True,
                global_pooling=False,
                adaptive=False,
            )
        ],
        x,
    )
    assert got.shape == wanted.shape
    inside = np.isfinite(wanted)  # a window wholly in the padding has no right answer
    assert np.abs(got - wanted)[inside].max(initial=0) < 1e-6


@pytest.mark.parametrize("shapes", [((4, 3), (4,)), ((2, 4, 3), (4,))])
def test_a_transposed_matrix_times_a_vector(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    source = np.random.default_rng(0)
    x, y = (source.normal(size=shape).astype(np.float32) for shape in shapes)
    (got,) = run([op("matmul_v2", {"X": "x", "Y": "w"}, {"Out": "y"}, trans_x=True, trans_y=False)], x, {"w": y})
    assert np.allclose(got, np.swapaxes(x, -1, -2) @ y, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_whole_numbers_divide_as_on_arm(dtype: str) -> None:
    """C's rules, and zero where AArch64 has no trap; onnxruntime alone would kill the process."""
    x, y = np.asarray([7, -7, 7, -7, 5], dtype), np.asarray([2, 2, -2, -2, 0], dtype)
    (mod,) = run([op("elementwise_mod", {"X": "x", "Y": "w"}, {"Out": "y"}, axis=-1)], x, {"w": y})
    assert mod.tolist() == [1, -1, 1, -1, 5]
    for kind in ("elementwise_floordiv", "elementwise_div"):
        (div,) = run([op(kind, {"X": "x", "Y": "w"}, {"Out": "y"}, axis=-1)], x, {"w": y})
        assert div.tolist() == [3, -3, -3, 3, 0]


def test_adaptive_pooling_with_positions() -> None:
    x = np.random.default_rng(3).normal(size=(2, 3, 7, 5)).astype(np.float32)
    out, mask = run(
        [
            op(
                "max_pool2d_with_index",
                {"X": "x"},
                {"Out": "y", "Mask": "m"},
                ksize=(3, 2),
                adaptive=True,
                strides=(1, 1),
                paddings=(0, 0),
            )
        ],
        x,
        outputs=("y", "m"),
    )
    for i in range(3):
        for j in range(2):
            cell = x[:, :, i * 7 // 3 : -(-(i + 1) * 7 // 3), j * 5 // 2 : -(-(j + 1) * 5 // 2)]
            assert np.array_equal(out[:, :, i, j], cell.max((2, 3)))
    assert np.array_equal(
        np.take_along_axis(x.reshape(2, 3, -1), mask.reshape(2, 3, -1).astype(int), 2), out.reshape(2, 3, -1)
    )


@pytest.mark.parametrize(
    ("shape", "axis", "wanted"),
    [
        ((4,), -1, (1, 1, 1, 4)),
        ((3,), 1, (1, 3, 1, 1)),
        ((3, 5), 1, (1, 3, 5, 1)),
        ((2, 1), 0, (2, 1, 1, 1)),
        ((5, 4), 2, (1, 1, 5, 4)),
    ],
)
def test_axis_rules(shape: tuple[int, ...], axis: int, wanted: tuple[int, ...]) -> None:
    source = np.random.default_rng(1)
    x, y = source.normal(size=(2, 3, 5, 4)).astype(np.float32), source.normal(size=shape).astype(np.float32)
    (got,) = run([op("elementwise_mul", {"X": "x", "Y": "w"}, {"Out": "y"}, axis=axis)], x, {"w": y})
    assert np.allclose(got, x * y.reshape(wanted))


def test_small_ops() -> None:
    x = np.random.default_rng(1).normal(size=(4, 8, 2, 2)).astype(np.float32)
    (total,) = run([op("sum", {"X": ("x", "x", "x")}, {"Out": "y"})], x)
    assert np.allclose(total, 3 * x)
    (cut,) = run([op("crop_tensor", {"X": "x"}, {"Out": "y"}, offsets=(1, 2, 0, 0), shape=(2, -1, 2, 1))], x)
    assert np.array_equal(cut, x[1:3, 2:, :, :1])
    (moved,) = run([op("temporal_shift", {"X": "x"}, {"Out": "y"}, seg_num=2, shift_ratio=0.25)], x)
    y = x.reshape(2, 2, 8, 2, 2)
    wanted = y.copy()
    wanted[:, 0, :2], wanted[:, 1, :2] = 0, y[:, 0, :2]
    wanted[:, 0, 2:4], wanted[:, 1, 2:4] = y[:, 1, 2:4], 0
    assert np.array_equal(moved, wanted.reshape(x.shape))
    (bits,) = run(
        [op("bitwise_xor", {"X": "x", "Y": "w"}, {"Out": "y"})],
        np.asarray([5, 6], np.int32),
        {"w": np.asarray([3, 3], np.int32)},
    )
    assert bits.tolist() == [6, 5]
