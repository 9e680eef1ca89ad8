"""pool2d and max_pool2d_with_index: every window written out, so that no rule of ONNX's own comes between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate.graph import Array, Graph, Value
from edgeflow.emulate.step import Lowering, Step

ADAPTIVE_MAX = 256
"""Adaptive windows are written out one by one."""


def pool2d(step: Step) -> None:
    """Source: Paddle-Lite lite/operators/pool_op.{h,cc}, backends/arm/math/pooling.cc pooling_basic, v2.13-rc."""
    g, x = step.g, step.x("X")
    if x.rank != 4:
        raise NbError(f"{step.op.type}: input {list(x.shape)} should have four dimensions")
    kind = step.attr("pooling_type", "max")
    kernel = [int(k) for k in step.attr("ksize", (1, 1))]
    if step.attr("global_pooling", False) or (step.attr("adaptive", False) and kernel == [1, 1]):
        step.out("Out", g.reduce("ReduceMax" if kind == "max" else "ReduceMean", x, [2, 3], keep=True))
        return
    if step.attr("adaptive", False):
        step.bounded("output sizes", kernel, ADAPTIVE_MAX)
        y = x
        for axis, size in ((2, kernel[0]), (3, kernel[1])):
            y = _adaptive(g, y, axis, size, kind)
        step.out("Out", y)
        return
    step.out("Out", _windowed(step, x, kernel, kind))


def _adaptive(g: Graph, x: Value, axis: int, size: int, kind: str) -> Value:
    """Pool one axis into `size` parts from floor(i * n / size) to ceil((i + 1) * n / size)."""
    n = x.shape[axis]
    bounds = [(i * n // size, -(-(i + 1) * n // size)) for i in range(size)]
    op = "ReduceMax" if kind == "max" else "ReduceMean"
    return g.concat([g.reduce(op, g.slice(x, [low], [high], [axis]), [axis], keep=True) for low, high in bounds], axis)


@dataclass(frozen=True, slots=True)
class Window:
    """How a window slides over [N, C, H, W]: pads are (top, bottom, left, right), sizes the output's (H, W)."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    sizes: tuple[int, int]


def window(step: Step, x: Value) -> Window | None:
    """The window of a pooling op, or None where it is global or adaptive."""
    kernel = [int(k) for k in step.attr("ksize", (1, 1))]
    if step.attr("global_pooling", False) or step.attr("adaptive", False):
        return None
    return _window(step, x, kernel)


def _window(step: Step, x: Value, kernel: list[int]) -> Window:
    strides = [int(s) for s in step.attr("strides", (1, 1))]
    paddings = list(step.attr("paddings", (0, 0)))
    if len(paddings) == 2:
        paddings = [paddings[0], paddings[0], paddings[1], paddings[1]]
    algorithm = step.attr("padding_algorithm", "EXPLICIT")
    sizes = x.shape[2:]
    if algorithm == "SAME":
        need = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(sizes, strides, kernel, strict=True)]
        paddings = [need[0] // 2, need[0] - need[0] // 2, need[1] // 2, need[1] - need[1] // 2]
    elif algorithm == "VALID":
        paddings = [0, 0, 0, 0]
    if min(strides) < 1 or min(kernel) < 1:
        raise NbError(f"pool2d: kernel {kernel} and strides {strides} make no window")
    outs = []
    for axis in range(2):
        span = sizes[axis] - kernel[axis] + paddings[2 * axis] + paddings[2 * axis + 1]
        if step.attr("ceil_mode", False):
            span += strides[axis] - 1
        outs.append(span // strides[axis] + 1)
    step.bounded(f"kernel {kernel} on {list(x.shape)} gives the sizes", outs)
    top, bottom, left, right = paddings
    return Window((kernel[0], kernel[1]), (strides[0], strides[1]), (top, bottom, left, right), (outs[0], outs[1]))


def _windowed(step: Step, x: Value, kernel: list[int], kind: str) -> Value:
    g, shape = step.g, _window(step, x, kernel)
    begin, outs = [shape.pads[0], shape.pads[2]], list(shape.sizes)
    ends = [
        max((n - 1) * s + k - m - b, 0)
        for n, s, k, m, b in zip(outs, shape.strides, kernel, x.shape[2:], begin, strict=True)
    ]
    fill = float(np.finfo(np.float32).min) if kind == "max" else 0.0
    padded = _pad(g, x, begin, ends, fill)
    common: dict[str, Any] = {"kernel_shape": kernel, "strides": shape.strides}
    if kind == "max":
        return _crop(g, g.add("MaxPool", padded, **common), outs)
    if padded is x:
        return _crop(g, g.add("AveragePool", x, **common), outs)
    # A sum, not AveragePool: onnxruntime 1.23 fuses the padding into AveragePool and then divides by wrong counts.
    ones = g.constant(np.ones((x.shape[1], 1, *kernel), np.float32))
    total = _crop(g, g.add("Conv", padded, ones, strides=shape.strides, group=x.shape[1], kernel_shape=kernel), outs)
    counts = window_counts(x, shape, exclusive=bool(step.attr("exclusive", True)))
    return g.add("Div", total, g.constant(counts))


def window_counts(x: Value, shape: Window, *, exclusive: bool) -> Array:
    """How many elements the ARM kernel divides each window's sum by, as float32 of the output's size."""
    rows, columns = (
        _counts(
            x.shape[2 + i],
            shape.sizes[i],
            shape.kernel[i],
            shape.strides[i],
            shape.pads[2 * i],
            exclusive=exclusive,
        )
        for i in range(2)
    )
    return np.outer(rows, columns).astype(np.float32)


def _counts(size: int, out: int, kernel: int, stride: int, pad: int, *, exclusive: bool) -> Array:
    """How many elements the ARM kernel divides by, along one axis."""
    counts = []
    for index in range(out):
        start, end = max(index * stride - pad, 0), min(index * stride + kernel - pad, size)
        if exclusive:
            counts.append(max(end - start, 1))
            continue
        count = kernel
        if end == size:
            count = min(start + kernel, size + pad) - start
            if start - pad < 0 and start + kernel > size + pad:
                count += pad
        counts.append(count)
    return np.asarray(counts, np.float64)


def _pad(g: Graph, x: Value, begin: list[int], ends: list[int], fill: float) -> Value:
    if not any(begin + ends):
        return x
    return g.add("Pad", x, g.ints([0, 0, *begin, 0, 0, *ends]), g.scalar(fill, x.storage))


def _crop(g: Graph, x: Value, outs: list[int]) -> Value:
    if list(x.shape[2:]) == outs:
        return x
    return g.slice(x, [0, 0], outs, [2, 3])


def max_pool2d_with_index(step: Step) -> None:
    """Values and the position of each within its channel's plane."""
    g, x = step.g, step.x("X")
    kernel = [int(k) for k in step.attr("ksize", (1, 1))]
    if step.attr("global_pooling", False) or (step.attr("adaptive", False) and kernel == [1, 1]):
        flat = g.reshape(x, (*x.shape[:2], 1, x.shape[2] * x.shape[3]))
        step.out("Out", g.reduce("ReduceMax", x, [2, 3], keep=True))
        step.out("Mask", g.cast(g.add("ArgMax", flat, axis=3, keepdims=1), "int32"))
        return
    if step.attr("adaptive", False):
        _adaptive_with_index(step, x, kernel)
        return
    step.out("Out", _windowed(step, x, kernel, "max"))
    paddings = list(step.attr("paddings", (0, 0)))
    pads = (
        [paddings[0], paddings[-1]] * 2 if len(paddings) == 2 else [paddings[0], paddings[2], paddings[1], paddings[3]]
    )
    planes = g.reshape(x, (x.shape[0] * x.shape[1], 1, *x.shape[2:]))
    _, index = g.add_many("MaxPool", [planes], 2, kernel_shape=kernel, strides=list(step.attr("strides")), pads=pads)
    base = np.arange(planes.shape[0], dtype=np.int64).reshape(-1, 1, 1, 1) * (x.shape[2] * x.shape[3])
    mask = g.add("Sub", index, g.constant(base, "int64"))
    step.out("Mask", g.cast(g.reshape(mask, (*x.shape[:2], *index.shape[2:])), "int32"))


def _adaptive_with_index(step: Step, x: Value, sizes: list[int]) -> None:
    """Source: Paddle-Lite lite/kernels/host/max_pool_with_index_compute.cc, v2.13-rc."""
    g = step.g
    step.bounded("output sizes", sizes, ADAPTIVE_MAX)
    rows, columns = (
        [(i * n // s, -(-(i + 1) * n // s)) for i in range(s)] for n, s in zip(x.shape[2:], sizes, strict=True)
    )
    values, masks = [], []
    for top, bottom in rows:
        for left, right in columns:
            cell = g.reshape(
                g.slice(x, [top, left], [bottom, right], [2, 3]), (*x.shape[:2], (bottom - top) * (right - left))
            )
            values.append(g.reduce("ReduceMax", cell, [2], keep=True))
            plane = np.arange(x.shape[2] * x.shape[3]).reshape(x.shape[2:])[top:bottom, left:right].ravel()
            best = g.add("ArgMax", cell, axis=2, keepdims=1)
            masks.append(g.add("Gather", g.constant(plane, "int64"), best, axis=0))
    shape = (*x.shape[:2], *sizes)
    step.out("Out", g.reshape(g.concat(values, 2), shape))
    step.out("Mask", g.cast(g.reshape(g.concat(masks, 2), shape), "int32"))


TABLE: dict[str, Lowering] = {"pool2d": pool2d, "max_pool2d_with_index": max_pool2d_with_index}
