"""Resize and Upsample: Paddle's own interpolation where it computes alike, else a product with a constant matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.graph.program import attribute, schema
from edgeflow.ingest.onnx_import.step import Step, Translation, Untranslatable

MATRIX_MAX = 1 << 22
ALIGNED = {
    "half_pixel": (False, 0),
    "pytorch_half_pixel": (False, 0),
    "asymmetric": (False, 1),
    "align_corners": (True, 1),
}
"""Paddle's align_corners and align_mode of ONNX's coordinate_transformation_mode.

Source: PaddlePaddle 2.6.2 paddle/phi/kernels/cpu/interpolate_kernel.cc.
"""


def resize(step: Step) -> str:
    """Resize by scales, to sizes known or to sizes computed at run time."""
    mode = str(step.attrs.get("mode", "nearest"))
    how = str(step.attrs.get("coordinate_transformation_mode", "half_pixel" if step.opset >= 11 else "asymmetric"))
    scales, sizes = _wanted(step)
    dims, out = step.dims(0), step.out_dims()
    moved = [
        k for k in range(len(dims)) if (scales[k] != 1.0 if scales is not None else dims[k] != out[k] or dims[k] < 0)
    ]
    if scales is None and sizes is not None:
        moved = [k for k in moved if sizes[k] != step.symbols(0)[k]]
    if not moved:
        return step.x(0)
    picture = len(dims) == 4 and set(moved) <= {2, 3}
    if picture and _alike(step, mode, how, scales, dims, out):
        return _interpolated(step, mode, how, scales, sizes)
    if any(dims[k] < 0 or out[k] < 0 for k in moved):
        raise Untranslatable(f"mode {mode}, {how}, of open dimensions {moved} of {list(dims)}")
    x = step.x(0)
    for axis in moved:
        x = _by_matrix(step, x, axis, mode, how, None if scales is None else scales[axis])
    return x


def _wanted(step: Step) -> tuple[list[float] | None, Sequence[Any] | None]:
    """Scales of all axes, or sizes, numbers or names where open."""
    if step.node.op_type == "Upsample" or step.opset < 11:
        given = step.option(1, "scales")
        return [float(s) for s in given], None
    if step.attrs.get("antialias", 0) or step.attrs.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Untranslatable("antialias, or a ratio that is kept")
    rank = step.rank()
    axes = [step.place(int(a), rank) for a in step.attrs.get("axes", range(rank))]
    if step.has(2) and step.graph.known.dims.get(step.name(2)) != (0,):
        scales = [1.0] * rank
        for axis, scale in zip(axes, step.fixed(2, "its scales").tolist(), strict=True):
            scales[axis] = float(scale)
        return scales, None
    if not step.has(3):
        raise Untranslatable("has neither scales nor sizes")
    if axes != list(range(rank)):
        return None, None
    value, known = step.const(3), step.sizes(3)
    return None, value.tolist() if value is not None else None if known is None else known.entries


def _alike(
    step: Step, mode: str, how: str, scales: Sequence[float] | None, dims: Sequence[int], out: Sequence[int]
) -> bool:
    """Paddle's interpolation gives what ONNX's does."""
    if how not in ALIGNED or (mode != "nearest" and step.attrs.get("exclude_outside", 0)):
        return False
    if mode == "linear":
        return how != "pytorch_half_pixel" or all(size != 1 for size in out[2:])
    if mode == "cubic":
        return (
            how in ("half_pixel", "pytorch_half_pixel", "align_corners")
            and float(step.attrs.get("cubic_coeff_a", -0.75)) == -0.75
        )
    ratios = (
        scales[2:]
        if scales is not None
        else [o / d if d > 0 and o > 0 else 0.5 for o, d in zip(out[2:], dims[2:], strict=True)]
    )
    whole = all(ratio >= 1 and float(ratio).is_integer() for ratio in ratios)
    rounding = str(step.attrs.get("nearest_mode", "round_prefer_floor" if step.opset >= 11 else "floor"))
    if how == "asymmetric":
        return rounding == "floor"
    return how != "align_corners" and whole and rounding in ("round_prefer_floor", "round_prefer_ceil")


def _interpolated(step: Step, mode: str, how: str, scales: Sequence[float] | None, sizes: Sequence[Any] | None) -> str:
    name = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}[mode]
    corners, align = ALIGNED[how]
    out = step.out_dims()
    inputs: dict[str, Any] = {"X": step.x(0)}
    attrs: dict[str, Any] = {"out_h": -1, "out_w": -1, "scale": []}
    if scales is not None:
        attrs["scale"] = [float(scales[2]), float(scales[3])]
    elif out[2] > 0 and out[3] > 0:
        attrs |= {"out_h": int(out[2]), "out_w": int(out[3])}
    else:
        wanted = step.ints(3)
        rank = step.dims_of(wanted)[0]
        inputs["OutSize"] = step.spell.slice(wanted, 0, rank - 2, rank)
    if mode == "nearest":
        corners, align = False, 1
    result = step.op(
        f"{name}_interp_v2",
        inputs,
        interp_method=name,
        align_corners=corners,
        align_mode=align,
        out_d=-1,
        data_layout="NCHW",
        **attrs,
    )
    if not attrs["scale"]:  # a list of floats also where it is empty
        scale = attribute(step.spell.ops[-1], "scale")
        assert scale is not None
        scale.type = schema().FLOATS
    return result


def _by_matrix(step: Step, x: str, axis: int, mode: str, how: str, scale: float | None) -> str:
    """One axis resized as ONNX's reference does it: a row of the matrix weighs what an element is made of."""
    old, new = step.dims_of(x)[axis], step.out_dims()[axis]
    if old * new > MATRIX_MAX:
        raise Untranslatable(f"mode {mode}, {how}, of {old} to {new} elements")
    matrix = _matrix(step, old, new, scale)
    dims, rank = list(step.dims_of(x)), len(step.dims_of(x))
    dims[axis] = new
    if mode == "nearest":
        index = step.constant(matrix.argmax(axis=1).astype(np.int64), "places")
        return step.op("gather", {"X": x, "Index": index}, dims=dims, axis=axis)
    if axis == rank - 1:
        right = step.constant(np.ascontiguousarray(matrix.T), "weights")
        return step.op("matmul_v2", {"X": x, "Y": right}, dims=dims, trans_x=False, trans_y=False)
    order = [*(k for k in range(rank) if k != axis), axis]
    turned = step.spell.transpose(x, order)
    right = step.constant(np.ascontiguousarray(matrix.T), "weights")
    y = step.op("matmul_v2", {"X": turned, "Y": right}, dims=[dims[k] for k in order], trans_x=False, trans_y=False)
    return step.spell.transpose(y, [order.index(k) for k in range(rank)])


def _matrix(step: Step, old: int, new: int, scale: float | None) -> Array:
    """Resize of the unit vectors, by onnx's reference evaluator."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    kept = ("mode", "coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a", "exclude_outside")
    attrs = {name: step.attrs[name] for name in kept if name in step.attrs}
    if step.node.op_type == "Upsample" or step.opset < 11:
        attrs |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    make, kind = onnx.helper, onnx.TensorProto
    sized = (
        scale is None or attrs.get("coordinate_transformation_mode") == "align_corners"
    )  # by whole sizes, as onnxruntime
    node = make.make_node("Resize", ["x", "", "" if sized else "s", "s" if sized else ""], ["y"], **attrs)
    given = np.asarray([old, new], np.int64) if sized else np.asarray([1.0, scale], np.float32)
    graph = make.make_graph(
        [node],
        "resize",
        [
            make.make_tensor_value_info("x", kind.FLOAT, [old, old]),
            make.make_tensor_value_info("s", kind.INT64 if sized else kind.FLOAT, [2]),
        ],
        [make.make_tensor_value_info("y", kind.FLOAT, None)],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", max(step.opset, 13))], ir_version=8)
    (found,) = ReferenceEvaluator(model).run(None, {"x": np.eye(old, dtype=np.float32), "s": given})
    matrix = np.asarray(found, np.float32).T
    if matrix.shape != (new, old):
        raise Untranslatable(f"gives {matrix.shape[0]} elements, and its dims say {new}")
    return matrix


TABLE: Mapping[str, Translation] = {"Resize": resize, "Upsample": resize}
