"""Convolution whose taps are moved by offsets and weighed by a mask, in NumPy.

Source: Paddle-Lite v2.13-rc lite/kernels/arm/deformable_conv_compute.cc, lite/operators/deformable_conv_op.cc.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate.graph import Array
from edgeflow.nb import Op

COLUMNS_MAX = 1 << 27
"""Numbers under all windows of one picture."""


def deformable_conv(op: Op, inputs: Mapping[str, list[Array]]) -> dict[str, list[Array]]:
    """Input [N, C, H, W], Offset [N, 2 * groups * taps, h, w] and Mask [N, groups * taps, h, w] -> Output [N, M, h, w].

    Raises:
        NbError: their shapes do not fit, or the runtime refuses the op.
    """
    if not inputs.get("Mask"):
        raise NbError(
            "deformable_conv: the ARM runtime aborts without a Mask (version 1 of the op)",
            try_="give a mask of ones",
        )
    x, weight = inputs["Input"][0].astype(np.float32), inputs["Filter"][0].astype(np.float32)
    offset, mask = inputs["Offset"][0], inputs["Mask"][0]
    groups, parts = int(op.attr("groups") or 1), int(op.attr("deformable_groups") or 1)
    if groups != parts:
        raise NbError(f"deformable_conv: the ARM runtime aborts: groups {groups} and deformable groups {parts} differ")
    strides, pads, dilations = (list(op.attr(name) or (d, d)) for name, d in _WINDOW)
    taps, size = weight.shape[2] * weight.shape[3], offset.shape[2:]
    fits = x.ndim == weight.ndim == offset.ndim == mask.ndim == 4 and x.shape[1] == weight.shape[1] * groups
    fits = fits and offset.shape == (x.shape[0], 2 * parts * taps, *size) and mask.shape[1:] == (parts * taps, *size)
    if not fits or x.shape[1] * taps * int(np.prod(size)) > COLUMNS_MAX or weight.shape[0] % groups:
        raise NbError(f"deformable_conv: input {list(x.shape)}, filter {list(weight.shape)}, offset do not fit")
    rows, columns = (
        np.arange(n, dtype=np.float32) * int(s) - int(p)
        for n, s, p in zip(size, strides, (pads[0], pads[-1] if len(pads) == 2 else pads[2]), strict=True)
    )
    moved = offset.astype(np.float32).reshape(x.shape[0], parts, taps, 2, *size)
    weighed = mask.astype(np.float32).reshape(x.shape[0], parts, taps, *size)
    per = x.shape[1] // parts
    filters = weight.reshape(groups, weight.shape[0] // groups, -1)
    outputs = []
    for n in range(x.shape[0]):
        taken = np.empty((parts, per, taps, *size), np.float32)
        for part in range(parts):
            for tap in range(taps):
                at_y = rows[:, None] + tap // weight.shape[3] * int(dilations[0]) + moved[n, part, tap, 0]
                at_x = columns[None, :] + tap % weight.shape[3] * int(dilations[1]) + moved[n, part, tap, 1]
                values = _sampled(x[n, part * per : (part + 1) * per], at_y, at_x)
                taken[part, :, tap] = values * weighed[n, part, tap]
        flat = taken.reshape(groups, -1, int(np.prod(size)))
        outputs.append(np.matmul(filters, flat).reshape(weight.shape[0], *size))
    result = np.stack(outputs)
    if inputs.get("Bias"):
        result = result + inputs["Bias"][0].astype(np.float32).reshape(1, -1, 1, 1)
    return {"Output": [_activated(op, result).astype(np.float32)]}


_WINDOW = (("strides", 1), ("paddings", 0), ("dilations", 1))


def _sampled(x: Array, at_y: Array, at_x: Array) -> Array:
    """Bilinear values of [C, H, W] at places [h, w]; beyond the border zero."""
    height, width = x.shape[1:]
    inside = (at_y > -1) & (at_x > -1) & (at_y < height) & (at_x < width)
    at_y, at_x = (np.where(inside, at, 0).astype(np.float32) for at in (at_y, at_x))
    low_y, low_x = np.floor(at_y).astype(np.int64), np.floor(at_x).astype(np.int64)
    part_y, part_x = at_y - low_y, at_x - low_x
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    total = np.zeros((x.shape[0], *at_y.shape), np.float32)
    for step_y, share_y in ((0, 1 - part_y), (1, part_y)):
        for step_x, share_x in ((0, 1 - part_x), (1, part_x)):
            total += padded[:, low_y + step_y + 1, low_x + step_x + 1] * (share_y * share_x).astype(np.float32)
    return np.asarray(np.where(inside, total, 0))


def _activated(op: Op, y: Array) -> Array:
    kind = op.attr("act_type") if op.attr("with_act") else "relu" if op.attr("fuse_relu") else ""
    if kind == "relu":
        return np.maximum(y, 0)
    if kind == "relu6":
        return np.clip(y, 0, float(op.attr("fuse_brelu_threshold") or 6.0))
    if kind == "leaky_relu":
        return np.where(y > 0, y, y * float(op.attr("leaky_relu_alpha") or 0.0))
    if kind:
        raise NbError(f"deformable_conv: fused activation {kind!r} is unknown to its kernel")
    return y
