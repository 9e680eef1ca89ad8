"""What ARM kernels compute where they do not compute what the op means: wrong values that are the same every time.

One function a row of nb/defects.json, by its code. Each was held to recorded outputs of v2.13-rc where a file of
tests/golden names it, and read in the source else. `--ideal` leaves them out.
"""

from __future__ import annotations

import math

import numpy as np

from edgeflow.emulate.families import convolution, creation, pool, recurrent, reduce
from edgeflow.emulate.graph import Value
from edgeflow.emulate.step import Lowering, Step

SMALLEST = float(np.finfo(np.float32).tiny)


def listed_axes(step: Step) -> None:
    """Over the listed axes alone; one element has room in the result."""
    g, x = step.g, step.x("X")
    axes = sorted({step.axis(axis, x.rank) for axis in np.atleast_1d(step.attr("dim", ())).tolist()})
    kind = {"reduce_max": "ReduceMax", "reduce_min": "ReduceMin", "reduce_mean": "ReduceMean"}[step.op.type]
    y = g.reduce(kind, x, axes, keep=False)
    flat = g.reshape(y, (math.prod(y.shape),))
    step.out("Out", _shaped(step, g.slice(flat, (0,), (1,), (0,)), x.rank))


def last_over_count(step: Step) -> None:
    """The last element divided by how many there are."""
    g, x = step.g, step.x("X")
    count = math.prod(x.shape)
    last = g.slice(g.reshape(x, (count,)), (count - 1,), (count,), (0,))
    step.out("Out", _shaped(step, g.add("Div", last, g.scalar(float(count))), x.rank))


def _shaped(step: Step, y: Value, rank: int) -> Value:
    return step.g.reshape(y, (1,) * rank if step.attr("keep_dim", False) else (1,))


def smallest_positive(step: Step) -> None:
    """Maxima start from the smallest positive number."""
    reduce.TABLE["reduce_max"](step)
    for name, value in list(step.written.items()):
        if value.storage == "float32":
            step.env[name] = step.written[name] = step.g.add("Max", value, step.g.scalar(SMALLEST))


def first_axis_extreme(step: Step) -> None:
    """Along axis 0, whatever `flatten` asks for."""
    g, x = step.g, step.x("X")
    y = g.add("ArgMin" if step.op.type == "arg_min" else "ArgMax", x, axis=0, keepdims=0)
    y = g.cast(y, "int32" if step.attr("dtype", reduce.INT64) == reduce.INT32 else "int64")
    step.out("Out", g.reshape(y, (1,)) if y.rank == 0 else y)


def largest_always(step: Step) -> None:
    g, x = step.g, step.x("X")
    given = step.known("K")
    k = int(np.ravel(given)[0]) if given is not None else int(step.attr("k", 1))
    values, places = g.add_many("TopK", [x, g.ints([k])], 2, axis=step.axis(step.attr("axis", -1), x.rank), largest=1)
    step.out("Out", values)
    step.out("Indices", places)


def plain_window(step: Step) -> None:
    """Adaptive pools to a square: a window of that size which moves by one, in the upper left corner."""
    g, x = step.g, step.x("X")
    size = int(step.attr("ksize")[0])
    part = g.slice(x, (0, 0), (min(2 * size - 1, x.shape[2]), min(2 * size - 1, x.shape[3])), (2, 3))
    kind = "MaxPool" if step.attr("pooling_type", "max") == "max" else "AveragePool"
    step.out("Out", g.add(kind, part, kernel_shape=[size, size], strides=[1, 1]))


def next_channel_below(step: Step) -> None:
    """3x3 of stride 2 on narrow maps: the row below the map is the next channel's first.

    Of the very last channel it is what lies behind the tensor; zeros here.
    """
    g, x = step.g, step.x("Input")
    win = convolution.window(step, x.shape[2:], (3, 3))
    batch, channels, _, width = x.shape
    bottom = win.pads[2]
    if bottom < 1:
        convolution.conv2d(step)
        return
    rows = g.reshape(g.slice(x, (0,), (1,), (2,)), (batch * channels, 1, width))
    beyond = g.constant(np.zeros((1, 1, width), np.float32))
    shifted = g.concat([g.slice(rows, (1,), (batch * channels,), (0,)), beyond], 0)
    taller = g.concat([x, g.reshape(shifted, (batch, channels, 1, width))], 2)
    pads = (win.pads[0], win.pads[1], bottom - 1, win.pads[3])
    convolution.float_conv(step, taller, convolution.Window(win.strides, pads, win.dilations))


def float_mask(step: Step) -> None:
    """Positions of maxima as float32."""
    pool.max_pool2d_with_index(step)
    name = step.op.output("Mask")
    if name in step.written:
        step.env[name] = step.written[name] = step.g.cast(step.written[name], "float32")


def unnamed_rows_vanish(step: Step) -> None:
    """Rows that no index names become zero; `overwrite` false sums onto zero."""
    g, x, ids, updates = step.g, step.x("X"), step.x("Ids"), step.x("Updates")
    rows = g.reshape(g.cast(ids, "int64"), (ids.shape[0], 1))
    zeros = g.constant(np.zeros(x.shape, x.storage), x.storage)
    if step.attr("overwrite", True):
        step.out("Out", g.add("ScatterND", zeros, rows, updates))
    else:
        step.out("Out", g.add("ScatterND", zeros, rows, updates, reduction="add"))


def no_threshold(step: Step) -> None:
    """log(1 + exp(beta * x)) / beta for every x."""
    g, x, beta = step.g, step.x("X"), float(step.attr("beta", 1.0))
    y = g.add("Log", g.plus(g.add("Exp", g.mul(x, beta)), 1.0))
    step.out("Out", g.mul(y, 1.0 / beta))


def bytes_of_whole_numbers(step: Step) -> None:
    """Booleans written as 32-bit numbers, and read as bytes."""
    creation.assign_value(step)
    name = step.op.output("Out")
    value = step.written.get(name or "")
    if name is not None and value is not None and value.const is not None and value.storage == "bool":
        plain = np.ascontiguousarray(value.const.ravel().astype("<i4")).view(np.uint8)[: value.const.size]
        step.env[name] = step.written[name] = step.g.constant(plain.astype(bool).reshape(value.shape), "bool")


def finite_always(step: Step) -> None:
    """Nothing is taken for NaN or infinite."""
    x = step.x("X")
    answer = np.full(x.shape, step.op.type.startswith("isfinite"))
    step.out("Out", step.g.constant(answer, "bool"))


def equal_to_itself(step: Step) -> None:
    x = step.x("X")
    step.out("Out", step.g.constant(np.full(x.shape, step.op.type == "equal"), "bool"))


def first_axis_log_softmax(step: Step) -> None:
    step.out("Out", step.g.add("LogSoftmax", step.x("X"), axis=0))


def last_frames_state(step: Step) -> None:
    """The backward direction's hidden state is that of the last frame."""
    recurrent.rnn(step, backward_last=True)


def few_elements_rolled(step: Step) -> None:
    """Only the first elements move, as many as there are dimensions. Source: host/roll_compute.cc RollCompute::Run."""
    g, x = step.g, step.x("X")
    count, rank = math.prod(x.shape), x.rank
    shift = int(np.atleast_1d(step.attr("shifts", (0,)))[0]) % max(rank, 1)
    order = np.arange(count)
    if count >= rank:
        order[:rank] = np.roll(order[:rank], shift)
    flat = g.add("Gather", g.reshape(x, (count,)), g.ints(order.tolist()), axis=0)
    step.out("Out", g.reshape(flat, x.shape))


LOWERED: dict[str, Lowering] = {
    "reduce-all-ignored": listed_axes,
    "reduce-mean-all": last_over_count,
    "reduce-max-negative": smallest_positive,
    "argmax-flatten": first_axis_extreme,
    "topk-smallest": largest_always,
    "pool-adaptive-3x3": plain_window,
    "pool-adaptive-max": plain_window,
    "depthwise-3x3-narrow": next_channel_below,
    "pool-mask-dtype": float_mask,
    "roll-flat": few_elements_rolled,
    "scatter-rows": unnamed_rows_vanish,
    "softplus-threshold": no_threshold,
    "assign-bool": bytes_of_whole_numbers,
    "not-a-number": finite_always,
    "not-a-number-compared": equal_to_itself,
    "log-softmax-axis": first_axis_log_softmax,
    "rnn-backward-state": last_frames_state,
}
"""By the code of the row."""
