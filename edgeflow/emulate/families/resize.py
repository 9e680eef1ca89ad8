"""Interpolation: which pixels are read, and with which weight, is computed here in the kernel's own float32."""

from __future__ import annotations

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate.graph import Array, Graph, Value
from edgeflow.emulate.step import Lowering, Step


def interp(step: Step) -> None:
    """bilinear_interp(_v2), nearest_interp(_v2) and linear_interp(_v2).

    Source: Paddle-Lite backends/arm/math/interpolate.{cc,h}, v2.13-rc. The step is the ratio of the sizes, whatever
    the attribute `scale` says, but for nearest_interp_v2, where it is 1 / scale unless the sizes came as tensors.
    """
    g, x = step.g, step.x("X")
    sizes = _sizes(step, x)
    step.bounded("output sizes", sizes)
    corners, mode = bool(step.attr("align_corners", False)), int(step.attr("align_mode", 1))
    nearest = "nearest" in step.op.type
    if not nearest and "linear" not in step.op.type:
        raise NbError(f"{step.op.type}: only nearest, linear and bilinear interpolation can be emulated")
    scales = _scales(step, len(sizes)) if step.op.type == "nearest_interp_v2" else [0.0] * len(sizes)
    y = x
    for axis, (out, scale) in enumerate(zip(sizes, scales, strict=True), start=x.rank - len(sizes)):
        size = x.shape[axis]
        if nearest:
            picked = _nearest(size, out, corners, scale)
            if out != size or not np.array_equal(picked, np.arange(size)):
                y = g.add("Gather", y, g.constant(picked, "int64"), axis=axis)
        else:
            # The 1-D kernel leaves its ratio at zero for one output: interpolate_linear takes the first element.
            single = step.op.type.startswith("linear") and out == 1 and not corners
            y = _lerp(g, y, axis, *_linear(size, out, corners or single, mode))
    step.out("Out", y)


def _sizes(step: Step, x: Value) -> list[int]:
    """Output sizes along the spatial axes, in the order the kernel looks for them."""
    spatial = x.rank - 2
    if (listed := step.known_list("SizeTensor")) is not None:
        return listed[-spatial:]
    if (tensor := step.known("OutSize")) is not None:
        return [int(n) for n in np.ravel(tensor)][-spatial:]
    scale = step.attr("scale", ())
    if (given := step.known("Scale")) is not None:
        scale = tuple(float(s) for s in np.ravel(given))
    scale = (scale,) if isinstance(scale, float) else tuple(scale)
    if scale and min(scale) > 0:
        factors = scale * spatial if len(scale) == 1 else scale
        return [int(np.float32(n) * np.float32(f)) for n, f in zip(x.shape[2:], factors, strict=False)]
    wanted = [int(step.attr(name, -1)) for name in ("out_h", "out_w")][-spatial:]
    if spatial > 2 or min(wanted) < 1:
        raise NbError(f"{step.op.type}: neither sizes nor scales say how large the output is")
    return wanted


def _ratio(size: int, out: int, corners: bool) -> np.float32:
    if corners:
        return np.float32(size - 1) / np.float32(out - 1) if out > 1 else np.float32(0)
    return np.float32(size) / np.float32(out)


def _scales(step: Step, count: int) -> list[float]:
    """Factors that nearest_interp_v2 steps by, 0 where it takes the sizes. Source: interpolate.h nearest_interp_v2."""
    if step.op.inputs.get("SizeTensor"):
        return [0.0] * count
    if (given := step.known("Scale")) is not None:
        factors = [float(s) for s in np.ravel(given)]
        return factors * count if len(factors) == 1 else factors[:count]
    listed = step.attr("scale", ())
    factors = [float(s) for s in listed] if isinstance(listed, (list, tuple)) else []
    return factors[:count] if len(factors) >= count > 1 and min(factors) > 0 else [0.0] * count


def _nearest(size: int, out: int, corners: bool, scale: float = 0.0) -> Array:
    ratio = np.float32(0) if scale and out <= 1 else _ratio(size, out, corners)
    if scale > 0 and not corners and out > 1:
        ratio = np.float32(1.0 / float(np.float32(scale)))
    at = ratio * np.arange(out, dtype=np.float32)
    picked = np.floor(at.astype(np.float64) + 0.5 if corners else at).astype(np.int64)
    return np.asarray(np.clip(picked, 0, size - 1))


def _linear(size: int, out: int, corners: bool, mode: int) -> tuple[Array, Array, Array]:
    """Index of the pixel before, of the one after, and the weight of the latter."""
    place = np.arange(out, dtype=np.float32)
    if corners:
        ratio = np.float32(size - 1) / np.float32(out - 1) if out > 1 and size > 1 else np.float32(1)
        at = place * ratio
    else:
        ratio = np.float32(size) / np.float32(out)
        at = ratio * place if mode else ratio * (place + np.float32(0.5)) - np.float32(0.5)
    at = np.maximum(at, np.float32(0)).astype(np.float32)
    low = np.minimum(at.astype(np.int64), size - 1)
    weight = (at - low.astype(np.float32)).astype(np.float32)
    return low, np.minimum(low + 1, size - 1), weight


def _lerp(g: Graph, x: Value, axis: int, low: Array, high: Array, weight: Array) -> Value:
    if np.array_equal(low, np.arange(x.shape[axis])) and not weight.any():
        return x
    shape = [1] * x.rank
    shape[axis] = -1
    before = g.add("Gather", x, g.constant(low, "int64"), axis=axis)
    if not weight.any():
        return before
    after = g.add("Gather", x, g.constant(high, "int64"), axis=axis)
    left = g.mul(before, g.constant((np.float32(1) - weight).reshape(shape)))
    return g.plus(left, g.mul(after, g.constant(weight.reshape(shape))))


TABLE: dict[str, Lowering] = dict.fromkeys(
    (
        "bilinear_interp",
        "bilinear_interp_v2",
        "nearest_interp",
        "nearest_interp_v2",
        "linear_interp",
        "linear_interp_v2",
    ),
    interp,
)
