"""Tensors made from attributes, shapes or a few numbers."""

from __future__ import annotations

import math

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.core.tensors import PADDLE_DTYPES
from edgeflow.emulate.bounds import ELEMENTS_MAX
from edgeflow.emulate.graph import Value
from edgeflow.emulate.step import Lowering, Step

POINTS_MAX = 1 << 22
"""Longest range that is written out."""


def dtype_of(step: Step, name: str = "dtype", default: int = 5) -> str:
    number = int(step.attr(name, default))
    if number not in PADDLE_DTYPES:
        raise NbError(f"{step.op.type}: {name} is {number}, and should be one of {sorted(PADDLE_DTYPES)}")
    # fp16 on ARM is computed from float32 storage here, rounded by the kernels that say so.
    return "float32" if PADDLE_DTYPES[number] == "float16" else PADDLE_DTYPES[number]


def _filled(step: Step, shape: list[int], value: float, dtype: str) -> Value:
    if any(dim < 0 for dim in shape) or math.prod(shape) > ELEMENTS_MAX:
        raise NbError(f"{step.op.type}: would fill the shape {shape}")
    small = np.full((1,) * len(shape), value).astype(dtype)
    if math.prod(shape) <= 1024:
        return step.g.constant(np.full(shape, value).astype(dtype), dtype)
    return step.g.add("Expand", step.g.constant(small, dtype), step.g.ints(shape))


def fill_constant(step: Step) -> None:
    shape = [int(dim) for dim in step.attr("shape", ())]
    if (tensor := step.known("ShapeTensor")) is not None:
        shape = [int(dim) for dim in np.ravel(tensor)]
    elif (listed := step.known_list("ShapeTensorList")) is not None:
        shape = listed
    value = float(step.attr("value", 0.0))
    if text := step.attr("str_value", ""):
        value = float(text)
    if (given := step.known("ValueTensor")) is not None:
        value = float(np.ravel(given)[0])
    step.out("Out", _filled(step, shape or [1], value, dtype_of(step)))


def fill_any_like(step: Step) -> None:
    x = step.x("X")
    number = int(step.attr("dtype", -1))
    dtype = x.storage if number < 0 else dtype_of(step)
    step.out("Out", _filled(step, list(x.shape), float(step.attr("value", 0.0)), dtype))


def fill_zeros_like(step: Step) -> None:
    x = step.x("X")
    step.out("Out", _filled(step, list(x.shape), 0.0, x.storage))


def fill_constant_batch_size_like(step: Step) -> None:
    shape = [int(dim) for dim in step.attr("shape", ())]
    x = step.x("Input")
    shape[int(step.attr("output_dim_idx", 0))] = x.shape[int(step.attr("input_dim_idx", 0))]
    step.out("Out", _filled(step, shape, float(step.attr("value", 0.0)), dtype_of(step)))


def assign_value(step: Step) -> None:
    dtype = dtype_of(step)
    for name in (f"{dtype}_values", {"float32": "fp32_values", "float64": "fp64_values"}.get(dtype, ""), "values"):
        if len(values := step.attr(name, ()) or ()):
            array = np.asarray(values).astype(dtype).reshape(step.attr("shape", (-1,)))
            step.out("Out", step.g.constant(array, dtype))
            return
    raise NbError(f"assign_value: no values of dtype {dtype}")


def shape(step: Step) -> None:
    step.out("Out", step.g.constant(np.asarray(step.x("Input").shape, np.int32), "int32"))


def size(step: Step) -> None:
    step.out("Out", step.g.constant(np.asarray([math.prod(step.x("Input").shape)], np.int64), "int64"))


def range_(step: Step) -> None:
    start, end, stride = (step.known_numbers(name)[0] for name in ("Start", "End", "Step"))
    if stride == 0 or not abs((float(end) - float(start)) / float(stride)) <= POINTS_MAX:
        raise NbError(f"range: from {start} to {end} in steps of {stride}")
    array = np.arange(start, end, stride, dtype=start.dtype)
    step.out("Out", step.g.constant(array, str(array.dtype)))


def linspace(step: Step) -> None:
    start, stop, count = (step.known_numbers(name)[0] for name in ("Start", "Stop", "Num"))
    if not 0 < count <= POINTS_MAX:
        raise NbError(f"linspace: {count} points")
    array = np.linspace(start, stop, int(count)).astype(start.dtype)
    step.out("Out", step.g.constant(array, str(array.dtype)))


def cast(step: Step) -> None:
    g, x, dtype = step.g, step.x("X"), dtype_of(step, "out_dtype")
    if dtype == "int8":
        raise NbError("cast: to int8, which the ARM runtime refuses as well")
    if x.storage == "float32" and dtype == "uint8":
        x = g.cast(x, "int32")  # C's conversion keeps the low byte; a direct cast would be undefined
    step.out("Out", g.cast(x, dtype))


def one_hot(step: Step) -> None:
    g, x = step.g, step.x("X")
    given = step.known("depth_tensor")
    depth = int(np.ravel(given)[0]) if given is not None else int(step.attr("depth", 1))
    step.bounded("depth", [depth], POINTS_MAX)
    if step.op.type == "one_hot" and x.rank > 1 and x.shape[-1] == 1:
        x = g.reshape(x, x.shape[:-1])
    classes = g.constant(np.arange(depth, dtype=x.storage), x.storage)
    spread = g.reshape(x, (*x.shape, 1))
    step.out("Out", g.cast(g.add("Equal", spread, classes), dtype_of(step)))


def meshgrid(step: Step) -> None:
    g, axes = step.g, step.xs("X")
    shape = [x.shape[0] for x in axes]
    for index, x in enumerate(axes):
        lifted = g.reshape(x, [x.shape[0] if i == index else 1 for i in range(len(axes))])
        step.out("Out", g.add("Expand", lifted, g.ints(shape)), index)


TABLE: dict[str, Lowering] = {
    "fill_constant": fill_constant,
    "fill_any_like": fill_any_like,
    "fill_zeros_like": fill_zeros_like,
    "fill_constant_batch_size_like": fill_constant_batch_size_like,
    "assign_value": assign_value,
    "shape": shape,
    "size": size,
    "range": range_,
    "linspace": linspace,
    "cast": cast,
    "one_hot": one_hot,
    "one_hot_v2": one_hot,
    "meshgrid": meshgrid,
}
