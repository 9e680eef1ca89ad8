"""The same elements in another order or shape: reshape, transpose, concat, split, slice, pad, shuffle."""

from __future__ import annotations

import math

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate.graph import INT8, Value
from edgeflow.emulate.step import Lowering, Step


def reshape(step: Step) -> None:
    x = step.x("X")
    wanted = [int(dim) for dim in step.attr("shape", ())]
    if (listed := step.known_list("ShapeTensor")) is not None:
        wanted = listed
    elif (tensor := step.known("Shape")) is not None:
        wanted = [int(dim) for dim in np.ravel(tensor)]
    shape = [x.shape[i] if dim == 0 and i < x.rank else dim for i, dim in enumerate(wanted)]
    if shape.count(-1) == 1:
        rest = math.prod(dim for dim in shape if dim != -1)
        shape[shape.index(-1)] = math.prod(x.shape) // rest if rest else 0
    if any(dim < 0 for dim in shape):
        raise NbError(f"{step.op.type}: {list(x.shape)} into {wanted}, which leaves more than one dimension open")
    step.out("Out", step.g.reshape(x, shape or [1]))


def flatten(step: Step) -> None:
    x = step.x("X")
    if step.op.type == "flatten_contiguous_range":
        start, stop = step.axis(step.attr("start_axis", 1), x.rank), step.axis(step.attr("stop_axis", -1), x.rank)
        shape = (*x.shape[:start], math.prod(x.shape[start : stop + 1]), *x.shape[stop + 1 :])
    else:
        axis = int(step.attr("axis", 1))
        shape = (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
    step.out("Out", step.g.reshape(x, shape))


def squeeze(step: Step) -> None:
    x = step.x("X")
    axes = {step.axis(axis, x.rank) for axis in step.attr("axes", ())}
    keep = [dim for i, dim in enumerate(x.shape) if not (dim == 1 and (i in axes or not axes))]
    step.out("Out", step.g.reshape(x, keep or [1]))


def unsqueeze(step: Step) -> None:
    x = step.x("X")
    axes = [int(axis) for axis in step.attr("axes", ())]
    if (listed := step.known_list("AxesTensorList")) is not None:
        axes = listed
    elif (tensor := step.known("AxesTensor")) is not None:
        axes = [int(axis) for axis in np.ravel(tensor)]
    shape = list(x.shape)
    for axis in axes:
        shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, 1)
    step.out("Out", step.g.reshape(x, shape))


def transpose(step: Step) -> None:
    step.out("Out", step.g.transpose(step.x("X"), step.attr("axis", ())))


def concat(step: Step) -> None:
    values = step.xs("X")
    given = step.known("AxisTensor")
    axis = int(np.ravel(given)[0]) if given is not None else int(step.attr("axis", 0))
    step.out("Out", step.g.concat(values, axis % values[0].rank))


def split(step: Step) -> None:
    g, x = step.g, step.x("X")
    given = step.known("AxisTensor")
    axis = (int(np.ravel(given)[0]) if given is not None else int(step.attr("axis", 0))) % x.rank
    count = len(step.op.outputs.get("Out", ()))
    sections = step.known_list("SectionsTensorList") or [int(n) for n in step.attr("sections", ())]
    if not sections:
        sections = [x.shape[axis] // max(count, 1)] * count
    if sections.count(-1) == 1:
        sections[sections.index(-1)] = x.shape[axis] - sum(n for n in sections if n != -1)
    if sum(sections) != x.shape[axis] or len(sections) != count:
        raise NbError(f"split: sections {sections} do not make up {x.shape[axis]} in {count} outputs")
    start = 0
    for index, size in enumerate(sections):
        step.out("Out", g.slice(x, [start], [start + size], [axis]), index)
        start += size


def stack(step: Step) -> None:
    values = step.xs("X")
    axis = int(step.attr("axis", 0)) % (values[0].rank + 1)
    shape = (*values[0].shape[:axis], 1, *values[0].shape[axis:])
    step.out("Y", step.g.concat([step.g.reshape(value, shape) for value in values], axis))


def unstack(step: Step) -> None:
    """unstack writes Y, unbind writes Out: one slice of an axis each."""
    g, x = step.g, step.x("X")
    axis, name = step.axis(step.attr("axis", 0), x.rank), "Y" if step.op.type == "unstack" else "Out"
    shape = [dim for i, dim in enumerate(x.shape) if i != axis]
    for index in range(len(step.op.outputs.get(name, ()))):
        step.out(name, g.reshape(g.slice(x, [index], [index + 1], [axis]), shape or [1]), index)


def slice_(step: Step) -> None:
    x = step.x("Input")
    axes = [step.axis(axis, x.rank) for axis in step.attr("axes", ())]
    starts, ends = _bounds(step, "Starts"), _bounds(step, "Ends")
    y = step.g.slice(x, starts, ends, axes)
    dropped = {step.axis(axis, x.rank) for axis in step.attr("decrease_axis", ()) or ()}
    shape = [dim for i, dim in enumerate(y.shape) if i not in dropped]
    step.out("Out", step.g.reshape(y, shape or [1]))


def _bounds(step: Step, name: str) -> list[int]:
    if (listed := step.known_list(f"{name}TensorList")) is not None:
        return listed
    if (tensor := step.known(f"{name}Tensor")) is not None:
        return [int(n) for n in np.ravel(tensor)]
    return [int(n) for n in step.attr(name.lower(), ())]


def strided_slice(step: Step) -> None:
    x = step.x("Input")
    axes = [step.axis(axis, x.rank) for axis in step.attr("axes", ())]
    y = step.g.slice(x, _bounds(step, "Starts"), _bounds(step, "Ends"), axes, _bounds(step, "Strides"))
    dropped = {step.axis(axis, x.rank) for axis in step.attr("decrease_axis", ()) or ()}
    step.out("Out", step.g.reshape(y, [dim for i, dim in enumerate(y.shape) if i not in dropped] or [1]))


def expand(step: Step) -> None:
    """expand_v2: -1 keeps a dimension."""
    x = step.x("X")
    wanted = [int(dim) for dim in step.attr("shape", ())]
    if (listed := step.known_list("expand_shapes_tensor")) is not None:
        wanted = listed
    elif (tensor := step.known("Shape")) is not None:
        wanted = [int(dim) for dim in np.ravel(tensor)]
    own = [1] * (len(wanted) - x.rank) + list(x.shape)
    shape = [have if want == -1 else want for have, want in zip(own, wanted, strict=False)]
    step.out("Out", _expanded(step, x, shape))


def _expanded(step: Step, x: Value, shape: list[int]) -> Value:
    return step.g.add("Expand", x, step.g.ints(shape))


def expand_as(step: Step) -> None:
    if "Y" in step.op.inputs:
        step.out("Out", _expanded(step, step.x("X"), list(step.x("Y").shape)))
        return
    step.out("Out", _expanded(step, step.x("X"), [int(dim) for dim in step.attr("target_shape", ())]))


def tile(step: Step) -> None:
    x = step.x("X")
    times = [int(n) for n in step.attr("repeat_times", step.attr("expand_times", ()))]
    if (listed := step.known_list("repeat_times_tensor")) is not None:
        times = listed
    elif (tensor := step.known("RepeatTimes")) is not None:
        times = [int(n) for n in np.ravel(tensor)]
    rank = max(len(times), x.rank)
    lifted = step.g.reshape(x, [1] * (rank - x.rank) + list(x.shape))
    step.out("Out", step.g.add("Tile", lifted, step.g.ints([1] * (rank - len(times)) + times)))


def pad(step: Step) -> None:
    """pad: pairs (before, after) for each axis."""
    x, paddings = step.x("X"), [int(p) for p in step.attr("paddings", ())]
    step.out("Out", _padded(step, x, paddings[0::2], paddings[1::2], "constant", float(step.attr("pad_value", 0.0))))


def pad2d(step: Step) -> None:
    """pad2d: (top, bottom, left, right); pad3d: (left, right, top, bottom, front, back)."""
    x = step.x("X")
    paddings = [int(p) for p in step.attr("paddings", (0, 0, 0, 0))]
    if (given := step.known("Paddings")) is not None:
        paddings = [int(p) for p in np.ravel(given)]
    mode, fill = step.attr("mode", "constant"), float(step.attr("pad_value", step.attr("value", 0.0)))
    if step.op.type == "pad3d":
        before, after = [paddings[4], paddings[2], paddings[0]], [paddings[5], paddings[3], paddings[1]]
    else:
        before, after = [paddings[0], paddings[2]], [paddings[1], paddings[3]]
    if step.attr("data_format", "NCHW") not in ("NCHW", "NCDHW"):
        raise NbError(f"{step.op.type}: only NCHW can be emulated")
    step.out("Out", _padded(step, x, [0, 0, *before], [0, 0, *after], mode, fill))


def _padded(step: Step, x: Value, before: list[int], after: list[int], mode: str, fill: float) -> Value:
    known = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "edge": "edge", "circular": "wrap"}
    if mode not in known or len(before) != x.rank or len(after) != x.rank:
        raise NbError(f"{step.op.type}: mode {mode!r} with paddings {before}, {after} for {list(x.shape)}")
    value = step.g.scalar(128 if x.dtype == INT8 else fill, x.storage)
    return step.g.add("Pad", x, step.g.ints(before + after), value if mode == "constant" else None, mode=known[mode])


def crop(step: Step) -> None:
    """crop and crop_tensor: a window at `offsets`; -1 in the shape takes the rest."""
    x = step.x("X")
    offsets, shape = list(step.attr("offsets", ())), list(step.attr("shape", ()))
    for name, fallback in (("Offsets", offsets), ("Shape", shape)):
        if (given := step.known(name)) is not None:
            fallback[:] = [int(n) for n in np.ravel(given)]
    for name, fallback in (("OffsetsTensor", offsets), ("ShapeTensor", shape)):
        if (listed := step.known_list(name)) is not None:
            fallback[:] = listed
    if "Y" in step.op.inputs and step.maybe("Y") is not None:
        shape = list(step.x("Y").shape)
    offsets = offsets or [0] * x.rank
    ends = [at + size if size >= 0 else have for at, size, have in zip(offsets, shape, x.shape, strict=True)]
    step.out("Out", step.g.slice(x, offsets, ends, list(range(x.rank))))


def temporal_shift(step: Step) -> None:
    """Channels move one step back or forth in time. Source: kernels/host/temporal_shift_compute.cc, v2.13-rc."""
    g, x, segments = step.g, step.x("X"), int(step.attr("seg_num", 1))
    n, c, h, w = x.shape
    first, second = int(c * float(step.attr("shift_ratio", 0.25))), int(c * 2 * float(step.attr("shift_ratio", 0.25)))
    y = g.reshape(x, (n // segments, segments, c, h, w))
    padded = g.add("Pad", y, g.ints([0, 1, 0, 0, 0, 0, 1, 0, 0, 0]), g.scalar(0.0))
    parts = [
        g.slice(padded, [at, low], [at + segments, high], [1, 2])
        for at, low, high in ((0, 0, first), (2, first, second), (1, second, c))
        if high > low
    ]
    step.out("Out", g.reshape(g.concat(parts, 2), x.shape))


def flip(step: Step) -> None:
    x = step.x("X")
    axes = step.attr("axis", ())
    axes = [axes] if isinstance(axes, int) else list(axes)
    axes = [step.axis(axis, x.rank) for axis in axes]
    step.out("Out", step.g.slice(x, [-1] * len(axes), [-(2**31)] * len(axes), axes, [-1] * len(axes)))


def roll(step: Step) -> None:
    g, x = step.g, step.x("X")
    shifts, axes = list(step.attr("shifts", ())), list(step.attr("axis", ()))
    y = x if axes else g.reshape(x, (math.prod(x.shape),))
    for shift, axis in zip(shifts, axes or [0], strict=True):
        size = y.shape[axis]
        cut = (-int(shift)) % size
        if cut:
            y = g.concat(
                [g.slice(y, [cut], [size], [axis % y.rank]), g.slice(y, [0], [cut], [axis % y.rank])], axis % y.rank
            )
    step.out("Out", g.reshape(y, x.shape))


def pixel_shuffle(step: Step) -> None:
    step.out("Out", step.g.add("DepthToSpace", step.x("X"), blocksize=int(step.attr("upscale_factor", 1)), mode="CRD"))


def space_to_depth(step: Step) -> None:
    """pixel_unshuffle: the inverse of pixel_shuffle."""
    g, x, r = step.g, step.x("X"), int(step.attr("downscale_factor", 1))
    n, c, h, w = x.shape
    y = g.transpose(g.reshape(x, (n, c, h // r, r, w // r, r)), (0, 1, 3, 5, 2, 4))
    step.out("Out", g.reshape(y, (n, c * r * r, h // r, w // r)))


def shuffle_channel(step: Step) -> None:
    g, x = step.g, step.x("X")
    n, c, h, w = x.shape
    groups = int(step.attr("group", step.attr("groups", 1)))
    y = g.transpose(g.reshape(x, (n, groups, c // groups, h, w)), (0, 2, 1, 3, 4))
    step.out("Out", g.reshape(y, x.shape))


def unfold(step: Step) -> None:
    """im2col: [N, C, H, W] -> [N, C * kh * kw, positions]."""
    g, x = step.g, step.x("X")
    kernel, strides = list(step.attr("kernel_sizes")), list(step.attr("strides"))
    dilations, p = list(step.attr("dilations", (1, 1))), list(step.attr("paddings", (0, 0, 0, 0)))
    step.bounded("kernel sizes", kernel, 64)
    x = g.add("Pad", x, g.ints([0, 0, p[0], p[1], 0, 0, p[2], p[3]]), g.scalar(0.0)) if any(p) else x
    n, c, height, width = x.shape
    out = [
        (size - d * (k - 1) - 1) // s + 1
        for size, k, s, d in zip((height, width), kernel, strides, dilations, strict=True)
    ]
    taps = []
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            start = [i * dilations[0], j * dilations[1]]
            end = [start[a] + (out[a] - 1) * strides[a] + 1 for a in range(2)]
            taps.append(g.reshape(g.slice(x, start, end, [2, 3], strides), (n, c, 1, out[0] * out[1])))
    step.out("Y", g.reshape(g.concat(taps, 2), (n, c * kernel[0] * kernel[1], out[0] * out[1])))


def tril_triu(step: Step) -> None:
    x = step.x("X")
    step.out(
        "Out",
        step.g.add(
            "Trilu", x, step.g.scalar(int(step.attr("diagonal", 0)), "int64"), upper=int(not step.attr("lower", True))
        ),
    )


def identity(step: Step) -> None:
    """io_copy and layout: the same tensor in another memory."""
    step.out("Out", step.x("Input"))


TABLE: dict[str, Lowering] = {
    "reshape": reshape,
    "reshape2": reshape,
    "flatten": flatten,
    "flatten2": flatten,
    "flatten_contiguous_range": flatten,
    "squeeze": squeeze,
    "squeeze2": squeeze,
    "unsqueeze": unsqueeze,
    "unsqueeze2": unsqueeze,
    "transpose": transpose,
    "transpose2": transpose,
    "concat": concat,
    "split": split,
    "stack": stack,
    "unstack": unstack,
    "unbind": unstack,
    "slice": slice_,
    "strided_slice": strided_slice,
    "expand_v2": expand,
    "expand_as": expand_as,
    "expand_as_v2": expand_as,
    "expand": tile,
    "tile": tile,
    "pad": pad,
    "pad2d": pad2d,
    "pad3d": pad2d,
    "flip": flip,
    "crop": crop,
    "crop_tensor": crop,
    "temporal_shift": temporal_shift,
    "reverse": flip,
    "roll": roll,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": space_to_depth,
    "shuffle_channel": shuffle_channel,
    "unfold": unfold,
    "tril_triu": tril_triu,
    "io_copy": identity,
    "io_copy_once": identity,
    "layout": identity,
    "layout_once": identity,
}
