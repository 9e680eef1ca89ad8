"""Ops that do nothing, or undo each other, go; groups of ops that are one op become it."""

from __future__ import annotations

import math
from typing import Any

from edgeflow.graph.edit import Editor, output, value
from edgeflow.graph.program import arguments

RESHAPES = ("reshape2", "squeeze2", "unsqueeze2", "flatten_contiguous_range", "flatten2")
TENSOR_INPUTS = (
    "ShapeTensor",
    "Shape",
    "ShapeTensorList",
    "AxesTensor",
    "AxesTensorList",
    "ScaleTensor",
    "expand_shapes_tensor",
    "AxisTensor",
    "OutSize",
    "SizeTensor",
    "StartsTensor",
    "StartsTensorList",
    "EndsTensor",
    "EndsTensorList",
    "RepeatTimes",
    "repeat_times_tensor",
)


def remove_identities(editor: Editor) -> int:
    """Dropout at inference, assign, scale by one, casts and reshapes to what already is."""
    made = 0
    for op in list(editor.ops):
        x = (arguments(op.inputs, "X") or arguments(op.inputs, "Input") or [""])[0]
        if not x or not op.outputs or _has_tensor_inputs(op):
            continue
        if op.type == "dropout":
            made += _drop_dropout(editor, op, x)
        elif _does_nothing(editor, op, x):
            made += editor.drop(op, x)
    return made


def _drop_dropout(editor: Editor, op: Any, x: str) -> bool:
    """At inference: the identity, or a factor where training did not scale up (dropout_implementation)."""
    if not value(op, "is_test", False) or editor.readers.get((arguments(op.outputs, "Mask") or [""])[0]):
        return False
    if value(op, "dropout_implementation", "downgrade_in_infer") == "upscale_in_train":
        return editor.drop(op, x)
    keep = 1.0 - float(value(op, "dropout_prob", 0.5))
    return editor.replace(op, lambda s: s.scale(x, keep))


def _does_nothing(editor: Editor, op: Any, x: str) -> bool:
    if op.type == "assign":
        # A weight or an input that is also an output needs the copy.
        maker = editor.producer(x)
        return not editor.is_fetched(output(op)) or (
            maker is not None and maker.type != "feed" and not editor.is_fetched(x)
        )
    if op.type == "scale":
        return bool(value(op, "scale", 1.0) == 1.0 and value(op, "bias", 0.0) == 0.0)
    if op.type == "cast":
        return editor.dtype(x) == editor.dtype(output(op))
    if op.type == "transpose2":
        axes = value(op, "axis", [])
        return list(axes) == list(range(len(axes)))
    if op.type in (*RESHAPES, "expand_v2"):
        before, after = editor.dims(x), editor.dims(output(op))
        return before is not None and before == after and before.count(-1) <= 1
    return False


def merge_reshapes(editor: Editor) -> int:
    """Two reshapes in a row are the second one; exact wherever the result's dims are known up to one."""
    made = 0
    for op in list(editor.ops):
        if op.type not in RESHAPES or _has_tensor_inputs(op) or not any(op is o for o in editor.ops):
            continue
        before = _alone_before(editor, op, RESHAPES)
        dims = editor.dims(output(op))
        if before is None or dims is None or dims.count(-1) > 1 or 0 in dims or not dims:
            continue
        source = arguments(before.inputs, "X")[0]
        made += editor.replace(
            [before, op],
            lambda s, source=source, dims=dims: s.reshape(source, dims),  # type: ignore[misc]
        )
    return made


def merge_transposes(editor: Editor) -> int:
    """Two transposes in a row are one, or none."""
    made = 0
    for op in list(editor.ops):
        if op.type != "transpose2" or not any(op is o for o in editor.ops):
            continue
        before = _alone_before(editor, op, ("transpose2",))
        if before is None:
            continue
        first, second = value(before, "axis", []), value(op, "axis", [])
        source, axes = arguments(before.inputs, "X")[0], [first[a] for a in second]
        if axes == sorted(axes):
            made += editor.replace([before, op], lambda s, source=source: source)  # type: ignore[misc]
        else:
            made += editor.replace(
                [before, op],
                lambda s, source=source, axes=axes: s.transpose(source, axes),  # type: ignore[misc]
            )
    return made


def combine_activations(editor: Editor) -> int:
    """hard_swish, hard_sigmoid and swish, where a model spells them in primitive ops.

    hard_sigmoid(x) = relu6(x + 3) / 6, hard_swish(x) = x * hard_sigmoid(x), swish(x) = x * sigmoid(x).
    """
    made = 0
    for op in list(editor.ops):
        if not any(op is o for o in editor.ops):
            continue
        if op.type == "elementwise_mul":
            made += _combine_product(editor, op)
        elif op.type in ("scale", "elementwise_div"):
            made += _combine_quotient(editor, op)
    return made


def _combine_product(editor: Editor, op: Any) -> bool:
    x, y = arguments(op.inputs, "X")[0], arguments(op.inputs, "Y")[0]
    for data, gate in ((x, y), (y, x)):
        maker = editor.producer(gate)
        if maker is None or editor.sole_reader(gate) is not op or editor.dims(data) != editor.dims(gate):
            continue
        if maker.type == "sigmoid" and arguments(maker.inputs, "X") == [data]:
            return editor.replace(
                [maker, op],
                lambda s, data=data: s.unary("swish", data, beta=1.0),  # type: ignore[misc]
            )
        if (
            maker.type == "hard_sigmoid"
            and arguments(maker.inputs, "X") == [data]
            and math.isclose(value(maker, "slope", 0.2), 1 / 6, rel_tol=1e-6)
            and value(maker, "offset", 0.5) == 0.5
        ):
            return editor.replace([maker, op], lambda s, data=data: _hard_swish(s, data))  # type: ignore[misc]
        shifted = _shifted_relu6(editor, gate)
        if shifted is None or shifted[0] != data:
            continue
        after = editor.sole_reader(output(op))
        if after is not None and not editor.is_fetched(output(op)) and _divides_by_six(editor, after, output(op)):
            return editor.replace(
                [*shifted[1], op, after],
                lambda s, data=data: _hard_swish(s, data),  # type: ignore[misc]
            )
    return False


def _combine_quotient(editor: Editor, op: Any) -> bool:
    x = arguments(op.inputs, "X")[0]
    if not _divides_by_six(editor, op, x):
        return False
    shifted = _shifted_relu6(editor, x)
    if shifted is None:
        return False
    source, ops = shifted
    return editor.replace([*ops, op], lambda s: s.unary("hard_sigmoid", source, slope=1 / 6, offset=0.5))


def _hard_swish(s: Any, x: str) -> str:
    return str(s.unary("hard_swish", x, threshold=6.0, scale=6.0, offset=3.0))


def _shifted_relu6(editor: Editor, name: str) -> tuple[str, list[Any]] | None:
    """relu6(x + 3), read once: x and the two ops."""
    act = editor.producer(name)
    if (
        act is None
        or len(editor.readers.get(name, [])) != 1
        or editor.is_fetched(name)
        or not (
            act.type == "relu6"
            or (
                act.type in ("clip", "brelu")
                and not _has_tensor_inputs(act)
                and value(act, "min", value(act, "t_min")) == 0.0
                and value(act, "max", value(act, "t_max")) == 6.0
            )
        )
    ):
        return None
    shift = _alone_before(editor, act, ("scale",))
    if shift is None or value(shift, "scale", 1.0) != 1.0 or value(shift, "bias", 0.0) != 3.0:
        return None
    return arguments(shift.inputs, "X")[0], [shift, act]


def _divides_by_six(editor: Editor, op: Any, x: str) -> bool:
    if op.type == "scale":
        return bool(value(op, "bias", 0.0) == 0.0 and math.isclose(value(op, "scale", 1.0), 1 / 6, rel_tol=1e-6))
    if op.type != "elementwise_div" or arguments(op.inputs, "X") != [x]:
        return False
    divisor = editor.constant(arguments(op.inputs, "Y")[0])
    maker = editor.producer(arguments(op.inputs, "Y")[0])
    if divisor is None and maker is not None and maker.type == "fill_constant":
        return bool(value(maker, "value", 0.0) == 6.0 and editor.dims(output(maker)) in ((1,), ()))
    return divisor is not None and divisor.size == 1 and float(divisor.ravel()[0]) == 6.0


def _alone_before(editor: Editor, op: Any, types: tuple[str, ...]) -> Any | None:
    """The op of one of these types that makes the input of `op`, and makes it for `op` alone."""
    x = (arguments(op.inputs, "X") or [""])[0]
    before = editor.producer(x)
    if (
        before is None
        or before.type not in types
        or _has_tensor_inputs(before)
        or editor.sole_reader(x) is not op
        or editor.is_fetched(x)
    ):
        return None
    return before


def _has_tensor_inputs(op: Any) -> bool:
    return any(var.arguments and var.parameter in (*TENSOR_INPUTS, "Min", "Max") for var in op.inputs)
