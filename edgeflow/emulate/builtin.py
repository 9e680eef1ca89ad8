"""int8 as NNAdapter's builtin_device computes it, number for number: each op dequantises, takes a plain loop's float32
sums one product after the other, and cuts the result off to its scale.

Source: Paddle-Lite v2.13-rc lite/backends/nnadapter/nnadapter/include/nnadapter/operation/math/*.h, the optimizer's
fuse_conv2d_add_into_conv2d.cc and fuse_matmul_add_into_fully_connected.cc, and lite/kernels/nnadapter/converter/*.cc.
The library is built as C++11, in which gcc joins no product with a sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

import numpy as np

from edgeflow.core.rounding import half_away
from edgeflow.emulate.arm import activate, fused_activation
from edgeflow.emulate.families import pool, shape
from edgeflow.emulate.families.convolution import per_channel, window
from edgeflow.emulate.families.half_convolution import Layer, output_size, sides
from edgeflow.emulate.families.quantised import cut_off
from edgeflow.emulate.fused import CONVOLUTIONS, Group, groups
from edgeflow.emulate.graph import Array, Graph, Value
from edgeflow.emulate.in_turn import in_turn, multiply_add
from edgeflow.emulate.step import Step
from edgeflow.nb.model import Block, Op, Parameter
from edgeflow.nb.near import as_converted

StepOf = Callable[[Op], Step]

WHOLE_MAX = float(1 << 31)
"""Biases are clamped to int32, whose largest number is this in float32."""


class BuiltinBlock:
    """The ops of a subgraph, as the device joins them.

    Args:
        outputs: what the subgraph gives.
        parameters: weights by name.

    Attributes:
        inside: results that are never written, and so never rounded.
    """

    def __init__(self, block: Block, outputs: Collection[str], parameters: Mapping[str, Parameter]) -> None:
        self.groups = groups(block, outputs, parameters)
        self.inside = frozenset(name for group in self.groups.values() for name in group.inside)

    def lowered(self, step: Step, step_of: StepOf) -> bool:
        """Lower an op that has int8 results; False for one that needs nothing but its meaning and `cut_off`.

        Args:
            step_of: an op of the same block as a step.
        """
        name = next((n for key in ("Output", "Out") for n in step.op.outputs.get(key, ())), "")
        unit = next((step.attr(f"{key}0_scale") for key in ("Output", "Out") if step.attr(f"{key}0_scale")), None)
        if unit is None or name in self.inside:
            return False
        if (group := self.groups.get(name)) is not None:
            return _group(step, group, step_of)
        way = _WAYS.get(step.op.type)
        return way is not None and way(step)


def _group(step: Step, group: Group, step_of: StepOf) -> bool:
    """A convolution or product with its bias and activation. A batch norm that opt left in is not followed."""
    head = step_of(group.head)
    convolution = group.head.type in CONVOLUTIONS
    weight = head.x("Filter" if convolution else "Y")
    whole = head.op.flag("enable_int8") and weight.const is not None and weight.dtype == "float32"
    if not whole or group.batch_norm is not None or (not convolution and group.add is None):
        return False
    add = None if group.add is None else step_of(group.add).weight("Y")
    total = _convolution(head, weight, add) if convolution else _product(head, weight, add)
    total = activate(step.g, total, fused_activation(head))
    if group.activation is not None:
        total = step.g.clip(total, 0.0, 6.0 if group.activation.type == "relu6" else None)
    parameter = "Output" if step.op.outputs.get("Output") else "Out"
    step.out(parameter, cut_off(step.g, total, float(step.scale(f"{parameter}0_scale")[0])))
    return True


def _bias(head: Step, unit: Array, add: Array | None) -> Array:
    """What sums begin with: the op's bias cut off to int32 steps of `unit`, a joined constant rounded to them."""
    count: Array = np.zeros(unit.shape, np.float32)
    own = head.maybe("Bias")
    if own is not None and own.const is not None:
        count = np.trunc(own.const.astype(np.float32).ravel() / unit)
    if add is not None:
        count = half_away(((count * unit + add.astype(np.float32).ravel()) / unit).astype(np.float64))
    count = np.where(np.isnan(count), 0, count)  # of a channel without a scale
    return (np.clip(count, -WHOLE_MAX, WHOLE_MAX).astype(np.float32) * unit).astype(np.float32)


def _convolution(head: Step, weight: Value, add: Array | None) -> Value:
    g, x = head.g, head.x("Input")
    filters, groups_ = weight.shape[0], int(head.attr("groups", 1))
    unit = (head.scale("Input0_scale")[0] * as_converted(per_channel(head, "Filter0_scale", filters))).astype(
        np.float32
    )
    win = window(head, x.shape[2:], weight.shape[2:])
    layer = Layer(g, x, weight, win, groups_, output_size(x, weight, win), None)
    first = g.constant(_bias(head, unit, add).reshape(1, groups_, filters // groups_, 1))
    start = g.add("Expand", first, g.ints((x.shape[0], groups_, filters // groups_, layer.pixels)))
    total = in_turn(g, multiply_add(), start, *sides(layer))
    return g.reshape(total, (x.shape[0], filters, *layer.size))


def _product(head: Step, weight: Value, add: Array | None) -> Value:
    g, x = head.g, head.x("X")
    flip = bool(head.attr("trans_y", head.attr("transpose_Y", False)))
    lead = int(head.attr("x_num_col_dims", 1)) if head.op.type == "mul" else x.rank - 1
    weight = g.transpose(weight, (1, 0)) if flip else weight
    depth, columns = weight.shape[0], math.prod(weight.shape[1:])
    rows = math.prod(x.shape[:lead])
    unit = (head.scale("X0_scale")[0] * as_converted(per_channel(head, "Y0_scale", columns))).astype(np.float32)
    left = g.reshape(g.transpose(g.reshape(x, (rows, depth)), (1, 0)), (depth, rows, 1))
    start = g.add("Expand", g.constant(_bias(head, unit, add).reshape(1, columns)), g.ints((rows, columns)))
    total = in_turn(g, multiply_add(), start, left, g.reshape(weight, (depth, 1, columns)))
    return g.reshape(total, (*x.shape[:lead], *weight.shape[1:]))


def _summed(g: Graph, parts: Value) -> Value:
    """Sums over the first axis, in turn."""
    ones = g.constant(np.ones((parts.shape[0], *(1,) * (parts.rank - 1)), np.float32))
    start = g.constant(np.zeros(parts.shape[1:], np.float32))
    return in_turn(g, multiply_add(), start, parts, ones)


def _average(step: Step) -> bool:
    """Average pooling, whose windows are summed row by row."""
    g, x = step.g, step.x("X")
    if step.attr("pooling_type", "max") == "max":
        return False
    win = pool.window(step, x)
    if win is None:
        if not step.attr("global_pooling", False) and list(step.attr("ksize", (1, 1))) != [1, 1]:
            return False  # the device has no adaptive pooling
        pixels = math.prod(x.shape[2:])
        parts = g.transpose(g.reshape(x, (*x.shape[:2], pixels)), (2, 0, 1))
        mean = g.add("Div", g.reshape(_summed(g, parts), (*x.shape[:2], 1, 1)), g.scalar(float(pixels)))
    else:
        counts = np.full(win.sizes, math.prod(win.kernel), np.float32)
        if step.attr("exclusive", True):
            counts = pool.window_counts(x, win, exclusive=True)
        mean = g.add("Div", _summed(g, _taps(g, x, win)), g.constant(counts))
    step.out("Out", cut_off(g, mean, float(step.scale("Out0_scale")[0])))
    return True


def _taps(g: Graph, x: Value, win: pool.Window) -> Value:
    """[taps of the window, N, C, H, W], zero beyond the input."""
    top, _, left, _ = win.pads
    ends = [
        max((n - 1) * s + k - m - b, 0)
        for n, s, k, m, b in zip(win.sizes, win.strides, win.kernel, x.shape[2:], (top, left), strict=True)
    ]
    if any((top, left, *ends)):
        x = g.add("Pad", x, g.ints([0, 0, top, left, 0, 0, *ends]), g.scalar(0.0))
    parts = []
    for row in range(win.kernel[0]):
        for column in range(win.kernel[1]):
            last = [b + (n - 1) * s + 1 for b, n, s in zip((row, column), win.sizes, win.strides, strict=True)]
            part = g.slice(x, (row, column), last, (2, 3), win.strides)
            parts.append(g.reshape(part, (1, *part.shape)))
    return g.concat(parts, 0)


def _softmax(step: Step) -> bool:
    g, x = step.g, step.x("X")
    axis = step.axis(step.attr("axis", -1), x.rank)
    far = g.add("Sub", x, g.reduce("ReduceMax", x, [axis], keep=True))
    powers = g.cast(g.add("Exp", g.cast(far, "float64")), "float32")
    order = (axis, *(i for i in range(x.rank) if i != axis))
    total = _summed(g, g.transpose(powers, order))
    total = g.reshape(total, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    step.out("Out", cut_off(g, g.add("Div", powers, total), float(step.scale("Out0_scale")[0])))
    return True


NEAR = 1e-5
"""Factors this near to 1 and biases this near to 0 are left out. Source: converter/scale.cc."""


def _scale(step: Step) -> bool:
    """A product and a sum, each cut off; where neither is left, the input goes on with its own scale."""
    if not step.attr("X0_scale") or step.op.inputs.get("ScaleTensor"):
        return False
    g, y, unit = step.g, step.x("X"), float(step.scale("Out0_scale")[0])
    factor, bias = (np.float32(step.attr(name, default)) for name, default in (("scale", 1.0), ("bias", 0.0)))
    if not step.attr("bias_after_scale", True):
        bias = np.float32(bias * factor)
    if abs(factor - 1) > NEAR:
        y = cut_off(g, g.mul(y, float(factor)), unit)
    if abs(bias) > NEAR:
        y = cut_off(g, g.plus(y, float(bias)), unit)
    step.out("Out", y)
    return True


def _reshape(step: Step) -> bool:
    """int8 steps are copied: they go on as they are, whatever scale they have from here on."""
    if not step.attr("X0_scale"):
        return False
    shape.reshape(step)
    step.out("Out", _relabelled(step, step.written[step.op.outputs["Out"][0]], "X0_scale"))
    return True


def _concat(step: Step) -> bool:
    """int8 steps are copied here too, of parts that had scales of their own."""
    parts = step.xs("X")
    if not all(step.attr(f"X{index}_scale") for index in range(len(parts))):
        return False
    copied = [_relabelled(step, part, f"X{index}_scale") for index, part in enumerate(parts)]
    step.out("Out", step.g.concat(copied, step.axis(step.attr("axis", 0), parts[0].rank)))
    return True


def _relabelled(step: Step, x: Value, scale: str) -> Value:
    own, unit = float(step.scale(scale)[0]), float(step.scale("Out0_scale")[0])
    return x if own == unit else step.g.mul(step.g.add("Round", step.g.add("Div", x, step.g.scalar(own))), unit)


_WAYS: dict[str, Callable[[Step], bool]] = {
    "pool2d": _average,
    "softmax": _softmax,
    "scale": _scale,
    "reshape": _reshape,
    "reshape2": _reshape,
    "concat": _concat,
}
