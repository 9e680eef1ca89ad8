"""What has to hold between an op's attributes and the dims of its tensors, so that passes may count with them.

Only relations that a pass uses are here; Paddle and opt check their own. Open dims (-1) fit everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Dims = tuple[int, ...]
Names = Mapping[str, Sequence[str]]
ELEMENTS_MAX = 1 << 31


class _Op:
    """An op's tensors and attributes, as a relation asks for them."""

    def __init__(
        self, inputs: Names, outputs: Names, attrs: Mapping[str, Any], dims: Mapping[str, Dims | None]
    ) -> None:
        self.inputs, self.outputs, self.attrs, self.all = inputs, outputs, attrs, dims

    def dims(self, parameter: str) -> Dims | None:
        """Dims of an input's first tensor; None where it has none."""
        names = self.inputs.get(parameter) or ()
        return self.all.get(names[0]) if names else None

    def list(self, name: str) -> list[Any]:
        given = self.attrs.get(name, [])
        return given if isinstance(given, list) else [given]

    def number(self, name: str, default: int) -> int:
        given = self.attrs.get(name, default)
        return int(given) if isinstance(given, (int, float)) and math.isfinite(given) else default

    def given(self, *parameters: str) -> bool:
        return any(self.inputs.get(parameter) for parameter in parameters)


def relation_broken(
    type_: str, inputs: Names, outputs: Names, attrs: Mapping[str, Any], dims: Mapping[str, Dims | None]
) -> str:
    """What does not fit in an op, in words; empty where all does."""
    op = _Op(inputs, outputs, attrs, dims)
    for rule in (_axes, _sizes, *RULES.get(type_, ())):
        if what := rule(op):
            return what
    return ""


def _axes(op: _Op) -> str:
    """Attributes that count axes lie within the tensor's rank, one more where an op adds axes."""
    rank = max((len(d) for names in op.inputs.values() for n in names if (d := op.all.get(n)) is not None), default=0)
    room = rank + len(op.list("axes")) + 1
    for name in ("axis", "axes", "dim", "Axis", "start_axis", "stop_axis", "begin_norm_axis", "x_num_col_dims"):
        for axis in op.list(name):
            if (name, axis) == ("dim", 9):
                continue  # cross: the first axis of size 3
            if isinstance(axis, int) and not -room <= axis <= room and rank:
                return f"{name} is {axis}, and its tensors have {rank} dimensions"
    return ""


def _sizes(op: _Op) -> str:
    """Tensors that an attribute sizes can be held."""
    for name in ("shape", "target_shape", "expand_times", "repeat_times"):
        given = [int(v) for v in op.list(name) if isinstance(v, (int, float)) and math.isfinite(v)]
        if len(given) > 9 or math.prod(max(v, 1) for v in given) > ELEMENTS_MAX:
            return f"{name} is {given[:9]}, which nothing can hold"
    for name in ("num_rows", "num_columns", "depth", "Repeats", "groups", "upscale_factor", "downscale_factor"):
        if abs(op.number(name, 1)) > ELEMENTS_MAX:
            return f"{name} is {op.number(name, 1)}, which nothing can hold"
    return ""


def _at_least_one(*names: str) -> Callable[[_Op], str]:
    def rule(op: _Op) -> str:
        for name in names:
            if any(v < 1 for v in op.list(name)):
                return f"{name} is {op.attrs[name]}, and should be at least 1"
        return ""

    return rule


def _whole_list(*names: str) -> Callable[[_Op], str]:
    """Lists of the spatial axes are of one length, or twice it for paddings before and after."""

    def rule(op: _Op) -> str:
        x = op.dims("Input") or op.dims("X")
        if x is None:
            return ""
        for name in names:
            allowed = (len(x) - 2, 2 * (len(x) - 2)) if name == "paddings" else (len(x) - 2,)
            if op.list(name) and len(op.list(name)) not in allowed:
                return f"{name} has {len(op.list(name))} entries for {len(x)} dimensions"
        return ""

    return rule


def _rank(parameter: str, least: int, most: int = 9) -> Callable[[_Op], str]:
    def rule(op: _Op) -> str:
        dims = op.dims(parameter)
        if op.given(parameter) and (dims is None or not least <= len(dims) <= most):
            return f"{parameter} has dims {list(dims or ())}, and should have {least} to {most} of them"
        return ""

    return rule


def _filter(op: _Op) -> str:
    """Filters have sizes, and groups divide the channels."""
    weight, groups = op.dims("Filter"), op.number("groups", 1)
    if weight is None or any(d < 1 for d in weight):
        return f"Filter has dims {None if weight is None else list(weight)}, and should have known ones"
    if weight[0] % groups:
        return f"groups is {groups}, which does not divide {weight[0]} channels"
    return ""


def _permutation(op: _Op) -> str:
    axes, x = op.list("axis"), op.dims("X")
    rank = len(x) if x is not None else len(axes)
    if len(axes) != rank or sorted(a % max(rank, 1) for a in axes) != list(range(rank)):
        return f"axis is {axes}, and should be an order of {rank} axes"
    return ""


def _same_length(*names: str) -> Callable[[_Op], str]:
    def rule(op: _Op) -> str:
        lengths = {len(op.list(name)) for name in names if op.list(name)}
        return f"{', '.join(names)} should have one length" if len(lengths) > 1 else ""

    return rule


def _within(name: str, parameter: str = "X", extra: int = 0) -> Callable[[_Op], str]:
    """Every axis lies inside the tensor."""

    def rule(op: _Op) -> str:
        dims = op.dims(parameter)
        if dims is None or name not in op.attrs:
            return ""
        rank = len(dims) + extra
        bad = [a for a in op.list(name) if not -max(rank, 1) <= a < max(rank, 1)]
        return f"{name} is {bad[0]}, and {parameter} has {len(dims)} dimensions" if bad else ""

    return rule


def _parts(op: _Op) -> str:
    parts, sizes, x = len(op.outputs.get("Out", ())), op.list("sections"), op.dims("X")
    if sizes and (len(sizes) != parts or sizes.count(-1) > 1 or any(s < -1 for s in sizes)):
        return f"sections is {sizes[:9]}, and there are {parts} outputs"
    if not sizes and op.number("num", parts) not in (0, parts):
        return f"num is {op.number('num', parts)}, and there are {parts} outputs"
    axis = op.number("axis", 0)
    if x and not op.given("AxisTensor") and -len(x) <= axis < len(x) and x[axis] >= 0 and -1 not in sizes:
        if sizes and sum(sizes) != x[axis]:
            return f"sections is {sizes[:9]}, which do not make {x[axis]}"
        if not sizes and x[axis] % max(parts, 1):
            return f"{parts} parts do not divide {x[axis]}"
    return ""


def _divides(name: str) -> Callable[[_Op], str]:
    def rule(op: _Op) -> str:
        return f"{name} is {op.attrs[name]}, and should be at least 1" if op.number(name, 1) < 1 else ""

    return rule


def _channels(*parameters: str) -> Callable[[_Op], str]:
    """Statistics and factors of a norm have one dimension and one length."""

    def rule(op: _Op) -> str:
        found = [d for p in parameters if op.given(p) and (d := op.dims(p)) is not None]
        if len(set(found)) > 1 or any(len(d) != 1 for d in found):
            return f"{', '.join(parameters)} have dims {', '.join(str(list(d)) for d in found)}, and should be alike"
        return ""

    return rule


CONVOLUTION = (
    _at_least_one("strides", "dilations", "groups"),
    _rank("Input", 3, 5),
    _rank("Filter", 4, 5),
    _filter,
    _whole_list("strides", "dilations", "paddings"),
)
POOL = (_rank("X", 3, 5), _at_least_one("strides"), _whole_list("ksize", "strides", "paddings"))
REDUCE = (_within("dim"),)

RULES: dict[str, tuple[Callable[[_Op], str], ...]] = {
    **dict.fromkeys(
        ("conv2d", "depthwise_conv2d", "conv2d_transpose", "depthwise_conv2d_transpose", "conv3d", "conv3d_transpose"),
        CONVOLUTION,
    ),
    **dict.fromkeys(("pool2d", "pool3d"), POOL),
    **dict.fromkeys(
        [f"reduce_{name}" for name in ("sum", "mean", "max", "min", "prod", "any", "all", "amax", "amin")], REDUCE
    ),
    **dict.fromkeys(("transpose", "transpose2"), (_permutation,)),
    "slice": (_same_length("axes", "starts", "ends"), _within("axes", "Input")),
    "strided_slice": (_same_length("axes", "starts", "ends", "strides"), _within("axes", "Input")),
    "split": (_parts, _within("axis")),
    "concat": (_within("axis"),),
    "stack": (_within("axis", extra=1),),
    "flip": (_within("axis"),),
    "softmax": (_within("axis"),),
    "arg_max": (_within("axis"),),
    "arg_min": (_within("axis"),),
    "batch_norm": (_channels("Scale", "Bias", "Mean", "Variance"), _rank("X", 2, 5)),
    "layer_norm": (_rank("X", 1), _within("begin_norm_axis", extra=1)),
    "maxout": (_divides("groups"), _rank("X", 2)),
    "channel_shuffle": (_divides("groups"), _rank("X", 4, 4)),
    "shuffle_channel": (_divides("group"), _rank("X", 4, 4)),
    "pixel_shuffle": (_divides("upscale_factor"), _rank("X", 4, 4)),
    "pixel_unshuffle": (_divides("downscale_factor"), _rank("X", 4, 4)),
}
"""Further relations by op type."""
