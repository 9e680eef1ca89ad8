"""Pooling, norms, sampling, resizing and convolutions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.graph.constant_sizes import can_make
from edgeflow.graph.edit import Editor, Speller, attr_of, copy_attributes, output, set_attr
from edgeflow.graph.program import input_of, output_of
from edgeflow.graph.respellings.rule import Rule, around, can_reshape, give, product, reshape_into, spelled
from edgeflow.graph.spellings.geometry import pad_axis

TILES_MAX = 64
"""Calls of grid_sampler for one: more would rather be a fault of the model."""

REPEATS_MAX = 16
"""How often a small grid of an open batch is repeated to fill one call."""


def _pool(editor: Editor, op: Any) -> bool:
    """Adaptive pooling to a square: plain where the sizes divide, else over height and then over width."""
    x = input_of(op, "X")
    dims, size = editor.dims(x) or (), int(attr_of(op, "ksize", [0])[0])
    if len(dims) != 4 or min(dims[2:]) < size or size < 1:
        return False
    if dims[2:] == (size, size):
        return editor.drop(op, x)
    height, width = dims[2:]

    def pooled(s: Speller, name: str, window: list[int], steps: list[int], **more: Any) -> str:
        found = s.dims(name)
        after = window if more["adaptive"] else [found[2] // steps[0], found[3] // steps[1]]
        result = s.add("pool2d", {"X": name}, dims=[*found[:2], *after])
        copy_attributes(op, s.ops[-1])
        for key, given in {"ksize": window, "strides": steps, "paddings": [0, 0], **more}.items():
            set_attr(s.ops[-1], key, given)
        return result

    def spell(s: Speller) -> str:
        if height % size == 0 and width % size == 0:
            step = [height // size, width // size]
            return pooled(s, x, step, step, adaptive=False)
        tall = pooled(s, x, [size, width], [1, 1], adaptive=True)
        if attr_of(op, "pooling_type", "max") != "max":
            return pooled(s, tall, [size, size], [1, 1], adaptive=True)
        rows = s.reshape(tall, [dims[0], product([dims[1], size]), 1, width])
        return s.reshape(pooled(s, rows, [1, size], [1, 1], adaptive=True), [*dims[:2], size, size])

    return editor.replace(op, spell)


def _mask(editor: Editor, op: Any) -> bool:
    """The runtime's mask is float32: cast it to what Paddle gives."""
    mask = output_of(op, "Mask")
    s = Speller(editor)
    found = editor.fresh("mask")
    editor.declare(found, editor.dims(mask) or ())
    give(op, "Mask", found, of_outputs=True)
    return around(editor, op, [], [s.write("cast", {"X": found}, {"Out": mask}, in_dtype=5, out_dtype=2)])


def _norm(editor: Editor, op: Any) -> bool:
    """Group and instance norms over four dimensions: ones added, or depth merged with height."""
    x, y = input_of(op, "X"), output_of(op, "Y")
    dims = editor.dims(x) or ()
    if len(dims) < 2 or attr_of(op, "data_layout", "NCHW") not in ("NCHW", "AnyLayout", ""):
        return False
    s = Speller(editor)
    if len(dims) < 4:
        flat = s.unsqueeze(x, list(range(len(dims), 4)))
    else:
        shape = [*dims[:2], product(dims[2:-1]), dims[-1]]
        if not can_reshape(shape) or not can_reshape(dims):
            return False
        flat = s.reshape(x, shape)
    before, s.ops = s.ops, []
    found = editor.fresh(op.type)
    editor.declare(found, editor.dims(flat) or ())
    give(op, "X", flat)
    give(op, "Y", found, of_outputs=True)
    if len(dims) < 4:
        shadow = editor.fresh("XShape")
        editor.declare(shadow, (0, *(editor.dims(found) or ())))
        axes = list(range(len(dims), 4))
        s.ops.append(s.write("squeeze2", {"X": found}, {"Out": y, "XShape": shadow}, axes=axes))
    else:
        reshape_into(s, found, dims, y)
    return around(editor, op, before, s.ops)


def _grid_sampler(s: Speller, op: Any, x: str) -> str | None:
    """In pieces that have the input's height and width, the last one filled up."""
    grid = input_of(op, "Grid")
    dims, wanted = s.dims(x), s.dims(grid)
    if len(dims) != 4 or len(wanted) != 4 or min(*dims[1:], *wanted[1:]) < 1:
        return None
    batch, channels, height, width = dims
    total, tile = wanted[1] * wanted[2], height * width
    count = math.ceil(total / tile)
    points = s.reshape(grid, [wanted[0], total, 2])
    if count > TILES_MAX or not can_make(max(wanted[0], 0), tile, 2):
        return None
    if count * tile > total:
        if wanted[0] > 0:
            blank = s.values(np.zeros((wanted[0], count * tile - total, 2), np.float32))
            points = s.concat([points, blank], 1)
        elif math.ceil(count * tile / total) <= REPEATS_MAX:
            points = s.concat([points] * math.ceil(count * tile / total), 1)
        else:
            return None
    parts = []
    for k in range(count):
        piece = points if count == 1 and s.dims(points)[1] == tile else s.slice(points, 1, k * tile, (k + 1) * tile)
        squared = s.reshape(piece, [wanted[0], height, width, 2])
        sampled = s.add("grid_sampler", {"X": x, "Grid": squared}, dims=dims, out="Output")
        copy_attributes(op, s.ops[-1])
        parts.append(s.reshape(sampled, [batch, channels, tile]))
    whole = parts[0] if count == 1 else s.concat(parts, 2)
    if count * tile > total:
        whole = s.slice(whole, 2, 0, total)
    return s.reshape(whole, [batch, channels, *wanted[1:3]])


def _narrow(editor: Editor, op: Any) -> bool:
    """Zeros put around the map by an op of their own, and no padding in the convolution."""
    x, out = input_of(op, "Input"), output_of(op, "Output")
    dims = editor.dims(x) or ()
    if len(dims) != 4 or attr_of(op, "data_format", "NCHW") not in ("NCHW", "AnyLayout"):
        return False
    height, width = (editor.dims(out) or dims)[2:]
    pads = [0, max((height - 1) * 2 + 3 - dims[2], 0), 0, max((width - 1) * 2 + 3 - dims[3], 0)]
    if attr_of(op, "padding_algorithm", "EXPLICIT") == "EXPLICIT":
        given = [int(p) for p in attr_of(op, "paddings", [0, 0])]
        pads = [p for p in given for _ in range(2)] if len(given) == 2 else given
    s = Speller(editor)
    padded: str | None = x
    for axis, before, after in ((2, *pads[:2]), (3, *pads[2:])):
        if padded is not None and (before or after):
            padded = pad_axis(s, padded, axis, before, after, "constant", 0.0)
    if padded is None:
        return False
    give(op, "Input", padded)
    set_attr(op, "paddings", [0, 0])
    set_attr(op, "padding_algorithm", "EXPLICIT")
    return around(editor, op, s.ops, [])


def _interp(s: Speller, op: Any, x: str) -> str | None:
    """Resizing is linear and separable: a product with a matrix for width, and one for height."""
    dims, out = s.dims(x), s.dims(output(op))
    if len(dims) != 4 or min(*dims[1:], *out[2:]) < 1 or attr_of(op, "data_layout", "NCHW") != "NCHW":
        return None
    if not (can_make(dims[2], out[2]) and can_make(dims[3], out[3])):
        return None
    factors = [float(v) for v in attr_of(op, "scale", [])]
    factors = factors * 2 if len(factors) == 1 else factors
    tall, wide = (
        _weights(size, result, factor, op) for size, result, factor in zip(dims[2:], out[2:], factors, strict=True)
    )
    rows = s.reshape(x, [product(dims[:3]), dims[3]])
    rows = s.matmul(rows, s.values(wide), dims=[product(dims[:3]), out[3]])
    turned = s.transpose(s.reshape(rows, [*dims[:3], out[3]]), [0, 1, 3, 2])
    columns = s.reshape(turned, [product([*dims[:2], out[3]]), dims[2]])
    columns = s.matmul(columns, s.values(tall), dims=[product([*dims[:2], out[3]]), out[2]])
    return s.transpose(s.reshape(columns, [*dims[:2], out[3], out[2]]), [0, 1, 3, 2])


def _weights(size: int, result: int, factor: float, op: Any) -> Array:
    """[size, result]: how much of each input goes into each output, by Paddle's ratio 1 / scale.

    Source: Paddle 2.6 phi/kernels/cpu/interpolate_kernel.cc BilinearInterpolation, NearestNeighborInterpolate.
    """
    ratio = np.float32(1.0 / factor)
    centred = int(attr_of(op, "align_mode", 1)) == 0
    found = np.zeros((size, result), np.float32)
    for k in range(result):
        if op.type.startswith("nearest"):
            found[min(int(ratio * np.float32(k)), size - 1), k] = 1.0
            continue
        at = ratio * np.float32(k + 0.5) - np.float32(0.5) if centred else ratio * np.float32(k)
        low = max(int(at), 0)
        part = max(np.float32(at), np.float32(0.0)) - np.float32(low) if centred else np.float32(at) - np.float32(low)
        found[min(low, size - 1), k] += np.float32(1.0) - part
        found[min(low + 1, size - 1), k] += part
    return found


TABLE: dict[str, Rule] = {
    "bilinear_interp_v2": spelled(_interp),
    "conv2d": _narrow,
    "depthwise_conv2d": _narrow,
    "grid_sampler": spelled(_grid_sampler),
    "group_norm": _norm,
    "instance_norm": _norm,
    "max_pool2d_with_index": _mask,
    "nearest_interp_v2": spelled(_interp),
    "pool2d": _pool,
}
