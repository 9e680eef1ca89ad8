"""Average pooling of the float16 kernels: sums rounded after every addition.

Source: Paddle-Lite v2.13-rc lite/kernels/arm/pool_compute.cc, lite/backends/arm/math/fp16/pooling_fp16.cc.
"""

from __future__ import annotations

import numpy as np

from edgeflow.emulate import half
from edgeflow.emulate.families import pool
from edgeflow.emulate.graph import Graph, Value
from edgeflow.emulate.step import Lowering, Step


def pool2d(step: Step) -> None:
    x = step.x("X")
    if x.rank == 4 and step.attr("pooling_type", "max") == "avg" and _whole(step, x):
        step.out("Out", global_average(step.g, x))
        return
    pool.pool2d(step)


def _whole(step: Step, x: Value) -> bool:
    kernel = [int(k) for k in step.attr("ksize", (1, 1))]
    pads, strides = list(step.attr("paddings", (0, 0))), list(step.attr("strides", (1, 1)))
    plain = not any(pads) and kernel[0] == kernel[-1] and strides[0] == strides[-1]
    adaptive_to_one = step.attr("adaptive", False) and kernel == [1, 1]
    return bool(
        step.attr("global_pooling", False)
        or (not adaptive_to_one and plain and tuple(kernel) == x.shape[2:] and not step.attr("adaptive", False))
    )


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
