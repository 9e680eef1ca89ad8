"""Padding, pooling, convolution and resizing in three dimensions, and layouts with the channels last."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgeflow.graph.constant_sizes import can_make
from edgeflow.graph.edit import Speller, attr_of, copy_attributes, output, set_attr
from edgeflow.graph.program import input_of, inputs_of
from edgeflow.graph.spellings.spelling import Spelling


def _pad3d(s: Speller, op: Any, x: str) -> str | None:
    """opt reads (left, right, top, bottom) as (top, bottom, left, right), and knows neither replicate nor circular."""
    pads = [int(p) for p in attr_of(op, "paddings", [])]
    mode, fill = str(attr_of(op, "mode", "constant")), float(attr_of(op, "value", 0.0))
    dims = s.dims(x)
    if len(pads) != 6 or len(dims) != 5 or inputs_of(op, "Paddings"):
        return None
    first = 2 if attr_of(op, "data_format", "NCDHW") == "NCDHW" else 1
    for axis, before, after in ((first + 2, *pads[0:2]), (first + 1, *pads[2:4]), (first, *pads[4:6])):
        if before or after:
            padded = pad_axis(s, x, axis, before, after, mode, fill)
            if padded is None:
                return None
            x = padded
    return x


def pad_axis(s: Speller, x: str, axis: int, before: int, after: int, mode: str, fill: float) -> str | None:
    """A tensor made longer along one axis; None where its size is not known or the mode does not fit it."""
    size = s.dims(x)[axis]
    if size < 0 or before < 0 or after < 0:
        return None

    def piece(start: int, end: int) -> str:
        return s.slice(x, axis, start, end)

    if mode == "constant":
        if size < 1:
            return None
        blank = s.add(
            "clip", {"X": s.scale(piece(0, 1), 0.0, fill)}, min=fill, max=fill
        )  # NaN and infinity do not leak in
        parts = [blank] * before + [x] + [blank] * after
    elif mode == "replicate":
        parts = [piece(0, 1)] * before + [x] + [piece(size - 1, size)] * after
    elif mode == "circular" and max(before, after) <= size:
        parts = ([piece(size - before, size)] if before else []) + [x] + ([piece(0, after)] if after else [])
    elif mode == "reflect" and max(before, after) < size:
        parts = [piece(k, k + 1) for k in range(before, 0, -1)] + [x]
        parts += [piece(size - 1 - k, size - k) for k in range(1, after + 1)]
    else:
        return None
    return s.concat(parts, axis)


def _pool3d(s: Speller, op: Any, x: str) -> str | None:
    """Over height and width, then over depth: maxima and means of boxes are separable, padded and uneven ones too."""
    dims, out = s.dims(x), s.dims(output(op))
    if len(dims) != 5 or -1 in dims[1:] or attr_of(op, "data_format", "NCDHW") != "NCDHW":
        return None
    n, c, d, h, w = dims
    depth, height, width = out[2:]
    ksize, strides = attr_of(op, "ksize", []), attr_of(op, "strides", [1, 1, 1])
    pads = [int(p) for p in attr_of(op, "paddings", [0, 0, 0])]
    pads = [p for p in pads for _ in range(2)] if len(pads) == 3 else pads
    if attr_of(op, "global_pooling", False):
        ksize, strides, pads = [d, h, w], [1, 1, 1], [0] * 6
    if len(pads) != 6:
        return None
    shared: dict[str, Any] = {
        "pooling_type": attr_of(op, "pooling_type", "max"),
        "global_pooling": False,
        "adaptive": bool(attr_of(op, "adaptive", False)),
        "exclusive": bool(attr_of(op, "exclusive", True)),
        "ceil_mode": bool(attr_of(op, "ceil_mode", False)),
        "data_format": "NCHW",
        "padding_algorithm": attr_of(op, "padding_algorithm", "EXPLICIT"),
    }
    flat = s.reshape(x, [n, c * d, h, w])
    flat = s.add(
        "pool2d",
        {"X": flat},
        dims=[n, c * d, height, width],
        ksize=ksize[1:],
        strides=strides[1:],
        paddings=pads[2:],
        **shared,
    )
    tall = s.reshape(flat, [n, c, d, height * width])
    tall = s.add(
        "pool2d",
        {"X": tall},
        dims=[n, c, depth, height * width],
        strides=[strides[0], 1],
        paddings=[*pads[:2], 0, 0],
        ksize=[ksize[0], height * width if shared["adaptive"] else 1],
        **shared,
    )
    return s.reshape(tall, [n, c, depth, height, width])


def _interp3d(s: Speller, op: Any, x: str) -> str | None:
    """Resizing is separable: height and width first, then depth."""
    dims, out = s.dims(x), s.dims(output(op))
    if len(dims) != 5 or -1 in dims[1:] or -1 in out[1:] or attr_of(op, "data_layout", "NCHW") not in ("NCHW", "NCDHW"):
        return None
    n, c, d, h, w = dims
    depth, height, width = out[2:]
    type_ = "nearest_interp_v2" if op.type.startswith("nearest") else "bilinear_interp_v2"
    scale = [float(v) for v in attr_of(op, "scale", [])]
    shared: dict[str, Any] = {
        "align_corners": bool(attr_of(op, "align_corners", False)),
        "align_mode": int(attr_of(op, "align_mode", 1)),
        "interp_method": type_.split("_")[0],
        "data_layout": "NCHW",
        "out_d": 0,
    }

    def resized(name: str, rows: int, columns: int, factors: list[float]) -> str:
        shape = s.dims(name)
        given: dict[str, Any] = {**shared, "scale": factors} if factors else shared
        return s.add(type_, {"X": name}, dims=[*shape[:2], rows, columns], out_h=rows, out_w=columns, **given)

    flat = resized(s.reshape(x, [n, c * d, h, w]), height, width, scale[1:] if len(scale) == 3 else [])
    tall = resized(
        s.reshape(flat, [n, c, d, height * width]), depth, height * width, [scale[0], 1.0] if len(scale) == 3 else []
    )
    return s.reshape(tall, [n, c, depth, height, width])


def _conv3d(s: Speller, op: Any, x: str) -> str | None:
    """The sum over the kernel's depth of 2-D convolutions, each over all the depth slices that its tap sees."""
    name = input_of(op, "Filter")
    weight, dims, out = s.editor.constant(name), s.dims(x), s.dims(output(op))
    if weight is None or -1 in dims or len(dims) != 5 or attr_of(op, "data_format", "NCHW") not in ("NCHW", "NCDHW"):
        return None
    strides, dilations = attr_of(op, "strides", [1, 1, 1]), attr_of(op, "dilations", [1, 1, 1])
    pads = _explicit(
        attr_of(op, "paddings", [0, 0, 0]),
        str(attr_of(op, "padding_algorithm", "EXPLICIT")),
        dims[2:],
        weight.shape[2:],
        strides,
        dilations,
    )
    n, c, _, h, w = dims
    if pads[0] or pads[1]:
        padded = pad_axis(s, x, 2, pads[0], pads[1], "constant", 0.0)
        if padded is None:
            return None
        x = padded
    total, depth = None, out[2]
    if not can_make(depth):
        return None
    for tap in range(weight.shape[2]):
        start = tap * dilations[0]
        stop = start + (depth - 1) * strides[0] + 1
        if strides[0] == 1:
            seen = s.slice(x, 2, start, stop)
        else:
            index = np.arange(start, stop, strides[0], dtype=np.int32)
            seen = s.add("gather", {"X": x, "Index": s.values(index)}, dims=[n, c, depth, h, w], axis=2)
        flat = s.reshape(s.transpose(seen, [0, 2, 1, 3, 4]), [n * depth, c, h, w])
        part = s.add(
            "conv2d",
            {"Input": flat, "Filter": s.values(np.ascontiguousarray(weight[:, :, tap]))},
            out="Output",
            dims=[n * depth, out[1], *out[3:]],
            strides=strides[1:],
            paddings=pads[2:],
            dilations=dilations[1:],
            groups=int(attr_of(op, "groups", 1)),
            data_format="NCHW",
            padding_algorithm="EXPLICIT",
        )
        total = part if total is None else s.binary("add", total, part)
    assert total is not None
    return s.transpose(s.reshape(total, [n, depth, out[1], *out[3:]]), [0, 2, 1, 3, 4])


def _explicit(
    pads: list[int], algorithm: str, sizes: Any, kernel: Any, strides: list[int], dilations: list[int]
) -> list[int]:
    """Padding before and after each dimension. SAME: as much as makes ceil(size / stride) outputs, the larger half
    after.
    """
    if algorithm == "VALID":
        return [0] * (2 * len(sizes))
    if algorithm == "SAME":
        found: list[int] = []
        for size, k, stride in zip(sizes, kernel, strides, strict=True):
            total = max((math.ceil(size / stride) - 1) * stride + k - size, 0)  # SAME sets dilations to 1
            found += [total // 2, total - total // 2]
        return found
    return [int(p) for p in pads for _ in range(2)] if len(pads) == len(sizes) else [int(p) for p in pads]


def _channels_first(out: str, layout: str) -> Spelling:
    """An op on [N, H, W, C] between two transposes: Paddle Lite computes such an op as if it were [N, C, H, W]."""

    def spell(s: Speller, op: Any, x: str) -> str | None:
        dims = s.dims(x)
        if attr_of(op, layout, "NCHW") != "NHWC" or len(dims) != 4:
            return None
        inner = s.transpose(x, [0, 3, 1, 2])
        inputs = {var.parameter: list(var.arguments) for var in op.inputs if var.arguments}
        inputs["Input" if "Input" in inputs else "X"] = [inner]
        after = s.dims(output(op))
        also = {var.parameter: list(var.arguments) for var in op.outputs if var.arguments and var.parameter != out}
        result = s.add(op.type, inputs, dims=[after[k] for k in (0, 3, 1, 2)], out=out)
        copy_attributes(op, s.ops[-1], (layout,))
        set_attr(s.ops[-1], layout, "NCHW")
        for parameter, names in also.items():
            s.ops[-1].outputs.add(parameter=parameter).arguments.extend(names)
        return s.transpose(result, [0, 2, 3, 1])

    return spell


def _interp(s: Speller, op: Any, x: str) -> str | None:
    return _interp3d(s, op, x) if len(s.dims(x)) == 5 else _channels_first("Out", "data_layout")(s, op, x)


TABLE: dict[str, Spelling] = {
    "batch_norm": _channels_first("Y", "data_layout"),
    "bilinear_interp_v2": _interp,
    "conv2d": _channels_first("Output", "data_format"),
    "conv2d_transpose": _channels_first("Output", "data_format"),
    "conv3d": _conv3d,
    "depthwise_conv2d": _channels_first("Output", "data_format"),
    "nearest_interp_v2": _interp,
    "pad3d": _pad3d,
    "pixel_shuffle": _channels_first("Out", "data_format"),
    "pool2d": _channels_first("Out", "data_format"),
    "pool3d": _pool3d,
    "trilinear_interp_v2": _interp3d,
}
