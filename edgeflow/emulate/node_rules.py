"""What each ONNX node asks of its inputs and attributes, held before the node exists.

onnxruntime trusts a graph: a kernel of 0, a negative padding or an LSTM weight of another size ends the process with a
signal, not with an error. Every node that a lowering adds comes through `hold` first, and a node without a rule is
refused, so that whatever the .nb says, no session is made of shapes that do not fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate.node_checks import (
    SCALAR,
    SIDE_MAX,
    Attributes,
    Inputs,
    axis_of,
    constants,
    ensure,
    filled,
    given,
    indices,
    numbers,
    within,
)
from edgeflow.emulate.node_kinds import BROADCAST, COMPARE, SAME_SHAPE

if TYPE_CHECKING:
    from edgeflow.emulate.graph import Value

Rule = Callable[[str, Inputs, Attributes], None]


def hold(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """Hold a node to its rule.

    Raises:
        NbError: the node has no rule, or its inputs and attributes do not fit together; says what should be.
    """
    rule = RULES.get(kind)
    if rule is None:
        raise NbError(f"{kind}: no rule says what its inputs should be")
    if not inputs or inputs[0] is None:
        raise NbError(f"{kind}: its first input is missing")
    if any(value is not None and value.dtype == "plain_int8" for value in inputs):
        raise NbError(f"{kind}: reads int8 weights, and should read numbers or int8 steps with a scale")
    rule(kind, inputs, attrs)


def free(kind: str, inputs: Inputs, _: Attributes) -> None:
    """One input of any shape."""
    given(kind, inputs, 1)


def broadcast(kind: str, inputs: Inputs, _: Attributes) -> None:
    """Shapes that broadcast together."""
    values = given(kind, inputs, 3 if kind == "Where" else 2)
    try:
        np.broadcast_shapes(*(v.shape for v in values))
    except ValueError as err:
        raise NbError(f"{kind}: shapes {[list(v.shape) for v in values]} do not fit ({err})") from None
    same = {v.storage for v in (values[1:] if kind == "Where" else values)}
    ensure(kind, len(same) == 1 or kind == "Pow", "should have one type", *values)
    if kind == "Where":
        ensure(kind, values[0].storage == "bool", "should choose by booleans", *values)


def prelu(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """A slope that broadcasts to the input, and no further."""
    broadcast(kind, inputs, attrs)
    x, slope = given(kind, inputs, 2)
    ensure(kind, np.broadcast_shapes(x.shape, slope.shape) == x.shape, "the slope should broadcast to the input", x)


def clip(kind: str, inputs: Inputs, _: Attributes) -> None:
    """Bounds that are scalars."""
    ensure(kind, all(v is None or v.shape in SCALAR for v in inputs[1:]), "bounds should be scalars")


def linear_scale(kind: str, inputs: Inputs, _: Attributes) -> None:
    """QuantizeLinear and DequantizeLinear with one scale."""
    scale, zero = given(kind, inputs, 3)[1:]
    ensure(kind, scale.shape in SCALAR and zero.shape in SCALAR, "scale and zero point should be scalars")


def windows(
    kind: str, x: Value, kernel: Sequence[int], attrs: Attributes
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Strides, paddings, dilations and output sizes of a sliding window; the window fits into the padded input."""
    count = x.rank - 2
    strides, dilations = (numbers(kind, attrs, name, count, 1, 1) for name in ("strides", "dilations"))
    pads = numbers(kind, attrs, "pads", 2 * count, 0, 0)
    ensure(kind, all(1 <= k <= SIDE_MAX for k in kernel), f"kernel {list(kernel)} should be from 1 to {SIDE_MAX}", x)
    shape = attrs.get("kernel_shape")
    ensure(kind, shape is None or list(shape) == list(kernel), f"kernel is {list(kernel)}, its attribute says {shape}")
    out = [
        (size + pads[i] + pads[i + count] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i, size in enumerate(x.shape[2:])
    ]
    return strides, pads, dilations, out


def conv(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """Conv and ConvInteger: input [N, C, H, W], filter [M, C / groups, h, w], bias [M]."""
    x, weight = given(kind, inputs, 2)
    ensure(kind, x.rank == weight.rank and x.rank in (3, 4, 5), "should have three to five dimensions each", x, weight)
    filled(kind, x, weight)
    groups = _groups(kind, attrs)
    ensure(kind, weight.shape[1] * groups == x.shape[1], f"the filter's channels times {groups} groups differ from "
           "the input's channels", x, weight)  # fmt: skip
    ensure(kind, weight.shape[0] % groups == 0, f"{groups} groups should divide the filters", weight)
    *_, out = windows(kind, x, weight.shape[2:], attrs)
    ensure(kind, min(out) >= 1, f"the window does not fit into the padded input, sizes would be {out}", x, weight)
    _bias(kind, inputs, weight.shape[0])


def conv_transpose(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """Input [N, C, H, W], filter [C, M / groups, h, w], bias [M]."""
    x, weight = given(kind, inputs, 2)
    ensure(kind, x.rank == weight.rank == 4, "should have four dimensions each", x, weight)
    filled(kind, x, weight)
    groups = _groups(kind, attrs)
    ensure(kind, weight.shape[0] == x.shape[1], "the filter's first dimension should be the channels", x, weight)
    ensure(kind, x.shape[1] % groups == 0, f"{groups} groups should divide the channels", x)
    strides, pads, dilations, _ = windows(kind, x, weight.shape[2:], attrs)
    extra = numbers(kind, attrs, "output_padding", 2, 0, 0)
    out = [
        (x.shape[2 + i] - 1) * strides[i] + extra[i] + dilations[i] * (weight.shape[2 + i] - 1) + 1
        - pads[i] - pads[i + 2] for i in range(2)
    ]  # fmt: skip
    ensure(kind, min(out) >= 1, f"paddings leave nothing of the result, sizes would be {out}", x, weight)
    _bias(kind, inputs, weight.shape[1] * groups)


def _groups(kind: str, attrs: Attributes) -> int:
    groups = attrs.get("group", 1)
    ensure(kind, isinstance(groups, int) and 1 <= groups <= SIDE_MAX, f"groups is {groups}, and should be 1 or more")
    return int(groups)


def _bias(kind: str, inputs: Inputs, channels: int) -> None:
    bias = inputs[2] if len(inputs) > 2 and kind != "ConvInteger" else None
    ensure(kind, bias is None or bias.shape == (channels,), f"the bias should have {channels} values", bias)


def pool(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """MaxPool and AveragePool: paddings smaller than the kernel, and at least one window."""
    (x,) = given(kind, inputs, 1)
    ensure(kind, x.rank in (3, 4, 5), "should have three to five dimensions", x)
    filled(kind, x)
    kernel = numbers(kind, attrs, "kernel_shape", x.rank - 2, 1, 1)
    _, pads, _, out = windows(kind, x, kernel, attrs)
    ensure(kind, all(pad < kernel[i % len(kernel)] for i, pad in enumerate(pads)), f"paddings {pads} should be smaller "
           f"than the kernel {kernel}", x)  # fmt: skip
    ensure(kind, min(out) >= 1, f"kernel {kernel} does not fit into the input", x)


def recurrent(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """LSTM, GRU, RNN: X [T, B, I], W [D, gates * H, I], R [D, gates * H, H], B [D, 2 * gates * H], states [D, B, H]."""
    x, weight, memory, bias = given(kind, inputs, 4)
    directions = 2 if attrs.get("direction") == "bidirectional" else 1
    hidden = attrs.get("hidden_size", 0)
    ensure(kind, isinstance(hidden, int) and 1 <= hidden <= SIDE_MAX, f"hidden_size is {hidden}, should be 1 or more")
    ensure(kind, x.rank == 3, "the input should be [time, batch, features]", x)
    filled(kind, x, weight, memory, bias)
    rows = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind] * hidden
    wanted = ((weight, rows, x.shape[2]), (memory, rows, hidden), (bias, 2 * rows))
    for value, *shape in wanted:
        ensure(kind, value.shape == (directions, *shape), f"should be {[directions, *shape]}", value)
    lengths = inputs[4] if len(inputs) > 4 else None
    ensure(kind, lengths is None or lengths.shape == (x.shape[1],), f"lengths should be {[x.shape[1]]}", lengths)
    for state in inputs[5:]:
        shape = [directions, x.shape[1], hidden]
        ensure(kind, state is None or list(state.shape) == shape, f"a state should be {shape}", state)


def matmul(kind: str, inputs: Inputs, _: Attributes) -> None:
    """[..., M, K] times [..., K, N]; vectors stand for one row or column."""
    a, b = given(kind, inputs, 2)
    ensure(kind, a.rank >= 1 and b.rank >= 1, "should have dimensions", a, b)
    ensure(kind, a.shape[-1] == b.shape[-2 if b.rank > 1 else 0], "columns and rows should be as many", a, b)
    ensure(kind, a.shape[-1] > 0, "should have columns", a, b)
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        ensure(kind, False, "the outer dimensions should broadcast", a, b)


def gather(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """Indices along an axis; known ones lie within it."""
    x, index = given(kind, inputs, 2)
    axis = axis_of(kind, attrs.get("axis", 0), x.rank)
    indices(kind, index)
    if kind == "GatherElements":
        ensure(kind, index.rank == x.rank, "indices should have the input's dimensions", x, index)
        others = [i for i in range(x.rank) if i != axis]
        ensure(kind, all(index.shape[i] <= x.shape[i] for i in others), "indices should lie within the input", x, index)
    within(kind, index, x.shape[axis])


def gather_nd(kind: str, inputs: Inputs, _: Attributes) -> None:
    """GatherND and ScatterND: the last axis of the indices names an element or a slice."""
    x, index = given(kind, inputs, 2)
    ensure(kind, index.storage == "int64", "indices should be int64", index)
    ensure(kind, index.rank >= 1 and 1 <= index.shape[-1] <= x.rank, "indices should name at most all axes", x, index)
    if kind == "ScatterND":
        updates = given(kind, inputs, 3)[2]
        shape = (*index.shape[:-1], *x.shape[index.shape[-1] :])
        ensure(kind, updates.shape == shape, f"updates should be {list(shape)}", updates)
        ensure(kind, updates.storage == x.storage, "updates should be of the input's type", x, updates)
    if index.const is not None and index.const.size:
        for i in range(index.shape[-1]):
            low, high = int(index.const[..., i].min()), int(index.const[..., i].max())
            ensure(kind, -x.shape[i] <= low and high < x.shape[i], f"indices {low} to {high} leave axis {i}", x)


def concat(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """Equal but for one axis."""
    values = given(kind, inputs, len(inputs))
    axis = axis_of(kind, attrs.get("axis"), values[0].rank)
    around = {(v.rank, v.shape[:axis], v.shape[axis + 1 :], v.storage) for v in values}
    ensure(kind, len(around) == 1, f"should be equal but for axis {axis}", *values[:6])


def slice_(kind: str, inputs: Inputs, _: Attributes) -> None:
    """Starts, ends, axes and steps, one of each an axis."""
    x = given(kind, inputs, 4)[0]
    starts, ends, axes = (constants(kind, v, "bounds") for v in inputs[1:4])
    steps = constants(kind, inputs[4], "steps") if len(inputs) > 4 else [1] * len(axes)
    ensure(kind, len(starts) == len(ends) == len(axes) == len(steps), "bounds, axes and steps should be as many", x)
    found = [axis_of(kind, axis, x.rank) for axis in axes]
    ensure(kind, len(set(found)) == len(found), f"axes {axes} should differ", x)
    ensure(kind, all(s != 0 and abs(s) < 1 << 31 for s in steps), f"steps {steps} should not be 0", x)


def transpose(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """Every axis once."""
    (x,) = given(kind, inputs, 1)
    perm = list(attrs.get("perm", ()))
    ensure(kind, sorted(perm) == list(range(x.rank)), f"axes {perm} should name each of {x.rank} dimensions once", x)


def reshape(kind: str, inputs: Inputs, _: Attributes) -> None:
    """As many elements as before."""
    x = given(kind, inputs, 2)[0]
    shape = constants(kind, inputs[1], "the shape")
    ensure(kind, min(shape, default=0) >= 0 and math.prod(shape) == math.prod(x.shape), f"does not fit into {shape}", x)


def expand(kind: str, inputs: Inputs, _: Attributes) -> None:
    """A shape that the input broadcasts to."""
    x = given(kind, inputs, 2)[0]
    shape = constants(kind, inputs[1], "the shape")
    ensure(kind, min(shape, default=0) >= 0, f"shape {shape[:8]} should have no negative dimension", x)
    try:
        np.broadcast_shapes(x.shape, tuple(shape))
    except ValueError:
        ensure(kind, False, f"does not broadcast to {shape[:8]}", x)


def tile(kind: str, inputs: Inputs, _: Attributes) -> None:
    """A count for each axis."""
    x = given(kind, inputs, 2)[0]
    times = constants(kind, inputs[1], "counts")
    ensure(kind, len(times) == x.rank and min(times, default=0) >= 0, f"counts {times[:8]} should be one an axis", x)


def pad(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """Begin and end of each axis; what is mirrored or repeated is there."""
    x = given(kind, inputs, 2)[0]
    pads = constants(kind, inputs[1], "paddings")
    fits = len(pads) == 2 * x.rank and all(0 <= p <= 1 << 24 for p in pads)
    ensure(kind, fits, f"paddings {pads[:12]} should be {2 * x.rank} numbers of 0 or more", x)
    mode = attrs.get("mode", "constant")
    most = {"reflect": -1, "wrap": 0}.get(mode)
    for i, size in enumerate(x.shape):
        both = max(pads[i], pads[i + x.rank])
        ensure(kind, mode == "constant" or size > 0 or both == 0, "an empty axis cannot be repeated", x)
        ensure(kind, most is None or both <= max(size + most, 0), f"{mode} of {both} should fit into axis {i}", x)
    fill = inputs[2] if len(inputs) > 2 else None
    ensure(
        kind, fill is None or (fill.shape in SCALAR and fill.storage == x.storage), "should be filled with a scalar", x
    )


def reduction(kind: str, inputs: Inputs, _: Attributes) -> None:
    """Axes of the input, each once; an extreme or a mean is of something."""
    x = given(kind, inputs, 2)[0]
    axes = [axis_of(kind, axis, max(x.rank, 1)) for axis in constants(kind, inputs[1], "axes")]
    ensure(kind, len(set(axes)) == len(axes), f"axes {axes} should differ", x)
    filled(kind, x)


def arg_extreme(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """ArgMax, ArgMin, Softmax and LogSoftmax: an axis with elements."""
    (x,) = given(kind, inputs, 1)
    axis_of(kind, attrs.get("axis", -1), x.rank)
    filled(kind, x)


def top_k(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """As many as the axis has, at most."""
    x = given(kind, inputs, 2)[0]
    axis = axis_of(kind, attrs.get("axis", -1), x.rank)
    (k,) = constants(kind, inputs[1], "k") or [-1]
    ensure(kind, 0 <= k <= x.shape[axis], f"k is {k}, and should be at most {x.shape[axis]}", x)


def cumsum(kind: str, inputs: Inputs, _: Attributes) -> None:
    """Along one axis."""
    x, axis = given(kind, inputs, 2)
    axis_of(kind, (constants(kind, axis, "axis") or [x.rank])[0], x.rank)


def lrn(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """An odd number of channels around each."""
    (x,) = given(kind, inputs, 1)
    size = attrs.get("size", 0)
    ensure(kind, x.rank == 4 and isinstance(size, int) and 1 <= size <= SIDE_MAX and size % 2,
           f"n is {size}, and should be odd, of an input of four dimensions", x)  # fmt: skip
    filled(kind, x)


def depth_to_space(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """Channels that are a multiple of the block."""
    (x,) = given(kind, inputs, 1)
    block = attrs.get("blocksize", 0)
    ensure(kind, x.rank == 4 and isinstance(block, int) and 1 <= block <= 1 << 10, f"factor {block} does not fit", x)
    ensure(kind, x.shape[1] % (block * block) == 0, f"channels should be a multiple of {block * block}", x)
    filled(kind, x)


def grid_sample(kind: str, inputs: Inputs, _: Attributes) -> None:
    """Input [N, C, H, W], grid [N, h, w, 2]."""
    x, grid = given(kind, inputs, 2)
    fits = x.rank == grid.rank == 4 and grid.shape[3] == 2 and grid.shape[0] == x.shape[0]
    ensure(kind, fits, "the grid should be [batch, height, width, 2]", x, grid)
    filled(kind, x, grid)
    ensure(kind, x.storage == grid.storage == "float32", "should be float32", x, grid)


def roi_align(kind: str, inputs: Inputs, attrs: Attributes) -> None:
    """Input [N, C, H, W], regions [R, 4], one picture's number a region."""
    x, rois, batch = given(kind, inputs, 3)
    fits = x.rank == 4 and rois.rank == 2 and rois.shape[1] == 4 and batch.shape == rois.shape[:1]
    ensure(kind, fits, "regions should be [count, 4], with a picture each", x, rois, batch)
    filled(kind, x)
    for name in ("output_height", "output_width"):
        ensure(kind, 1 <= attrs.get(name, 1) <= 1 << 10, f"{name} is {attrs.get(name)}, should be 1 to {1 << 10}")
    ensure(kind, 0 <= attrs.get("sampling_ratio", 0) <= 1 << 6, "sampling_ratio should be at most 64")
    scale = attrs.get("spatial_scale", 1.0)
    ensure(kind, math.isfinite(scale) and 0 < scale <= 16, f"spatial_scale is {scale}, and should lie above 0")
    constants(kind, batch, "the picture of each region")
    within(kind, batch, x.shape[0])
    ensure(kind, batch.const is None or batch.const.min(initial=0) >= 0, "pictures count from 0")


def trilu(kind: str, inputs: Inputs, _: Attributes) -> None:
    """A triangle of the last two axes."""
    x = given(kind, inputs, 2)[0]
    ensure(kind, x.rank >= 2, "should have two dimensions or more", x)
    ensure(kind, abs(int(np.ravel(inputs[1].const)[0])) < 1 << 31, "the diagonal lies outside", x)  # type: ignore


def scan(kind: str, inputs: Inputs, _: Attributes) -> None:
    """A sum carried over two sequences of one length, whose parts broadcast to it together."""
    start, left, right = given(kind, inputs, 3)
    fits = left.rank > 0 and right.rank > 0 and left.shape[0] == right.shape[0]
    ensure(kind, fits, "should have two sequences of one length", start, left, right)
    try:
        together = np.broadcast_shapes(left.shape[1:], right.shape[1:])
    except ValueError:
        together = ()
    ensure(kind, together == start.shape, "its parts should have the shape of the sum", start, left, right)
    alike = {start.storage, left.storage, right.storage} in ({"float64"}, {"float32"})
    ensure(kind, alike, "should be float64, or float32", start, left, right)
    filled(kind, start, left, right)


_FREE = SAME_SHAPE - {"Clip", "CumSum", "LogSoftmax", "Scan", "Softmax"} | {
    "Acos",
    "Asin",
    "Atan",
    "Cast",
    "Cosh",
    "Sinh",
    "Tan",
}
_BROADCAST = BROADCAST - {"PRelu"} | COMPARE | {"Where"}
_REDUCTIONS = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2", "ReduceSumSquare"]
RULES: dict[str, Rule] = {
    **dict.fromkeys(_FREE, free),
    **dict.fromkeys(_BROADCAST, broadcast),
    **dict.fromkeys(_REDUCTIONS, reduction),
    **dict.fromkeys(("Conv", "ConvInteger"), conv),
    **dict.fromkeys(("MaxPool", "AveragePool"), pool),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), recurrent),
    **dict.fromkeys(("MatMul", "MatMulInteger"), matmul),
    **dict.fromkeys(("Gather", "GatherElements"), gather),
    **dict.fromkeys(("GatherND", "ScatterND"), gather_nd),
    **dict.fromkeys(("ArgMax", "ArgMin", "Softmax", "LogSoftmax"), arg_extreme),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), linear_scale),
    "ConvTranspose": conv_transpose,
    "PRelu": prelu,
    "Clip": clip,
    "Concat": concat,
    "Slice": slice_,
    "Transpose": transpose,
    "Reshape": reshape,
    "Expand": expand,
    "Tile": tile,
    "Pad": pad,
    "TopK": top_k,
    "CumSum": cumsum,
    "LRN": lrn,
    "DepthToSpace": depth_to_space,
    "GridSample": grid_sample,
    "RoiAlign": roi_align,
    "Scan": scan,
    "Trilu": trilu,
}
