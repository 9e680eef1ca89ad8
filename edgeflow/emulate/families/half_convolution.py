"""Convolutions of the float16 kernels: which sums are taken in which order, each rounded to float16.

Source: Paddle-Lite v2.13-rc lite/kernels/arm/conv_compute.cc (which kernel takes which convolution) and
lite/backends/arm/math/fp16, for one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate import half
from edgeflow.emulate.families.convolution import Window, transpose_window, window
from edgeflow.emulate.families.half_winograd import winograd
from edgeflow.emulate.graph import Graph, Value
from edgeflow.emulate.half import Fused
from edgeflow.emulate.step import Lowering, Step


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution of [N, C, H, W] by filters [M, C / groups, kernel], to planes of `size`."""

    g: Graph
    x: Value
    weight: Value
    win: Window
    groups: int
    size: tuple[int, int]
    bias: Value | None

    @property
    def depthwise(self) -> bool:
        return self.groups == self.x.shape[1] == self.weight.shape[0]

    @property
    def plain(self) -> bool:
        """A square window without dilation."""
        kernel, width = self.weight.shape[2:]
        return self.win.dilations == (1, 1) and kernel == width and self.win.strides[0] == self.win.strides[1]

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]


def conv2d(step: Step) -> None:
    g, x, weight = step.g, step.x("Input"), step.x("Filter")
    groups = int(step.attr("groups", 1))
    filters, channels = weight.shape[:2] if weight.rank == 4 else (0, 0)
    if x.rank != 4 or groups < 1 or channels * groups != x.shape[1] or filters % groups:
        raise NbError(f"{step.op.type}: input {list(x.shape)} and filter {list(weight.shape)} do not fit")
    win = window(step, x.shape[2:], weight.shape[2:])
    bias = step.maybe("Bias")
    bias = None if bias is None else g.reshape(bias, (filters,))
    layer = Layer(g, x, weight, win, groups, output_size(x, weight, win), bias)
    step.out("Output", half.activate(g, _sums(layer), Fused.of(step)))


def output_size(x: Value, weight: Value, win: Window) -> tuple[int, int]:
    size = [
        (x.shape[2 + i] + win.pads[i] + win.pads[i + 2] - win.dilations[i] * (weight.shape[2 + i] - 1) - 1)
        // win.strides[i]
        + 1
        for i in range(2)
    ]
    if min(size) < 1:
        raise NbError(f"convolution: its window is larger than the input {list(x.shape)}")
    return size[0], size[1]


def _sums(layer: Layer) -> Value:
    """Sums of products with the bias in, [N, M, H, W]. Source: conv_compute.cc ConvCompute<kFP16>::PrepareForRun."""
    g, win = layer.g, layer.win
    filters, channels, kernel, _ = layer.weight.shape
    stride = win.strides[0]
    if layer.depthwise:
        if layer.plain and kernel == 3 and stride in (1, 2) and win.pads[0] == win.pads[1] and max(win.pads) < 2:
            return _depthwise_s1(layer) if stride == 1 else _depthwise_s2(layer)
        return general(layer, biased_first=True)
    if layer.plain and layer.groups == 1 and kernel == 3:
        if stride == 2 and channels * filters < 4 * layer.x.shape[2] * layer.x.shape[3]:
            return _direct_s2(layer)
        if stride == 1 and channels > 8 and filters > 8:
            return half.biased(g, winograd(g, layer.x, layer.weight, win.pads, layer.size), layer.bias)
        if stride == 1:
            return half.biased(g, general(layer), layer.bias)
    if layer.pixels == 1:
        return half.biased(g, _vector(layer), layer.bias)
    if filters // layer.groups == 1:
        return half.biased(g, _one_filter(layer), layer.bias)
    return _matrix(layer)


def columns(layer: Layer, groups: int) -> Value:
    """What each weight is multiplied with: [channels of a group, taps, N, groups, H * W]."""
    g, x, win, size = layer.g, layer.x, layer.win, layer.size
    top, left, bottom, right = win.pads
    if any(win.pads):
        x = g.add("Pad", x, g.ints([0, 0, top, left, 0, 0, bottom, right]), g.scalar(0.0))
    batch, channels = x.shape[:2]
    taps = []
    for row in range(layer.weight.shape[2]):
        for column in range(layer.weight.shape[3]):
            begin = (row * win.dilations[0], column * win.dilations[1])
            end = [b + (n - 1) * s + 1 for b, n, s in zip(begin, size, win.strides, strict=True)]
            part = g.slice(x, begin, end, (2, 3), win.strides)
            taps.append(g.reshape(part, (batch, groups, channels // groups, 1, layer.pixels)))
    return g.transpose(g.concat(taps, 3), (2, 3, 0, 1, 4))


def sides(layer: Layer) -> tuple[Value, Value]:
    """Numbers and weights, channel by channel and tap by tap in rows."""
    groups, depth = layer.groups, int(np.prod(layer.weight.shape[1:]))
    left = layer.g.reshape(columns(layer, groups), (depth, layer.x.shape[0], groups, 1, layer.pixels))
    return left, _filters(layer.g, layer.weight, groups)


def general(layer: Layer, *, biased_first: bool = False) -> Value:
    """Each sum in turn; it begins with the bias, or with zero."""
    filters = layer.weight.shape[0]
    shape = (layer.x.shape[0], layer.groups, filters // layer.groups, layer.pixels)
    start = half.filled(layer.g, layer.bias if biased_first else None, shape)
    total = half.accumulate(layer.g, start, *sides(layer))
    return layer.g.reshape(total, (shape[0], filters, *layer.size))


def _matrix(layer: Layer) -> Value:
    """By the matrix kernel. Source: conv_impl_fp16.cc conv1x1s1_gemm_fp16 and conv_im2col_gemm_fp16."""
    filters, groups = layer.weight.shape[0], layer.groups
    start = None if layer.bias is None else layer.g.reshape(layer.bias, (1, groups, filters // groups, 1))
    total = half.summed(layer.g, *sides(layer), start)
    return layer.g.reshape(total, (layer.x.shape[0], filters, *layer.size))


def _filters(g: Graph, weight: Value, groups: int) -> Value:
    """Weights by the order in which they are taken: [channels * taps, 1, groups, filters of a group, 1]."""
    filters, depth = weight.shape[0], int(np.prod(weight.shape[1:]))
    flat = g.reshape(weight, (groups, filters // groups, depth))
    return g.reshape(g.transpose(flat, (2, 0, 1)), (depth, 1, groups, filters // groups, 1))


def _direct_s2(layer: Layer) -> Value:
    """3x3, stride 2. Source: conv3x3s2_direct_fp16.cc: three channels tap by tap; else each output row in an order
    of its own."""
    g, batch = layer.g, layer.x.shape[0]
    filters, channels = layer.weight.shape[:2]
    taken = columns(layer, 1)
    spread = g.reshape(layer.weight, (filters, channels, 9))

    def summed(order: Sequence[int], taps_first: bool) -> Value:
        indices = g.ints(order)
        left, right = g.add("Gather", taken, indices, axis=1), g.add("Gather", spread, indices, axis=2)
        right = g.transpose(right, (2, 1, 0) if taps_first else (1, 2, 0))
        left = g.transpose(left, (1, 0, 2, 3, 4)) if taps_first else left
        start = half.filled(g, None, (batch, 1, filters, layer.pixels))
        left = g.reshape(left, (9 * channels, batch, 1, 1, layer.pixels))
        total = half.accumulate(g, start, left, g.reshape(right, (9 * channels, 1, 1, filters, 1)))
        return g.reshape(total, (batch, filters, *layer.size))

    if channels == 3 and filters % 8 == 0:
        return half.biased(g, summed(range(9), True), layer.bias)
    even, odd = summed((0, 6, 1, 7, 2, 8, 3, 4, 5), False), summed(range(9), False)
    rows = np.arange(layer.size[0]).reshape(1, 1, -1, 1) % 2 == 0
    return half.biased(g, g.add("Where", g.constant(rows, "bool"), even, odd), layer.bias)


MIDDLE_FIRST = (1, 0, 2, 4, 3, 5, 7, 6, 8)
EDGE = (
    MIDDLE_FIRST,
    (1, 0, 2, 4, 3, 5, 6, 7, 8),
    (1, 0, 2, 3, 4, 5, 6, 7, 8),
    tuple(range(9)),
)
"""Taps of a 3x3 filter in the order of the left edge's instructions, by the output row modulo four."""


def _depthwise_s1(layer: Layer) -> Value:
    """3x3, stride 1. Source: conv3x3s1_depthwise_fp16.cc: narrow outputs and left edges have orders of their own."""
    g, size, (batch, channels) = layer.g, layer.size, layer.x.shape[:2]
    taken = g.reshape(columns(layer, channels), (9, batch, channels, 1, layer.pixels))
    spread = g.reshape(g.transpose(g.reshape(layer.weight, (channels, 9)), (1, 0)), (9, 1, channels, 1, 1))
    start = half.filled(g, layer.bias, (batch, channels, 1, layer.pixels))

    def total(order: Sequence[int]) -> Value:
        left, right = (g.add("Gather", v, g.ints(order), axis=0) for v in (taken, spread))
        return g.reshape(half.accumulate(g, start, left, right), (batch, channels, *size))

    if layer.win.pads[1] == 0:
        return total(range(9))
    if size[1] <= 8:
        return total(MIDDLE_FIRST)
    y = total(range(9))
    last = size[1] - 8 if size[1] % 8 else size[1]
    row, column = np.arange(size[0]).reshape(-1, 1) % 4, np.arange(size[1]) < min(8, last)
    for index, order in enumerate(EDGE[:3]):
        mask = (row == index) & column
        if mask.any():
            y = g.add("Where", g.constant(mask, "bool"), total(order), y)
    return y


def _depthwise_s2(layer: Layer) -> Value:
    """3x3, stride 2: three sums, one a column of the filter; the bias begins the first.

    Source: conv3x3s2_depthwise_fp16.cc: at the left edge the first sum is that of the left column, elsewhere of the
    right one.
    """
    g, size, (batch, channels) = layer.g, layer.size, layer.x.shape[:2]
    taken = g.reshape(columns(layer, channels), (3, 3, batch, channels, 1, layer.pixels))
    spread = g.reshape(g.transpose(g.reshape(layer.weight, (channels, 9)), (1, 0)), (3, 3, 1, channels, 1, 1))
    shape = (batch, channels, 1, layer.pixels)

    def column(index: int, first: Value | None) -> Value:
        left, right = (g.reshape(g.slice(v, (index,), (index + 1,), (1,)), (3, *v.shape[2:])) for v in (taken, spread))
        return half.accumulate(g, half.filled(g, first, shape), left, right)

    def total(order: Sequence[int]) -> Value:
        first, second, third = (column(order[0], layer.bias), column(order[1], None), column(order[2], None))
        return g.reshape(half.add(g, half.add(g, first, second), third), (batch, channels, *size))

    edge, inner = (0, 1, 2), (2, 0, 1)
    if layer.win.pads[1] == 0:
        return total(inner)
    if layer.x.shape[3] <= 15:
        return total(edge)
    # The last vector of eight is computed again from the right edge, over what it shares with the one before.
    last = size[1] - 8 if size[1] % 8 else size[1]
    mask = np.arange(size[1]) < min(8, last)
    return g.add("Where", g.constant(mask, "bool"), total(edge), total(inner))


def _vector(layer: Layer) -> Value:
    """One output pixel: a matrix times a vector. Source: gemv_fp16.cc gemv_fp16, without the bias."""
    g, groups, batch = layer.g, layer.groups, layer.x.shape[0]
    filters, depth = layer.weight.shape[0], int(np.prod(layer.weight.shape[1:]))
    taken = g.transpose(g.reshape(columns(layer, groups), (depth, batch, groups, 1)), (1, 2, 3, 0))
    matrix = g.reshape(layer.weight, (1, groups, filters // groups, depth))
    return g.reshape(half.dot(g, taken, matrix), (batch, filters, 1, 1))


def _one_filter(layer: Layer) -> Value:
    """One filter: a vector times a matrix. Source: gemv_fp16.cc gemv_fp16_trans, without the bias."""
    g, groups, batch = layer.g, layer.groups, layer.x.shape[0]
    filters, depth = layer.weight.shape[0], int(np.prod(layer.weight.shape[1:]))
    taken = g.reshape(columns(layer, groups), (depth, batch, groups, layer.pixels))
    vector = g.reshape(layer.weight, (1, groups, 1, depth))
    total = half.dot_transposed(g, g.transpose(taken, (1, 2, 3, 0)), vector)
    return g.reshape(total, (batch, filters, *layer.size))


def conv2d_transpose(step: Step) -> None:
    """A matrix product for every tap, then the taps added up in their order.

    Source: conv_transpose_compute.cc Conv2DTransposeCompute<kFP16>::Run, conv_impl_fp16.cc col2im,
    fill_bias_act_fp16.cc. Depthwise ones of stride 1 and 2 multiply and add tap by tap
    (conv_transpose_depthwise_fp16.cc).
    """
    g, x, weight = step.g, step.x("Input"), step.x("Filter")
    groups = int(step.attr("groups", 1))
    if x.rank != 4 or weight.rank != 4 or weight.shape[0] != x.shape[1] or groups < 1 or x.shape[1] % groups:
        raise NbError(f"{step.op.type}: input {list(x.shape)} and filter {list(weight.shape)} do not fit")
    win, extra = transpose_window(step, x, weight.shape)
    batch, channels, height, width = x.shape
    per, kernel = weight.shape[1], weight.shape[2:]
    taps, pixels = kernel[0] * kernel[1], height * width
    depthwise = groups == channels and per == 1 and win.strides in ((1, 1), (2, 2))
    flat = g.reshape(x, (batch, groups, channels // groups, pixels))
    spread = g.reshape(weight, (groups, channels // groups, per * taps))
    if depthwise:
        parts = [(flat, g.slice(spread, (t,), (t + 1,), (2,))) for t in range(taps)]
        products: list[Value | tuple[Value, Value]] = list(parts)
    else:
        left = g.reshape(g.transpose(flat, (2, 0, 1, 3)), (channels // groups, batch, groups, 1, pixels))
        right = g.reshape(g.transpose(spread, (1, 0, 2)), (channels // groups, 1, groups, per * taps, 1))
        whole = g.reshape(half.summed(g, left, right, None), (batch, groups * per, taps, pixels))
        products = [
            g.reshape(g.slice(whole, (t,), (t + 1,), (2,)), (batch, groups * per, height, width)) for t in range(taps)
        ]
    y = _scattered(g, x, products, win, (kernel[0], kernel[1]), extra)
    step.out("Output", _finished(g, y, step.maybe("Bias"), Fused.of(step)))


def _scattered(
    g: Graph,
    x: Value,
    products: Sequence[Value | tuple[Value, Value]],
    win: Window,
    kernel: tuple[int, int],
    extra: tuple[int, int],
) -> Value:
    """Add every tap's products where they belong; a pair is a tensor and its factor, fused with the sum."""
    sizes = [
        (x.shape[2 + i] - 1) * win.strides[i] + win.dilations[i] * (kernel[i] - 1) + 1 + extra[i] for i in range(2)
    ]
    total: Value | None = None
    for index, product in enumerate(products):
        row, column = index // kernel[1] * win.dilations[0], index % kernel[1] * win.dilations[1]
        if isinstance(product, tuple):
            values, factor = product
            placed = _placed(g, g.reshape(values, x.shape), win.strides, (row, column), sizes)
            factor = g.reshape(factor, (1, factor.shape[0], 1, 1))
            total = half.mul(g, placed, factor) if total is None else half.fma(g, total, placed, factor)
        else:
            placed = _placed(g, product, win.strides, (row, column), sizes)
            total = placed if total is None else half.add(g, total, placed)
    if total is None:
        raise NbError("conv2d_transpose: its kernel is empty")
    ends = [size - pad for size, pad in zip(sizes, win.pads[2:], strict=True)]
    return g.slice(total, win.pads[:2], ends, (2, 3))


def _placed(g: Graph, x: Value, strides: Sequence[int], at: tuple[int, int], sizes: Sequence[int]) -> Value:
    """x with zeros between its elements, from `at` on in a plane of `sizes`."""
    batch, channels, height, width = x.shape
    if tuple(strides) != (1, 1):
        spread = g.reshape(x, (batch, channels, height, 1, width, 1))
        pads = [0] * 6 + [0, 0, 0, strides[0] - 1, 0, strides[1] - 1]
        spread = g.add("Pad", spread, g.ints(pads), g.scalar(0.0))
        x = g.reshape(spread, (batch, channels, height * strides[0], width * strides[1]))
        x = g.slice(x, (0, 0), (height * strides[0] - strides[0] + 1, width * strides[1] - strides[1] + 1), (2, 3))
    after = [size - begin - n for size, begin, n in zip(sizes, at, x.shape[2:], strict=True)]
    return g.add("Pad", x, g.ints([0, 0, *at, 0, 0, *after]), g.scalar(0.0))


def _finished(g: Graph, y: Value, bias: Value | None, act: Fused) -> Value:
    """Bias and activation; the last elements of a plane that make no eight take a leaky ReLU for hard_swish.

    Source: fill_bias_act_fp16.cc fill_bias_act_fp16, whose remainder loop for kHardSwish reads Leaky_relu_alpha.
    """
    y = half.biased(g, y, bias)
    result = half.activate(g, y, act)
    pixels = y.shape[2] * y.shape[3]
    if act.kind != "hard_swish" or pixels % 8 == 0:
        return result
    mask = (np.arange(pixels) < pixels // 8 * 8).reshape(y.shape[2:])
    return g.add("Where", g.constant(mask, "bool"), result, g.add("Relu", y))


TABLE: dict[str, Lowering] = {
    "conv2d": conv2d,
    "depthwise_conv2d": conv2d,
    "conv2d_transpose": conv2d_transpose,
    "depthwise_conv2d_transpose": conv2d_transpose,
}
