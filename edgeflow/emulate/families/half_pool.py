"""Average pooling of the float16 kernels: sums rounded after every addition.

Source: Paddle-Lite v2.13-rc lite/kernels/arm/pool_compute.cc, lite/backends/arm/math/fp16/pooling_fp16.cc.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeflow.emulate import half
from edgeflow.emulate.families import pool
from edgeflow.emulate.graph import Graph, Value
from edgeflow.emulate.step import Lowering, Step


def pool2d(step: Step) -> None:
    """Source: pool_compute.cc PoolCompute<kFP16>::Run: which kernel takes which window."""
    g, x = step.g, step.x("X")
    shape = pool.window(step, x) if x.rank == 4 else None
    kind = step.attr("pooling_type", "max")
    if shape is None:
        if x.rank == 4 and kind == "avg" and not step.attr("adaptive", False):
            step.out("Out", global_average(g, x))
            return
        pool.pool2d(step)
        return
    square = len(set(shape.kernel)) == len(set(shape.strides)) == 1
    if kind == "avg" and not any(shape.pads) and tuple(shape.kernel) == x.shape[2:] and square:
        step.out("Out", global_average(g, x))
    elif square and shape.kernel[0] == shape.strides[0] == 2 and not any(shape.pads) and x.shape[3] > 16:
        if kind == "max":
            step.out("Out", _maximum_of_two(g, x, shape.sizes))
        else:
            pool.pool2d(step)
    elif kind == "avg" and not (square and shape.kernel[0] == 3):
        step.out("Out", _average(g, x, shape, exclusive=bool(step.attr("exclusive", True))))
    else:
        pool.pool2d(step)


def _maximum_of_two(g: Graph, x: Value, sizes: Sequence[int]) -> Value:
    """2x2, stride 2, more than 16 columns: of every eight results the last four see the first four's second row.

    Source: pooling_fp16.cc P2x2S2P0_MAX takes v2 twice where it should take v2 and v3. A defect of v2.13-rc.
    """
    height, width = sizes
    right, below = (max(2 * n - m, 0) for n, m in ((width, x.shape[3]), (height, x.shape[2])))
    low = float(np.finfo(np.float16).min)
    padded = g.add("Pad", x, g.ints([0, 0, 0, 0, 0, 0, below, right]), g.scalar(low)) if right or below else x
    rows = [
        g.add(
            "Max",
            *(g.slice(padded, (row, column), (2 * height, 2 * width), (2, 3), (2, 2)) for column in range(2)),
        )
        for row in range(2)
    ]
    blocks = width // 8 - (1 if width % 8 == 0 and 2 * width != x.shape[3] else 0)
    source = np.arange(width)
    upper = (source < blocks * 8) & (source % 8 >= 4)
    source[upper] -= 4
    return g.add("Max", rows[0], g.add("Gather", rows[1], g.ints(source.tolist()), axis=3))


def _average(g: Graph, x: Value, shape: pool.Window, *, exclusive: bool) -> Value:
    """Windows summed row by row, rounded after each number, then divided by the count. Source: pooling_basic_fp16."""
    counts = pool.window_counts(x, shape, exclusive=exclusive)
    (top, left), (height, width) = shape.pads[::2], shape.sizes
    kernel, strides = shape.kernel, shape.strides
    ends = [
        max((n - 1) * s + k - m - p, 0)
        for n, s, k, m, p in zip(shape.sizes, strides, kernel, x.shape[2:], (top, left), strict=True)
    ]
    if top or left or any(ends):
        x = g.add("Pad", x, g.ints([0, 0, top, left, 0, 0, *ends]), g.scalar(0.0))
    batch, channels = x.shape[:2]
    parts = [
        g.slice(
            x,
            (row, column),
            (row + (height - 1) * strides[0] + 1, column + (width - 1) * strides[1] + 1),
            (2, 3),
            strides,
        )
        for row in range(kernel[0])
        for column in range(kernel[1])
    ]
    stacked = g.concat([g.reshape(part, (1, batch, channels, height, width)) for part in parts], 0)
    ones = g.constant(np.ones((len(parts), 1, 1, 1, 1), np.float32))
    start = g.constant(np.zeros((batch, channels, height, width), np.float32))
    total = half.accumulate(g, start, stacked, ones)
    return half.div(g, total, g.constant(counts))


def global_average(g: Graph, x: Value) -> Value:
    """32 and then 8 numbers at a time, each multiplied by 1 / count; the rest divided one by one.

    Source: pooling_fp16.cc pooling_global_avg_fp16.
    """
    batch, channels = x.shape[:2]
    count, rows = x.shape[2] * x.shape[3], batch * channels
    flat = g.reshape(x, (rows, count))
    inverse = half.rounded(float(np.float32(1) / np.float32(count)))
    many, some = count // 32, count % 32 // 8
    done = many * 32 + some * 8
    terms = []
    if many:
        block = g.reshape(g.slice(flat, (0,), (many * 32,), (1,)), (rows, many, 2, 2, 8))
        first, second = (g.slice(block, (i,), (i + 1,), (2,)) for i in range(2))
        both = half.mul(g, half.add(g, first, second), inverse)
        terms.append(g.reshape(both, (rows, many * 2, 8)))
    if some:
        rest = g.slice(flat, (many * 32,), (done,), (1,))
        terms.append(g.reshape(half.mul(g, rest, inverse), (rows, some, 8)))
    total = g.constant(np.zeros((rows, 1), np.float32))
    if terms:
        stacked = g.transpose(g.concat(terms, 1), (1, 0, 2))
        start = g.constant(np.zeros((rows, 8), np.float32))
        eight = half.accumulate(g, start, stacked, g.constant(np.ones((stacked.shape[0], 1, 1), np.float32)))
        four = half.add(g, g.slice(eight, (0,), (4,), (1,)), g.slice(eight, (4,), (8,), (1,)))
        total = half.pairwise(g, [g.slice(four, (i,), (i + 1,), (1,)) for i in range(4)])
    for index in range(done, count):
        part = g.add("Div", g.slice(flat, (index,), (index + 1,), (1,)), g.scalar(float(count)))
        total = half.add(g, total, part)
    return g.reshape(total, (batch, channels, 1, 1))


TABLE: dict[str, Lowering] = {"pool2d": pool2d}
