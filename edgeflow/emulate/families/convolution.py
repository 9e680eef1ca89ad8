"""conv2d, depthwise_conv2d, conv2d_transpose and sparse_conv2d, float and int8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate.arm import EXACT_FLOAT, Activation, activate, fma, fused_activation, quantise, steps
from edgeflow.emulate.graph import Array, Graph, Value
from edgeflow.emulate.step import Lowering, Step


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel slides: pads are (top, left, bottom, right), as ONNX orders them."""

    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]


def window(step: Step, size: Sequence[int], kernel: Sequence[int]) -> Window:
    """Read strides, paddings and dilations of an op for an input of `size` (H, W).

    Source: Paddle-Lite lite/operators/conv_op.h UpdatePaddingAndDilation, v2.13-rc: SAME counts the kernel
    without dilation and resets dilation to 1.
    """
    strides = tuple(step.attr("strides", (1, 1)))
    paddings = tuple(step.attr("paddings", (0, 0)))
    dilations = tuple(step.attr("dilations", (1, 1))) or (1, 1)
    if len(strides) != 2 or len(dilations) != 2 or min(strides + dilations) < 1 or len(paddings) not in (2, 4):
        raise NbError(f"{step.op.type}: strides {strides}, paddings {paddings}, dilations {dilations} make no window")
    top, bottom, left, right = paddings if len(paddings) == 4 else (paddings[0],) * 2 + (paddings[1],) * 2
    algorithm = step.attr("padding_algorithm", "EXPLICIT")
    if algorithm == "SAME":
        pads = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(size, strides, kernel, strict=True)]
        (top, bottom), (left, right) = ((p // 2, p - p // 2) for p in pads)
        dilations = (1, 1)
    elif algorithm == "VALID":
        top = bottom = left = right = 0
    return Window((strides[0], strides[1]), (top, left, bottom, right), (dilations[0], dilations[1]))


def conv2d(step: Step) -> None:
    x = step.x("Input")
    if x.rank != 4 or step.x("Filter").rank != 4:
        raise NbError(f"{step.op.type}: input {list(x.shape)} and filter should have four dimensions")
    groups = int(step.attr("groups", 1))
    filters, channels = step.x("Filter").shape[:2]
    if groups < 1 or channels * groups != x.shape[1] or filters % groups:
        raise NbError(
            f"{step.op.type}: input {list(x.shape)} has {x.shape[1]} channels, the filter "
            f"{list(step.x('Filter').shape)} takes {channels * max(groups, 1)}"
        )
    if step.x("Filter").dtype == "plain_int8":
        _conv2d_int8(step, x, step.weight("Filter"))
        return
    float_conv(step, x, window(step, x.shape[2:], step.x("Filter").shape[2:]))


def float_conv(step: Step, x: Value, win: Window) -> None:
    """A float convolution of `x` with the op's filter, bias and activation."""
    weight = step.x("Filter")
    y = step.g.add(
        "Conv",
        x,
        weight,
        _bias(step, weight.shape[0]),
        strides=win.strides,
        pads=win.pads,
        dilations=win.dilations,
        group=step.attr("groups", 1),
        kernel_shape=weight.shape[2:],
    )
    step.out("Output", _with_second(step, _activated(step, y, fused_activation(step))))


def _with_second(step: Step, y: Value) -> Value:
    """A residual sum that opt put into an OpenCL 1x1 convolution, after the convolution's own activation.

    Source: v2.13-rc conv_elementwise_tree_fuser.cc, and elt_fuse_func_wrapper in conv2d_1x1_default_kernel.cl.
    """
    kind = step.attr("fuse_elementwise_op_type", "")
    if not kind:
        return y
    total = step.g.add("Add", y, step.x("SecondInput"))
    return step.g.add("Relu", total) if kind == "fusion_elementwise_add_activation" else total


def _activated(step: Step, y: Value, act: Activation) -> Value:
    prelu = None
    if act.kind == "prelu":
        alpha = step.x("Prelu_alpha")
        mode = step.attr("prelu_mode", "channel")
        prelu = step.g.reshape(
            alpha,
            {"all": (1,), "channel": (1, -1, 1, 1) if alpha.const is None else (1, alpha.const.size, 1, 1)}.get(
                mode, (1, *y.shape[1:])
            ),
        )
    return activate(step.g, y, act, prelu=prelu)


def _bias(step: Step, channels: int) -> Value | None:
    bias = step.maybe("Bias")
    return None if bias is None else step.g.reshape(bias, (channels,))


def _conv2d_int8(step: Step, x: Value, weight: Array) -> None:
    """Exact int32 sums, then float32 scales. Source: conv_gemmlike.cc PrepareForRun, v2.13-rc."""
    win = window(step, x.shape[2:], weight.shape[2:])
    groups = int(step.attr("groups", 1))
    acc = integer_conv(step.g, x, weight, win, groups)
    requantised(step, acc, weight.shape[0], fused_activation(step), _int8_kernel(acc, weight, win, groups))


def _int8_kernel(acc: Value, weight: Array, win: Window, groups: int) -> Kernel:
    """Which kernel takes an int8 convolution on ARMv8 without dot products. Source: conv_compute.cc, v2.13-rc."""
    filters, _, height, width = weight.shape
    top, left, bottom, right = win.pads
    square = height == width and win.strides[0] == win.strides[1] and win.dilations == (1, 1)
    equal = top == bottom and left == right
    stride = win.strides[0]
    alone = groups == filters > 1 and weight.shape[1] == 1 and top == left
    if square and equal and alone and width in (3, 5) and stride in (1, 2):
        return DEPTHWISE
    if square and equal and groups == 1 and width == 3:
        if stride == 2:
            return DEPTHWISE
        if stride == 1:
            return WINOGRAD_SMALL if acc.shape[2] * acc.shape[3] < 128 else WINOGRAD
    return MATRIX


@dataclass(frozen=True, slots=True)
class Kernel:
    """How a kernel merges its scales, in float32, as gcc compiles it with -ffast-math.

    Attributes:
        apart: the weight's and the input's scale are multiplied first, then the reciprocal of the output's; else the
            weight's is multiplied with input / output.
        reciprocal: the bias is multiplied with 1 / output; else it is divided.
        times: whole sums are this many times larger (Winograd's transforms), and the scale that much smaller.
    """

    apart: bool = False
    reciprocal: bool = False
    times: int = 1


MATRIX, DEPTHWISE = Kernel(), Kernel(reciprocal=True)
WINOGRAD, WINOGRAD_SMALL = Kernel(apart=True, reciprocal=True, times=576), Kernel(apart=True, reciprocal=True)
"""Source: kernels/arm/conv_{gemmlike,depthwise,direct,winograd}.*, fc_compute.cc, v2.13-rc, compiled by gcc 12 with the
library's flags; 3x3 of stride 2 (direct) merges as depthwise does, and 2x2 tiles only shift the exponent."""


def merged(weight: Array, given: np.float32, out: np.float32 | None, kernel: Kernel) -> Array:
    """What whole sums are multiplied with; `out` is the output's scale, None for float outputs."""
    if out is None:
        scale = weight * given
    elif kernel.apart:
        scale = (weight * given) * (np.float32(1) / out)
    else:
        scale = weight * (given / out)
    return (scale * np.float32(1 / kernel.times)).astype(np.float32) if kernel.times > 1 else scale.astype(np.float32)


def merged_bias(bias: Array, out: np.float32, kernel: Kernel) -> Array:
    """A bias in steps of the output."""
    return (bias * (np.float32(1) / out) if kernel.reciprocal else bias / out).astype(np.float32)


def requantised(step: Step, acc: Value, channels: int, act: Activation, kernel: Kernel = MATRIX) -> None:
    """From int32 sums [N, C, H, W] to the output that the kernel's alias asks for."""
    g = step.g
    weight_scale, given = per_channel(step, "Filter0_scale", channels), step.scale("Input0_scale")[0]
    bias_value = step.maybe("Bias")
    bias = None
    if bias_value is not None:
        if bias_value.const is None:
            raise NbError(f"{step.op.type}: the bias of an int8 kernel should be a parameter")
        bias = bias_value.const.astype(np.float32).reshape(channels, 1, 1)
    int8_out = step.alias.endswith("int8_out")
    out_scale = step.scale("Output0_scale")[0] if int8_out else np.float32(1)
    scale = merged(weight_scale, given, out_scale if int8_out else None, kernel)
    if int8_out:
        bias = None if bias is None else merged_bias(bias, out_scale, kernel)
    if kernel.times > 1:
        acc = g.mul(g.cast(acc, "float64"), float(kernel.times))
    y = fma(g, acc, scale.reshape(channels, 1, 1), bias)
    y = activate(g, y, act, step_size=float(out_scale))
    step.out("Output", quantise(g, y, positive=act.positive) if int8_out else y)


def per_channel(step: Step, name: str, channels: int) -> Array:
    """Weight scales as float32[channels]; one entry stands for all.

    A one-entry scale is an export fault (the ARM kernel reads past it, lint says so): it is taken as per-layer.
    """
    scale = step.scale(name)
    if scale.size not in (1, channels):
        raise NbError(f"{step.op.type}: {name!r} holds {scale.size} scales for {channels} channels")
    return np.broadcast_to(scale, (channels,)).astype(np.float32)


def integer_conv(g: Graph, x: Value, weight: Array, win: Window, groups: int) -> Value:
    """Exact sums of int8 products: ConvInteger where it is fast, float Conv where that is exact too.

    ConvInteger takes uint8 around 128 on both sides. A float sum of whole numbers is exact while its
    magnitude stays below 2^24, which the weights alone decide; depthwise layers are faster that way.
    """
    common: dict[str, Any] = {
        "strides": win.strides,
        "pads": win.pads,
        "dilations": win.dilations,
        "group": groups,
        "kernel_shape": weight.shape[2:],
    }
    bound = np.abs(weight.astype(np.int64)).reshape(weight.shape[0], -1).sum(axis=1).max(initial=0) * 128
    if groups > 1 and bound < EXACT_FLOAT:
        return g.add("Conv", steps(g, x), g.constant(weight.astype(np.float32)), **common)
    zero = g.scalar(128, "uint8")
    biased = g.constant((weight.astype(np.int16) + 128).astype(np.uint8), "uint8")
    return g.add("ConvInteger", x, biased, zero, zero, dtype="int32", **common)


def conv2d_transpose(step: Step) -> None:
    g, x = step.g, step.x("Input")
    weight_value = step.x("Filter")
    weight_shape = weight_value.shape
    groups = int(step.attr("groups", 1))
    if x.rank != 4 or len(weight_shape) != 4 or weight_shape[0] != x.shape[1]:
        raise NbError(f"{step.op.type}: input {list(x.shape)} and filter {list(weight_shape)} do not fit")
    win, output_padding = transpose_window(step, x, weight_shape)
    common: dict[str, Any] = {
        "strides": win.strides,
        "pads": win.pads,
        "dilations": win.dilations,
        "group": groups,
        "kernel_shape": weight_shape[2:],
        "output_padding": output_padding,
    }
    channels = weight_shape[1] * groups
    act = fused_activation(step)
    if weight_value.dtype != "plain_int8":
        y = g.add("ConvTranspose", x, weight_value, _bias(step, channels), **common)
        step.out("Output", activate(g, y, act))
        return
    weight = step.weight("Filter")
    requantised(step, _integer_transpose(g, steps(g, x), weight, common), channels, act)


def transpose_window(step: Step, x: Value, weight: Sequence[int]) -> tuple[Window, tuple[int, int]]:
    """How a transposed convolution slides, and its output padding.

    Source: Paddle-Lite lite/operators/conv_transpose_op.cc InferShapeImpl, v2.13-rc.
    """
    win = window(step, x.shape[2:], weight[2:])
    extra = [0, 0]
    wanted: Sequence[int] = step.attr("output_size") or ()
    padding: Sequence[int] = step.attr("output_padding") or ()
    for axis in range(2):
        size = (
            (x.shape[2 + axis] - 1) * win.strides[axis]
            - win.pads[axis]
            - win.pads[axis + 2]
            + win.dilations[axis] * (weight[2 + axis] - 1)
            + 1
        )
        if len(padding) > 0:
            extra[axis] = padding[axis] if len(padding) > 1 else padding[0]
        elif len(wanted) > 0:
            extra[axis] = (wanted[axis] if len(wanted) > 1 else wanted[0]) - size
        if extra[axis] < 0 or extra[axis] >= max(win.strides[axis], win.dilations[axis]):
            raise NbError(f"{step.op.type}: output padding {extra[axis]} should be less than the stride")
    return win, (extra[0], extra[1])


def _integer_transpose(g: Graph, x: Value, weight: Array, common: dict[str, Any]) -> Value:
    """Exact sums for a transposed convolution, in float; high and low halves apart where one sum could overflow."""
    # Per output element at most every input channel and tap contributes once.
    bound = np.abs(weight.astype(np.int64)).sum(axis=(0, 2, 3)).max(initial=0) * 128
    if bound < EXACT_FLOAT:
        return g.add("ConvTranspose", x, g.constant(weight.astype(np.float32)), None, **common)
    high = np.floor_divide(weight.astype(np.int16), 16)
    low = weight.astype(np.int16) - 16 * high
    upper, lower = (
        g.cast(g.add("ConvTranspose", x, g.constant(part.astype(np.float32)), None, **common), "float64")
        for part in (high, low)
    )
    return g.plus(g.mul(upper, 16.0), lower)


def sparse_conv2d(step: Step) -> None:
    """A 1x1 convolution whose zero weights were dropped by opt; the dense weights are rebuilt."""
    x = step.x("Input")
    channels = step.weight("OcNonZeros").size
    if "Bias" in step.op.inputs and step.maybe("Bias") is not None:
        channels = step.x("Bias").shape[-1]
    weight = dense_weight(
        step.weight("NonZeroWeights"),
        step.weight("OcNonZeros"),
        step.weight("Diffs"),
        out_channels=channels,
        in_channels=x.shape[1],
        pixels=x.shape[2] * x.shape[3],
        first=int(step.attr("first_ic", 0)),
        semi=bool(step.attr("flag_semi", 0)),
    )
    win = Window((1, 1), (0, 0, 0, 0), (1, 1))
    act = fused_activation(step)
    if weight.dtype == np.int8:
        requantised(step, integer_conv(step.g, x, weight, win, 1), weight.shape[0], act)
        return
    y = step.g.add("Conv", x, step.g.constant(weight), _bias(step, weight.shape[0]), kernel_shape=(1, 1))
    step.out("Output", activate(step.g, y, act))


def dense_weight(
    values: Array,
    ends: Array,
    diffs: Array,
    *,
    out_channels: int,
    in_channels: int,
    pixels: int,
    first: int,
    semi: bool,
) -> Array:
    """Rebuild the dense weights [out, in, 1, 1] of a sparse convolution.

    `diffs` are byte offsets between input channels of `pixels` elements; the last one of a row counts from the
    first channel. Rows of float weights are padded to 4 entries unless `semi`, whose entries hold two rows.
    Source: Paddle-Lite sparse_conv_detect_pass.cc ComputeSparseWeight, ComputeSemiSparseWeight, v2.13-rc.

    Raises:
        NbError: the offsets do not fit the input, as when the file was made for another input size.
    """
    itemsize = values.dtype.itemsize
    stride = pixels * itemsize
    if np.any(diffs % stride):
        raise NbError(
            f"sparse_conv2d: its offsets are no multiple of {pixels} pixels: the file is tied to another input size",
            try_="feed the input size that the model was converted with, or convert it again for this one",
        )
    dense = np.zeros((out_channels, in_channels), values.dtype)
    jumps = (diffs.ravel() // stride).tolist()
    flat, channel, start, row, taken = values.ravel(), first, 0, 0, 0
    padded = values.dtype == np.float32 and not semi
    for end in ends.ravel().tolist():
        rows = 2 if semi and row + 1 < out_channels else 1
        if padded:
            start = taken = -(-start // 4) * 4
        for entry in range(start, end):
            if not 0 <= channel < in_channels or entry >= len(jumps) or taken + rows > flat.size or row >= out_channels:
                raise NbError("sparse_conv2d: its offsets leave the input; the file is tied to another input size")
            dense[row : row + rows, channel] = flat[taken : taken + rows]
            taken += rows
            channel = first + jumps[entry] if entry == end - 1 else channel + jumps[entry]
        start, row = max(end, start), row + rows
    return dense.reshape(out_channels, in_channels, 1, 1)


TABLE: dict[str, Lowering] = {
    "conv2d": conv2d,
    "depthwise_conv2d": conv2d,
    "conv2d_transpose": conv2d_transpose,
    "depthwise_conv2d_transpose": conv2d_transpose,
    "sparse_conv2d": sparse_conv2d,
}
